"""Serve a process reward model in the form of vLLM's pooling runner; the scores are those of the real weights.

    python -m tests.servers.pooling FOLDER [--fault NAME]

Prints its base URL once it answers. It offers the model as "prm"; every request body is a line of FOLDER.requests.
"""

import argparse
import contextlib
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import torch

from agentark.reward.model import load_backbone

FAULTS = ("", "unavailable-once", "short", "logits", "no-scores", "refused")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fault", choices=FAULTS, default="")
    options = parser.parse_args()
    torch.set_num_threads(1)
    server = _Server(("127.0.0.1", 0), _Handler)
    server.model, server.fault = load_backbone(options.folder, "inference").eval(), options.fault
    server.requests_file = options.folder.with_suffix(".requests")
    print(f"http://127.0.0.1:{server.server_port}/v1", flush=True)
    server.serve_forever()


class _Server(ThreadingHTTPServer):
    model: Any
    fault: str
    requests_file: Path


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def _state(self) -> _Server:
        return cast(_Server, self.server)

    def do_GET(self) -> None:
        found = self.path == "/v1/models"
        self._reply(200 if found else 404, {"data": [{"id": "prm"}]} if found else {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        state = self._state
        with state.requests_file.open("a") as stream:
            asked = {"path": self.path, "key": self.headers["Authorization"], **json.loads(body)}
            stream.write(json.dumps(asked) + "\n")
        if state.fault == "unavailable-once":
            state.fault = ""
            return self._reply(503, {"error": "loading"})
        if state.fault == "refused":
            return self._reply(400, {"error": "maximum context length is 8 tokens"})
        if self.path != "/pooling":
            return self._reply(404, {"error": f"no route {self.path}"})
        entries = [self._entry(index, ids) for index, ids in enumerate(json.loads(body)["input"])]
        self._reply(200, {"object": "list", "data": entries[::-1]})  # A client may not rely on their order.

    def _entry(self, index: int, ids: list[int]) -> dict[str, Any]:
        with torch.inference_mode():
            logits = self._state.model(input_ids=torch.tensor([ids])).logits[0].float()
        fault = self._state.fault
        values = logits if fault == "logits" else logits.sigmoid()
        scores = values.tolist()[: -1 if fault == "short" else None]
        return {"index": index, "object": "pooling", "data": None if fault == "no-scores" else scores}

    def _reply(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        with contextlib.suppress(ConnectionError):  # A client that saw enough in another reply is gone.
            self._send(status, body)

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    main()
