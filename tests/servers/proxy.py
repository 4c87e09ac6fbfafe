"""A reverse proxy that does to requests what networks and lesser servers do."""

import contextlib
import http.client
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

from tests.servers.process import LOOPBACK

Fate = Literal["pass", "unavailable", "lose request", "lose answer", "cut body", "ignore condition", "denied"]
_DENIAL = b"<Error><Code>AccessDenied</Code><Message>Access Denied.</Message><Resource>/x</Resource></Error>"


@dataclass(slots=True)
class Proxy:
    """A running proxy; `fate` decides over each request by (method, path), `seen` lists what came."""

    endpoint: str
    fate: Callable[[str, str], Fate] = lambda method, path: "pass"
    seen: list[tuple[str, str]] = field(default_factory=list)

    def once(self, method: str, part: str, fate: Fate, *, times: int = 1) -> None:
        """Let `fate` befall the next `times` requests of `method` whose path holds `part`."""
        left = [fate] * times

        def decide(found: str, path: str) -> Fate:
            return left.pop() if left and found == method and part in path else "pass"

        self.fate = decide


@contextlib.contextmanager
def proxy(upstream: str) -> Iterator[Proxy]:
    """Run a proxy before the server at the address `upstream`."""
    host = urlsplit(upstream).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            running.seen.append((self.command, self.path))
            fate = running.fate(self.command, self.path)
            if fate == "unavailable":
                self._answer(503, [], b"")
                return
            if fate == "denied":
                self._answer(403, [("Content-Type", "application/xml")], _DENIAL)
                return
            if fate == "lose request":
                self._hang_up()
                return
            headers = dict(self.headers.items())
            if fate == "ignore condition":
                headers.pop("If-None-Match", None)
            connection = http.client.HTTPConnection(host, timeout=30)
            with contextlib.closing(connection):
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                data = answer.read()
            if fate == "lose answer":
                self._hang_up()
                return
            self._answer(answer.status, answer.getheaders(), data, cut=fate == "cut body")

        def _answer(self, status: int, headers: list[tuple[str, str]], data: bytes, *, cut: bool = False) -> None:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            length = next((value for name, value in headers if name.lower() == "content-length"), str(len(data)))
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if cut else data)
            if cut:
                self._hang_up()

        def _hang_up(self) -> None:
            self.close_connection = True

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _handle

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    running = Proxy(f"http://{LOOPBACK}:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
