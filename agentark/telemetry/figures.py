"""The figures of a stage that runs in this process, as plain numbers. Knows nothing of how they are served."""

import bisect
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock

from agentark.store import Progress

REQUEST_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Of requests to models: a short answer of a small model to a long one of a large model."""
STORE_BUCKETS_S = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)
"""Of requests to stores: a progress file to a model's weights."""
UPLOAD_BUCKETS_S = (0.1, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0)
"""Of checkpoints on their way into the store."""


class Histogram:
    """How often something took how long; not safe to use from many threads by itself.

    Args:
        bounds: Upper bounds of the buckets in seconds, ascending; what takes longer is counted apart.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self.total_s = 0.0
        """Sum of everything observed."""

    def observe(self, seconds: float) -> None:
        self._counts[bisect.bisect_left(self._bounds, seconds)] += 1
        self.total_s += seconds

    def cumulative(self) -> list[tuple[float, int]]:
        """Bound -> how many took at most so long; the last bound is infinite."""
        buckets, so_far = [], 0
        for bound, count in zip((*self._bounds, float("inf")), self._counts, strict=True):
            so_far += count
            buckets.append((bound, so_far))
        return buckets


@dataclass
class Checkpointing:
    """What is known of checkpoints."""

    last_at: float
    """When the last one was complete, in seconds since the epoch."""
    size: int
    """Its bytes."""
    uploads: Histogram = field(default_factory=lambda: Histogram(UPLOAD_BUCKETS_S))
    """How long they took into the store."""


class StageFigures:
    """Figures of one attempt at a stage in one process; methods may be called from any thread.

    `lock` guards the attributes for whoever reads several at once.

    Args:
        stage_name: The stage's name in its plan, such as distill/RSFT.
        clock: Seconds since the epoch.
    """

    def __init__(self, stage_name: str = "", *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.lock = Lock()
        self.stage_name = stage_name
        self.started_at = clock()
        self.heartbeat_at = self.started_at
        """When it was last heard of, in seconds since the epoch."""
        self.progress: Progress | None = None
        """The last known; None in processes that report none, and before the first unit is done."""
        self.requests: Counter[tuple[str, str]] = Counter()
        """Model and outcome -> requests to it."""
        self.request_seconds: dict[str, Histogram] = {}
        """Model -> durations of answered requests, waiting for a free slot not included."""
        self.tokens: Counter[tuple[str, str]] = Counter()
        """Model and direction -> tokens."""
        self.checkpoints: Checkpointing | None = None
        """None before the first one."""
        self.store_requests: Counter[tuple[str, str]] = Counter()
        """Operation and outcome -> requests to the store."""
        self.store_seconds: dict[str, Histogram] = {}
        """Operation -> durations."""

    def progressed(self, progress: Progress) -> None:
        """Take how far the stage is."""
        with self.lock:
            self.progress = progress
            self.heartbeat_at = self._clock()

    def asks(self, model: str) -> None:
        """Show a model at zero before it is asked; Prometheus sees no growth in a counter that begins at one."""
        with self.lock:
            for outcome in ("Answered", "Failed"):
                self.requests[model, outcome] += 0
            for direction in ("prompt", "completion"):
                self.tokens[model, direction] += 0
            self.request_seconds.setdefault(model, Histogram(REQUEST_BUCKETS_S))

    def answered(self, model: str, seconds: float, *, prompt_tokens: int, completion_tokens: int) -> None:
        """Count an answered request."""
        with self.lock:
            self.requests[model, "Answered"] += 1
            self.request_seconds.setdefault(model, Histogram(REQUEST_BUCKETS_S)).observe(seconds)
            self.tokens[model, "prompt"] += prompt_tokens
            self.tokens[model, "completion"] += completion_tokens

    def refused(self, model: str) -> None:
        """Count a request that was given up."""
        with self.lock:
            self.requests[model, "Failed"] += 1

    def saved(self, size: int, seconds: float) -> None:
        """Count a checkpoint that is complete in the store.

        Args:
            size: Bytes.
            seconds: It took to get there.
        """
        with self.lock:
            if self.checkpoints is None:
                self.checkpoints = Checkpointing(self._clock(), size)
            self.checkpoints.last_at, self.checkpoints.size = self._clock(), size
            self.checkpoints.uploads.observe(seconds)

    def stored(self, operation: str, outcome: str, seconds: float) -> None:
        """Count a request to the store; see `agentark.telemetry.metered`."""
        with self.lock:
            if operation not in self.store_seconds:
                self.store_seconds[operation] = Histogram(STORE_BUCKETS_S)
                self.store_requests[operation, "Failed"] += 0
            self.store_requests[operation, outcome] += 1
            self.store_seconds[operation].observe(seconds)
