"""A store that tells how its requests went."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from agentark.errors import NotFound, StoreError
from agentark.store import Entry, Store

Told = Callable[[str, str, float], object]
"""Takes operation (read, write, create, upload, download, list, stat, delete), outcome and seconds.

Outcomes are Done, NotFound (an answer like any other) and Failed.
"""
OPERATIONS = ("read", "write", "create", "upload", "download", "list", "stat", "delete")
"""What a store does."""
OUTCOMES = ("Done", "NotFound", "Failed")
"""What comes of it."""
_T = TypeVar("_T")


class MeteredStore:
    """A store that does as another one does, and tells of each request.

    Args:
        store: The other one.
        told: Is told; called in the thread of the request.
    """

    def __init__(self, store: Store, told: Told) -> None:
        self._store, self._told = store, told

    @property
    def uri(self) -> str:
        """Address of the store."""
        return self._store.uri

    def read(self, path: str) -> bytes:
        return self._timed("read", lambda: self._store.read(path))

    def write(self, path: str, data: bytes) -> None:
        self._timed("write", lambda: self._store.write(path, data))

    def create(self, path: str, data: bytes) -> bool:
        return self._timed("create", lambda: self._store.create(path, data))

    def upload(self, path: str, source: Path) -> None:
        self._timed("upload", lambda: self._store.upload(path, source))

    def download(self, path: str, target: Path) -> None:
        self._timed("download", lambda: self._store.download(path, target))

    def entries(self, prefix: str) -> Iterator[Entry]:
        """As `Store.entries`; a whole listing counts once, with the time that the store took and not its reader."""
        seconds, outcome = 0.0, "Done"
        try:
            entries = iter(self._store.entries(prefix))
            while True:
                started = time.perf_counter()
                try:
                    entry = next(entries, None)
                finally:
                    seconds += time.perf_counter() - started
                if entry is None:
                    return
                yield entry
        except StoreError:
            outcome = "Failed"
            raise
        finally:
            self._told("list", outcome, seconds)

    def stat(self, path: str) -> Entry | None:
        return self._timed("stat", lambda: self._store.stat(path))

    def delete(self, prefix: str) -> int:
        return self._timed("delete", lambda: self._store.delete(prefix))

    def _timed(self, operation: str, act: Callable[[], _T]) -> _T:
        started, outcome = time.perf_counter(), "Failed"
        try:
            result = act()
            outcome = "Done"
            return result
        except NotFound:
            outcome = "NotFound"
            raise
        finally:
            self._told(operation, outcome, time.perf_counter() - started)
