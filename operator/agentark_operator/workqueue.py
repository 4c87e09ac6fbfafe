"""Which resource to look at next; knows neither Kubernetes nor what is done with a key.

Events say that something changed, never what: a pass reads everything anew. So an event for a key that waits already is
nothing new, and one that comes during the key's pass asks for one more.
"""

import asyncio
import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class WorkQueue(Generic[Key]):
    """Keys to work on, each by one worker at a time.

    A key that failed comes back after a wait drawn from [d/2, d], where d doubles with each failure in a row; an event
    cuts that wait short. All methods belong to one event loop.

    Args:
        base_s: d after the first failure, in seconds.
        most_s: Largest d, in seconds.
        draw: Gives a number in [0, 1); for tests.
    """

    def __init__(
        self, *, base_s: float = 0.5, most_s: float = 300.0, draw: Callable[[], float] = random.random
    ) -> None:
        self._base_s, self._most_s, self._draw = base_s, most_s, draw
        self._ready: deque[Key] = deque()
        self._waiting: set[Key] = set()
        self._working: set[Key] = set()
        self._again: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._due: dict[Key, float] = {}
        self._later: list[tuple[float, int, Key]] = []
        self._order = itertools.count()
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        """Keys that are ready now and that nobody works on."""
        return len(self._ready)

    def failures(self, key: Key) -> int:
        """Failures of a key in a row."""
        return self._failures.get(key, 0)

    def add(self, key: Key) -> None:
        """Ask for a pass over a key as soon as possible."""
        self._due.pop(key, None)
        if key in self._working:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.append(key)
            self._changed.set()

    def add_later(self, key: Key, after_s: float) -> None:
        """Ask for a pass in some seconds, unless one is asked for before."""
        moment = asyncio.get_running_loop().time() + after_s
        if key in self._waiting or self._due.get(key, float("inf")) <= moment:
            return
        self._due[key] = moment
        heapq.heappush(self._later, (moment, next(self._order), key))
        self._changed.set()

    def forget(self, key: Key) -> None:
        """Let go of what is known of a key whose resource is gone."""
        self._failures.pop(key, None)
        self._due.pop(key, None)

    async def take(self) -> Key:
        """Wait for a key; whoever takes one has to call `done` or `failed` for it."""
        while not self._ready:
            self._changed.clear()
            wait_s = self._promote()
            if self._ready:
                break
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                continue
        key = self._ready.popleft()
        self._waiting.discard(key)
        self._working.add(key)
        return key

    def done(self, key: Key) -> None:
        """A pass ended well."""
        self._failures.pop(key, None)
        self._finish(key)

    def failed(self, key: Key) -> float:
        """A pass failed; returns the seconds after which the key comes back by itself."""
        failures = self._failures[key] = self.failures(key) + 1
        most_s = min(self._most_s, self._base_s * 2.0 ** min(failures - 1, 60))
        wait_s = most_s * (1 + self._draw()) / 2
        self._finish(key)
        self.add_later(key, wait_s)
        return wait_s

    def _finish(self, key: Key) -> None:
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def _promote(self) -> float | None:
        """Make keys ready whose time has come; seconds until the next one, None without any."""
        now = asyncio.get_running_loop().time()
        while self._later:
            moment, _, key = self._later[0]
            if self._due.get(key) != moment:  # cut short by an event, or asked for earlier
                heapq.heappop(self._later)
            elif moment <= now:
                heapq.heappop(self._later)
                self.add(key)
            else:
                return moment - now
        return None
