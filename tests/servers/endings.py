"""An OpenAI-compatible server whose replies end as its base URL says: all right, or in a way that must not count.

    python -m tests.servers.endings

Prints its root once it answers; add `/ENDING/v1`. It solves "What is A + B?".
"""

import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Choice = tuple[dict[str, Any], str]


def choice(ending: str, text: str) -> Choice:
    """A message and its finish_reason.

    Args:
        ending: What is wrong with it.
        text: A right answer, which must not count then.
    """
    called = {"id": "a", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    return {
        "right": ({"content": text}, "stop"),
        "filtered": ({"content": text}, "content_filter"),
        "refused": ({"content": None, "refusal": f"I must not say that {text}"}, "stop"),
        "null": ({"content": None}, "stop"),
        "thought": ({"content": None, "reasoning": text}, "stop"),
        "cut": ({"content": text}, "length"),
        "calling": ({"content": None, "tool_calls": [called]}, "tool_calls"),
        "parts": ({"content": [{"type": "text", "text": text}]}, "stop"),
    }[ending]


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._reply({"object": "list", "data": [{"id": "test", "object": "model"}]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        whole = " ".join(message["content"] for message in asked["messages"])
        sums = re.search(r"What is (\d+) \+ (\d+)\?", whole)
        assert sums is not None
        text = f"### Solution\nStep 1: \\boxed{{{int(sums[1]) + int(sums[2])}}}"
        if self.path.startswith("/barred/"):
            # As Azure refuses a prompt.
            error = {"code": "content_filter", "message": "filtered", "param": "prompt", "type": None, "status": 400}
            self._reply({"error": error}, 400)
            return
        message, reason = choice(self.path.split("/")[1], text)
        choices = [{"index": i, "message": message, "finish_reason": reason} for i in range(asked.get("n", 1))]
        usage = {"prompt_tokens": 10, "completion_tokens": 5 * len(choices)}
        self._reply({"model": asked["model"], "choices": choices, "usage": usage})

    def _reply(self, body: dict[str, Any], status: int = 200) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Keep quiet."""


if __name__ == "__main__":
    main()
