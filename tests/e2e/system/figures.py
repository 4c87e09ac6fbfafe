"""What a run took: the stages' own time, and how much more passed from the request to the answer. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from agentark.store import StageManifest


@dataclass(frozen=True, slots=True)
class Overhead:
    """Times of one run, in seconds."""

    wall_s: float
    """From the request to the answer."""
    stages_s: float
    """Sum over the stages, of which several may run at once."""
    working_s: float
    """Time in which at least one stage was at work."""

    @property
    def over_sum(self) -> float:
        """Wall time over the sum of the stages' times."""
        return self.wall_s / self.stages_s

    @property
    def over_work(self) -> float:
        """Wall time over the time in which a stage was at work."""
        return self.wall_s / self.working_s


def overhead(manifests: Iterable[StageManifest], wall_s: float) -> Overhead:
    """Hold the stages' times against the wall time.

    Args:
        manifests: Of the stages that the run executed.
        wall_s: Seconds from the request to the answer.
    """
    spans = sorted((_seconds(one.started_at), _seconds(one.finished_at)) for one in manifests)
    working, reached = 0.0, float("-inf")
    for begin, end in spans:
        working += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return Overhead(wall_s, sum(end - begin for begin, end in spans), working)


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
