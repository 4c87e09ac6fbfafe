"""Servers that did not answer of late: one pass asks again every few seconds, all others are told at once.

A pass waits seconds for a server that is down. Those of a thousand resources, each waiting for itself, would keep the
passes of all other stores waiting.
"""

import threading
import time
from collections.abc import Callable

from agentark.errors import StoreUnavailable

DOWN_S = 5.0
"""A server that did not answer is asked again after so long."""
ASKING_S = 60.0
"""Whoever asks again may wait for so long before the next one asks."""


class Outages:
    """What is known of servers that are down; methods may be called from any thread.

    Args:
        clock: Seconds of a clock that never runs backwards.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._found: dict[str, tuple[float, str]] = {}

    def saw(self, server: str, text: str) -> None:
        """A server does not answer; the text says so to people."""
        with self._lock:
            self._found[server] = (self._clock() + DOWN_S, text)

    def check(self, server: str) -> None:
        """Let the caller ask a server, unless it was found down a moment ago; then one caller asks for all.

        Raises:
            StoreUnavailable: It is taken to be down still.
        """
        with self._lock:
            until, text = self._found.get(server, (0.0, ""))
            if not text:
                return
            if self._clock() < until:
                raise StoreUnavailable(text)  # not StoreUnreachable: that would be a new sight of it
            # Whoever comes while this one asks takes it to be down.
            self._found[server] = (self._clock() + ASKING_S, text)

    def answered(self, server: str) -> None:
        """A server answers."""
        if server in self._found:
            with self._lock:
                self._found.pop(server, None)
