"""A local OpenAI-compatible chat server with fixed latencies and faults, for tests and benchmarks.

`python benchmarks/server.py --latency-s 0.05 --fault-rate 0.05` prints its base URL on its first line and answers until
it is stopped. Answers, latencies and faults are functions of the request (and, for faults, of how often it was tried),
so that two runs see the same server. It speaks HTTP by itself, on asyncio alone, because at 256 parallel requests it
must cost little beside the client that it measures.

`load` measures the best throughput that this server gives: an asyncio client with no library in between.
"""

import argparse
import asyncio
import hashlib
import json
import random
import signal
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

FAULTS = ("429", "500", "timeout", "cut", "malformed")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the server does."""

    model: str = "test"
    latency_s: float = 0.0
    """Median time to answer, in seconds."""
    latency_spread: float = 0.0
    """Each request's latency is drawn from latency_s * [1 - spread, 1 + spread]."""
    fault_rate: float = 0.0
    """Share of tries that fail."""
    faults: tuple[str, ...] = FAULTS[:4]
    retry_after_s: float = 0.0
    """Sent with 429, if positive."""
    hang_s: float = 30.0
    """How long a `timeout` fault keeps silent before it cuts the connection."""
    api_key: str = ""
    """Demanded as a bearer token, if given."""
    ignore_n: bool = False
    """Answer with one choice whatever `n` asks for."""
    reasoning: str = ""
    """How thinking is reported: `reasoning_content`, `reasoning`, `tags`, or not at all."""
    template: str = "{digest} answer {index}"
    """The answer's text; {digest} names the request."""
    seed: int = 0
    strict: bool = False
    """Refuse requests to continue the last message, as servers of the plain OpenAI format do."""


@dataclass(slots=True)
class Counts:
    """What the server saw; at `GET /counts`."""

    requests: int = 0
    answered: int = 0
    connections: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    last_request: dict[str, Any] = field(default_factory=dict)


class ChatServer:
    """One server; `protocol` makes the handler of a connection."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.counts = Counts()
        self._tries: Counter[str] = Counter()

    def protocol(self) -> "Connection":
        return Connection(self)

    def fault(self, digest: str) -> str:
        """Name the fault of the next try of a request, or ''."""
        if not self.behaviour.fault_rate:
            return ""
        self._tries[digest] += 1
        draw = random.Random(f"{self.behaviour.seed}/{digest}/{self._tries[digest]}")
        return draw.choice(self.behaviour.faults) if draw.random() < self.behaviour.fault_rate else ""

    def latency_s(self, digest: str) -> float:
        """Seconds that a request takes."""
        spread = self.behaviour.latency_spread
        if not spread:
            return self.behaviour.latency_s
        draw = random.Random(f"{self.behaviour.seed}/{digest}").uniform(-spread, spread)
        return self.behaviour.latency_s * (1 + draw)

    def answer(self, request: dict[str, Any], digest: str) -> bytes:
        """The body of a completion."""
        count = 1 if self.behaviour.ignore_n else int(request.get("n", 1))
        choices, tokens = [], 0
        for index in range(count):
            text = self.behaviour.template.format(digest=digest, index=index)
            words = text.split(" ")
            limit = int(request.get("max_tokens", 10**6))
            tokens += min(len(words), limit)
            message = {"role": "assistant", "content": " ".join(words[:limit])}
            if self.behaviour.reasoning == "tags":
                message["content"] = f"<think>hm {index}</think>\n{message['content']}"
            elif self.behaviour.reasoning:
                message[self.behaviour.reasoning] = f"hm {index}"
            reason = "length" if len(words) > limit else "stop"
            choices.append({"index": index, "message": message, "finish_reason": reason})
        prompt = sum(len(message["content"].split()) for message in request["messages"])
        usage = {"prompt_tokens": prompt, "completion_tokens": tokens, "total_tokens": prompt + tokens}
        body = {
            "id": digest,
            "object": "chat.completion",
            "model": request["model"],
            "choices": choices,
            "usage": usage,
        }
        return json.dumps(body).encode()


class Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, one request at a time, bodies by Content-Length."""

    def __init__(self, server: ChatServer) -> None:
        self._server = server
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.counts.connections += 1

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head_end = self._buffer.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = self._buffer[:head_end].decode("latin-1")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head.split("\r\n")[1:])}
        end = head_end + 4 + int(headers.get("content-length", 0))
        if len(self._buffer) < end:
            return
        body, self._buffer = self._buffer[head_end + 4 : end], self._buffer[end:]
        self._route(head.split(" ", 2)[1], headers, body)

    def _route(self, path: str, headers: dict[str, str], body: bytes) -> None:
        server, behaviour = self._server, self._server.behaviour
        if path == "/counts":
            self._send(200, json.dumps(asdict(server.counts)).encode())
        elif behaviour.api_key and headers.get("authorization") != f"Bearer {behaviour.api_key}":
            # Some servers echo what they were sent; a client must not pass that on.
            self._error(401, f"invalid key {headers.get('authorization', 'none')}")
        elif path == "/v1/models":
            self._send(200, json.dumps({"object": "list", "data": [{"id": behaviour.model}]}).encode())
        elif path == "/v1/chat/completions":
            self._chat(body)
        else:
            self._error(404, f"no such path: {path}")

    def _chat(self, body: bytes) -> None:
        server, counts = self._server, self._server.counts
        counts.requests += 1
        request = json.loads(body)
        counts.last_request = request
        if request["model"] != server.behaviour.model:
            self._error(404, f"The model `{request['model']}` does not exist.")
            return
        if server.behaviour.strict and "continue_final_message" in request:
            self._error(400, "Unrecognized request argument supplied: continue_final_message")
            return
        digest = hashlib.blake2b(body, digest_size=8).hexdigest()
        fault = server.fault(digest)
        if fault:
            counts.faults[fault] = counts.faults.get(fault, 0) + 1
        counts.in_flight += 1
        counts.peak_in_flight = max(counts.peak_in_flight, counts.in_flight)
        delay = server.behaviour.hang_s if fault == "timeout" else server.latency_s(digest)
        loop = asyncio.get_running_loop()
        if delay:
            loop.call_later(delay, self._finish, request, digest, fault)
        else:
            self._finish(request, digest, fault)

    def _finish(self, request: dict[str, Any], digest: str, fault: str) -> None:
        self._server.counts.in_flight -= 1
        if self._transport.is_closing():
            return
        if fault == "429":
            wait = self._server.behaviour.retry_after_s
            self._error(429, "slow down", f"Retry-After: {wait:g}\r\n" if wait else "")
        elif fault == "500":
            self._error(500, "internal error")
        elif fault == "malformed":
            self._send(200, b'{"choices": [{"mess')
        elif fault == "timeout":
            self._transport.abort()
        elif fault == "cut":
            body = self._server.answer(request, digest)
            self._transport.write(_head(200, len(body)) + body[: len(body) // 2])
            self._transport.close()
        else:
            self._server.counts.answered += 1
            self._send(200, self._server.answer(request, digest))

    def _error(self, status: int, message: str, headers: str = "") -> None:
        body = json.dumps({"error": {"message": message, "code": status}}).encode()
        self._transport.write(_head(status, len(body), headers) + body)

    def _send(self, status: int, body: bytes) -> None:
        self._transport.write(_head(status, len(body)) + body)


def _head(status: int, length: int, headers: str = "") -> bytes:
    return (
        f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n"
    ).encode()


class Load(NamedTuple):
    """What `load` measured."""

    requests: int
    seconds: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


async def load(url: str, bodies: list[bytes], parallel: int) -> Load:
    """Send every body to the server at `url` (its base URL), `parallel` at a time, over bare sockets."""
    parts = urlsplit(url)
    waiting = iter(bodies)

    async def work() -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        head = f"POST {parts.path}/chat/completions HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: "
        for body in waiting:
            writer.write(f"{head}{len(body)}\r\n\r\n".encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in answer[:20]:
                raise RuntimeError(answer.decode("latin-1"))
            length = answer.index(b"Content-Length: ") + 16
            await reader.readexactly(int(answer[length : answer.index(b"\r\n", length)]))
        writer.close()
        await writer.wait_closed()

    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(parallel)))
    return Load(len(bodies), time.perf_counter() - started)


def request_bodies(count: int, *, model: str = "test", words: int = 300) -> list[bytes]:
    """Different chat requests of about `words` words each."""
    text = "word " * words
    return [
        json.dumps(
            {"model": model, "messages": [{"role": "user", "content": f"{i} {text}"}], "max_tokens": 64}
        ).encode()
        for i in range(count)
    ]


async def serve(behaviour: Behaviour, port: int) -> None:
    """Answer on the loopback interface until SIGTERM or SIGINT; print the base URL first."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    server = await loop.create_server(ChatServer(behaviour).protocol, "127.0.0.1", port, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await stopped.wait()
    server.close()


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--model", default="test")
    parser.add_argument("--latency-s", type=float, default=0.0)
    parser.add_argument("--latency-spread", type=float, default=0.0)
    parser.add_argument("--fault-rate", type=float, default=0.0)
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=list(FAULTS[:4]))
    parser.add_argument("--retry-after-s", type=float, default=0.0)
    parser.add_argument("--hang-s", type=float, default=30.0)
    parser.add_argument("--api-key", default="")
    parser.add_argument("--ignore-n", action="store_true")
    parser.add_argument("--reasoning", choices=("", "reasoning_content", "reasoning", "tags"), default="")
    parser.add_argument("--template", default="{digest} answer {index}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--strict", action="store_true")
    options = vars(parser.parse_args())
    port = options.pop("port")
    asyncio.run(serve(Behaviour(**{**options, "faults": tuple(options["faults"])}), port))


if __name__ == "__main__":
    main()
