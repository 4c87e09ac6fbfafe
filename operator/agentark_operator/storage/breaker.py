"""A circuit breaker for each server: one pass asks one that is down every few seconds, all others are told at once.

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


class CircuitBreaker:
    """Keeps calls from servers that are down; methods may be called from any thread.

    Args:
        clock: Seconds of a clock that never runs backwards.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[str, tuple[float, str]] = {}

    def trip(self, server: str, text: str) -> None:
        """Open the circuit of a server that does not answer; the text says so to people."""
        with self._lock:
            self._open[server] = (self._clock() + DOWN_S, text)

    def check(self, server: str) -> None:
        """Let the caller ask a server, unless it was found down a moment ago; then one caller asks for all.

        Raises:
            StoreUnavailable: It is taken to be down still.
        """
        with self._lock:
            until, text = self._open.get(server, (0.0, ""))
            if not text:
                return
            if self._clock() < until:
                raise StoreUnavailable(text)  # not StoreUnreachable: that would be a new sight of it
            # Whoever comes while this one asks takes it to be down.
            self._open[server] = (self._clock() + ASKING_S, text)

    def reset(self, server: str) -> None:
        """Close the circuit of a server that answers."""
        if server in self._open:
            with self._lock:
                self._open.pop(server, None)
