"""A reverse proxy before the API server that does to its clients what busy servers and bad networks do.

    with faults(folder, playground.account(namespace, "agentark-operator"), seed=1) as front:
        front.set(share=0.2)
        Operators(front.server, ...)

It runs in a process of its own, speaks plain HTTP on loopback, and passes on everything else as it is, watches and
credentials too. At first it does nothing wrong.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import json
import random
import ssl
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import aiohttp
from aiohttp import web
from yarl import URL

from tests.servers.kubernetes import ApiServer
from tests.servers.process import LOOPBACK, free_ports, serving

Fate = Literal["pass", "429", "500", "409", "hang up", "500 after", "409 after", "answer lost"]
_CONTROL = "/_faults"
_READS: tuple[Fate, ...] = ("429", "500", "hang up")
_WRITES: tuple[Fate, ...] = (*_READS, "500 after", "answer lost")
_CONFLICTING: tuple[Fate, ...] = (*_WRITES, "409", "409 after")
"""Of changes to what is there; nothing else is a conflict, as far as the real server goes."""
_OF_ONE_HOP = frozenset({"host", "connection", "keep-alive", "transfer-encoding", "content-length"})


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong."""

    share: float = 0.0
    """Of the calls: answered with an error, before or after they were carried out, or not answered."""
    cut: float = 0.0
    """Of the watches: cut; a third of those begins anew, as the server says that their version is too old."""
    cut_least_s: float = 1.0
    cut_most_s: float = 15.0
    delay_most_s: float = 0.0
    """Each call is held up for a time from 0 to this, in seconds."""


def drawn(draw: random.Random, method: str, share: float) -> Fate:
    """What becomes of a call."""
    if draw.random() >= share:
        return "pass"
    possible = _READS if method == "GET" else _CONFLICTING if method in ("PATCH", "PUT", "DELETE") else _WRITES
    return draw.choice(possible)


@dataclass(frozen=True, slots=True)
class Front:
    """The running proxy, for those who started it."""

    server: ApiServer
    """The API server as seen through it."""

    def set(self, **changed: float) -> None:
        """Begin or stop to do wrong: fields of `Faults`; the others are as by default."""
        answer = self.server.request("PUT", _CONTROL, dataclasses.asdict(Faults(**changed)))
        assert answer.status == 200, answer

    @property
    def counts(self) -> dict[str, int]:
        """Calls by method, and faults as "fault: NAME"."""
        return dict(self.server.request("GET", _CONTROL).body)


@contextlib.contextmanager
def faults(folder: Path, server: ApiServer, *, seed: int) -> Iterator[Front]:
    """Run the proxy before a server, with its log in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_ports(1)[0]
    command = [sys.executable, "-m", "tests.servers.faults", "--upstream", server.url, "--port", str(port)]
    command += ["--authority", str(server.authority), "--seed", str(seed)]
    front = Front(dataclasses.replace(server, url=f"http://{LOOPBACK}:{port}"))

    def ready() -> bool:
        try:
            return front.server.request("GET", _CONTROL).status == 200
        except Exception:  # whatever a server that is starting says
            return False

    root = Path(__file__).parents[2]
    with serving(command, env={"PYTHONPATH": str(root)}, folder=folder, ready=ready, deadline_s=30):
        yield front


class _Proxy:
    """Handles requests; lives in one event loop."""

    def __init__(self, upstream: str, session: aiohttp.ClientSession, seed: int) -> None:
        self._upstream, self._session = upstream, session
        self._draw = random.Random(seed)
        self._faults = Faults()
        self._counts: Counter[str] = Counter()

    async def control(self, request: web.Request) -> web.Response:
        if request.method == "PUT":
            self._faults = Faults(**await request.json())
        return web.json_response(self._counts)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One call: what is drawn for it befalls it."""
        content = await request.read()
        watches = request.query.get("watch") in ("1", "true")
        self._counts["WATCH" if watches else request.method] += 1
        if self._faults.delay_most_s:
            await asyncio.sleep(self._draw.uniform(0, self._faults.delay_most_s))
        fate = drawn(self._draw, request.method, self._faults.share)
        if fate != "pass":
            self._counts[f"fault: {fate}"] += 1
        if fate == "hang up":
            return _hung_up(request)
        if fate in ("429", "500", "409"):
            return _refusal(int(fate), request)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OF_ONE_HOP}
        url = URL(self._upstream + request.raw_path, encoded=True)
        try:
            async with self._session.request(request.method, url, data=content or None, headers=headers) as reply:
                if watches and reply.status == 200:
                    return await self._stream(request, reply)
                data = await reply.read()
        except (aiohttp.ClientError, TimeoutError):
            return _hung_up(request)  # the server is down
        if fate == "answer lost":
            return _hung_up(request)
        if fate in ("500 after", "409 after"):
            return _refusal(int(fate[:3]), request)
        return web.Response(status=reply.status, body=data, headers=_passed_on(reply.headers))

    async def _stream(self, request: web.Request, reply: aiohttp.ClientResponse) -> web.StreamResponse:
        answer = web.StreamResponse(status=reply.status, headers=_passed_on(reply.headers))
        await answer.prepare(request)
        faults, whole = self._faults, True
        cut = self._draw.random() < faults.cut
        try:
            async with asyncio.timeout(self._draw.uniform(faults.cut_least_s, faults.cut_most_s) if cut else None):
                async for chunk in reply.content.iter_any():
                    whole = chunk.endswith(b"\n")
                    await answer.write(chunk)
            return answer  # the server ended it
        except TimeoutError:
            expired = whole and self._draw.random() < 1 / 3
            self._counts["fault: watch expired" if expired else "fault: watch cut"] += 1
            if expired:
                status = _status(410, "Expired", "too old resource version: 1 (2)")
                await answer.write(json.dumps({"type": "ERROR", "object": status}).encode() + b"\n")
                return answer
        except (aiohttp.ClientError, ConnectionError):
            pass
        _hung_up(request)
        return answer


def _passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _OF_ONE_HOP}


def _hung_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=502)  # nobody hears it


def _refusal(code: int, request: web.Request) -> web.Response:
    name = request.path.rstrip("/").rsplit("/", 1)[-1]
    reason, message = {
        429: ("TooManyRequests", "the server has received too many requests and has asked us to try again later"),
        500: ("InternalError", "Internal error occurred: etcdserver: leader changed"),
        409: (
            "Conflict",
            f'Operation cannot be fulfilled on "{name}": the object has been modified; please apply your changes to '
            "the latest version and try again",
        ),
    }[code]
    headers = {"Retry-After": "1"} if code == 429 else {}
    return web.json_response(_status(code, reason, message), status=code, headers=headers)


def _status(code: int, reason: str, message: str) -> dict[str, Any]:
    made = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return made | {"message": message, "reason": reason, "code": code}


async def _serve(upstream: str, authority: Path, port: int, seed: int) -> None:
    trusted = ssl.create_default_context(cafile=str(authority))
    connector = aiohttp.TCPConnector(limit=0, ssl=trusted)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
        proxy = _Proxy(upstream, session, seed)
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", _CONTROL, proxy.control)
        app.router.add_route("*", "/{path:.*}", proxy.handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, LOOPBACK, port, shutdown_timeout=0.1).start()
        await asyncio.Event().wait()


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser(description="An API server's front that does wrong.")
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--authority", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    given = parser.parse_args()
    asyncio.run(_serve(given.upstream, given.authority, given.port, given.seed))


if __name__ == "__main__":
    main()
