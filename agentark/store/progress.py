"""How far a stage is, as one small object that is replaced every few seconds.

Workers that share a stage write one each, which a reader adds up.
"""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from threading import Lock
from types import TracebackType
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentark.errors import NotFound, StoreError
from agentark.store.interface import Store
from agentark.store.shares import ALL, Share
from agentark.store.stages import now, stage_path

_log = logging.getLogger(__name__)
_WINDOW_S = 60.0
"""The rate is that of about the last minute: it follows a change of speed and does not jump with each write."""


class Progress(BaseModel):
    """State of a stage that runs."""

    model_config = ConfigDict(frozen=True)

    percent: float = Field(ge=0, le=100)
    """Share that is done or has failed, 0 to 100; 0 while the total is not known."""
    done: int = Field(ge=0)
    """Finished units."""
    total: int = Field(ge=0)
    """All units; 0 = not known yet."""
    failed: int = Field(ge=0)
    """Units given up, not counted in `done`."""
    rate: float = Field(ge=0)
    """Finished units per second of late; 0 = not known yet."""
    eta_s: float | None
    """Seconds until the end at this rate; None = not known yet."""
    metrics: dict[str, float]
    """Last known measurements, e.g. the loss."""
    heartbeat_at: str
    """When this was written, ISO 8601 in UTC."""
    unit: str
    """What is counted, e.g. `questions`."""
    workers: int = Field(default=1, ge=1)
    """Processes that share the stage."""
    whole: int = Field(default=0, ge=0)
    """Of a worker's own progress: units of all workers together; 0 = it does all."""


class ProgressWriter:
    """Writes a stage's progress, at most once per interval however often it is told.

    A store that cannot take progress for a moment does not stop the work: that is logged. Safe to use from many
    threads; a call that writes lasts as long as the store takes.
    """

    def __init__(
        self,
        store: Store,
        kind: str,
        key: str,
        interval_s: float = 5.0,
        *,
        share: Share = ALL,
        unit: str = "items",
        clock: Callable[[], float] = time.monotonic,
        on_write: Callable[[Progress], object] = lambda _: None,
    ) -> None:
        """Prepare to write; nothing is written before the first update.

        Args:
            store: Where to.
            kind: Kind of the stage.
            key: Key of the stage.
            interval_s: Least time between two writes, in seconds.
            share: This process's part of the stage.
            unit: What is counted.
            clock: Seconds of a clock that never runs backwards.
            on_write: Told what is written, whether or not the store takes it.
        """
        self._store = store
        self._path = stage_path(kind, key, *_place(share))
        self._share = share
        self._interval_s = interval_s
        self._unit = unit
        self._clock = clock
        self._on_write = on_write
        self._lock = Lock()
        self._samples: deque[tuple[float, int]] = deque()
        self._counts = (0, 0, 0)
        self._whole = 0
        self._metrics: dict[str, float] = {}
        self._written_at: float | None = None
        self._pending = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def update(
        self, *, done: int, total: int, failed: int = 0, whole: int = 0, metrics: Mapping[str, float] | None = None
    ) -> None:
        """Take the present counts; `metrics` are merged into those known.

        Args:
            done: Finished units of this process.
            total: All units of this process.
            failed: Units given up.
            whole: All units of all workers, where several share the stage.
            metrics: Measurements.
        """
        with self._lock:
            self._counts = (done, total, failed)
            self._whole = whole
            self._metrics.update(metrics or {})
            self._pending = True
            time_s = self._clock()
            if self._written_at is None or time_s - self._written_at >= self._interval_s:
                self._write(time_s)

    def close(self) -> None:
        """Write what was not written yet."""
        with self._lock:
            if self._pending:
                self._write(self._clock())

    def _write(self, time_s: float) -> None:
        self._written_at = time_s
        self._pending = False
        progress = self._progress(time_s)
        self._on_write(progress)
        try:
            self._store.write(self._path, progress.model_dump_json().encode())
        except StoreError as error:
            _log.warning("progress was not written: %s", error)

    def _progress(self, time_s: float) -> Progress:
        done, total, failed = self._counts
        settled = done + failed
        # A resumed stage starts at what was done before, which took none of this attempt's time.
        self._samples.append((time_s, settled))
        while len(self._samples) > 2 and time_s - self._samples[1][0] >= _WINDOW_S:
            self._samples.popleft()
        first_s, first = self._samples[0]
        rate = max(0.0, (settled - first) / (time_s - first_s)) if time_s > first_s else 0.0
        return Progress(
            percent=_percent(settled, total),
            done=done,
            total=total,
            failed=failed,
            rate=round(rate, 4),
            eta_s=_eta_s(total - settled, rate) if total else None,
            metrics=dict(self._metrics),
            heartbeat_at=now(),
            unit=self._unit,
            workers=self._share.workers,
            whole=self._whole,
        )


def read_progress(store: Store, kind: str, key: str) -> Progress | None:
    """Return the last written progress of a stage, that of all its workers added up; None if it never wrote any.

    An earlier attempt may have had another number of workers: those who wrote last count.

    Raises:
        StoreError: If what lies there is no progress.
    """
    paths = [stage_path(kind, key, *_place(ALL)), *_of_workers(store, kind, key)]
    workers = [progress for path in paths if (progress := _read(store, path)) is not None]
    if not workers:
        return None
    latest = max(workers, key=lambda progress: progress.heartbeat_at)
    return _sum([progress for progress in workers if progress.workers == latest.workers])


def _place(share: Share) -> tuple[str, ...]:
    return ("progress.json",) if share.is_all else ("progress", f"{share.name}.json")


def _of_workers(store: Store, kind: str, key: str) -> list[str]:
    return [entry.path for entry in store.entries(stage_path(kind, key, "progress"))]


def _read(store: Store, path: str) -> Progress | None:
    try:
        return Progress.model_validate_json(store.read(path))
    except NotFound:
        return None
    except ValidationError as error:
        raise StoreError(f"store {store.uri}: {path} is not readable as progress; delete it") from error


def _sum(parts: list[Progress]) -> Progress:
    if len(parts) == 1 and not parts[0].whole:
        return parts[0]
    done, failed = sum(part.done for part in parts), sum(part.failed for part in parts)
    total = max(part.whole for part in parts)
    # Those who are done keep their last rate in the store, and help no more.
    rate = sum(part.rate for part in parts if part.done + part.failed < part.total)
    metrics: Counter[str] = Counter()
    for part in parts:
        metrics.update(part.metrics)
    return Progress(
        percent=_percent(done + failed, total),
        done=done,
        total=total,
        failed=failed,
        rate=round(rate, 4),
        eta_s=_eta_s(total - done - failed, rate),
        metrics=dict(metrics),
        heartbeat_at=max(part.heartbeat_at for part in parts),
        unit=parts[0].unit,
        workers=parts[0].workers,
    )


def _percent(settled: int, total: int) -> float:
    return round(min(100.0, 100.0 * settled / total), 2) if total else 0.0


def _eta_s(left: int, rate: float) -> float | None:
    return round(max(0, left) / rate, 1) if rate else None
