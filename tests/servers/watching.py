"""Follow the objects of one kind through whatever befalls the API server: lists, watches, and lists again."""

import contextlib
import json
import threading
from collections.abc import Callable
from typing import Any

import urllib3

from tests.servers.kubernetes import ApiServer

Seen = Callable[[str, dict[str, Any]], None]
Replaced = Callable[[list[dict[str, Any]]], None]


class _Cut(Exception):
    """The watch has ended and cannot be taken up where it was."""


class Watch:
    """Calls back for each change, from the one thread that runs it."""

    def __init__(self, server: ApiServer, path: str, selector: str, see: Seen, replaced: Replaced) -> None:
        """Prepare it.

        Args:
            server: The API server; its connection serves nothing else meanwhile.
            path: Of the collection.
            selector: Of labels.
            see: Is told the kind of event and the object.
            replaced: Is told all objects that there are, at first and whenever events may have been missed.
        """
        self._server, self._path = server, f"{path}?labelSelector={selector}"
        self._see, self._replaced = see, replaced
        self._stop = threading.Event()
        self._reply: urllib3.BaseHTTPResponse | None = None

    def run(self) -> None:
        """Follow until `stop`."""
        while not self._stop.is_set():
            try:
                version = self._list()
                while not self._stop.is_set():
                    version = self._follow(version)
            except (_Cut, urllib3.exceptions.HTTPError, ValueError):
                self._stop.wait(0.1)

    def stop(self) -> None:
        """End it, from another thread."""
        self._stop.set()
        if (reply := self._reply) is not None:
            # Closed by the server, or given back by the reader, at this very moment.
            with contextlib.suppress(OSError, ValueError, RuntimeError):
                reply.shutdown()  # wakes the thread that reads

    def _list(self) -> str:
        answer = self._server.request("GET", self._path)
        if answer.status != 200:
            raise _Cut
        self._replaced(answer.body["items"])
        return str(answer.body["metadata"]["resourceVersion"])

    def _follow(self, version: str) -> str:
        url = f"{self._server.url}{self._path}&resourceVersion={version}&watch=1&allowWatchBookmarks=true"
        headers = {"Authorization": f"Bearer {self._server.token}"}
        # Bookmarks come about once a minute: longer silence is a dead connection.
        timeout = urllib3.Timeout(connect=5.0, read=120.0)
        reply = self._server.pool.request("GET", url, headers=headers, preload_content=False, timeout=timeout)
        self._reply = reply
        try:
            if reply.status != 200:
                raise _Cut
            rest = b""
            while not self._stop.is_set():
                chunk = reply.read1(1 << 16)
                if not chunk:
                    return version  # the server ends a watch after a while
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    version = self._take(json.loads(line))
            return version
        finally:
            self._reply = None
            reply.close()

    def _take(self, event: dict[str, Any]) -> str:
        if event["type"] == "ERROR":
            raise _Cut
        if event["type"] != "BOOKMARK":
            self._see(event["type"], event["object"])
        return str(event["object"]["metadata"]["resourceVersion"])
