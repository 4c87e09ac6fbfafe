"""Work that is to be done a while from now, by a pool of threads; thousands of entries cost one thread."""

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Timetable:
    """Hands work to a pool when its time has come."""

    def __init__(self, pool: ThreadPoolExecutor, failed: Callable[[BaseException], None]) -> None:
        """Begin.

        Args:
            pool: Does the work.
            failed: Is told of what the work raises.
        """
        self._pool, self._failed = pool, failed
        self._entries: list[tuple[float, int, str]] = []
        self._work: dict[str, tuple[int, Callable[[], None]]] = {}
        self._number = itertools.count()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="timetable", daemon=True)
        self._thread.start()

    def at(self, delay_s: float, name: str, work: Callable[[], None]) -> None:
        """Do `work` after a delay; a later entry of the same name takes its place."""
        with self._changed:
            number = next(self._number)
            self._work[name] = (number, work)
            heapq.heappush(self._entries, (time.monotonic() + delay_s, number, name))
            self._changed.notify()

    def cancel(self, name: str) -> None:
        """Forget an entry whose time has not come."""
        with self._changed:
            self._work.pop(name, None)

    def close(self) -> None:
        """Stop; what has not begun is left."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                while self._entries and self._entries[0][0] <= now:
                    _, number, name = heapq.heappop(self._entries)
                    if name in self._work and self._work[name][0] == number:
                        self._pool.submit(self._work.pop(name)[1]).add_done_callback(self._tell)
                self._changed.wait(self._entries[0][0] - now if self._entries else None)

    def _tell(self, done: Future[None]) -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            self._failed(error)
