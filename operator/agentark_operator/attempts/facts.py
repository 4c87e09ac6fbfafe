"""What is known of a run and its stages, and how a stage stands: the words in which it is decided what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agentark.api import DebateRun, DistillJob, PRMTraining, RunPolicy
from agentark.planning import Stage
from agentark.store import Progress
from agentark_operator.attempts.workload import QUEUE
from agentark_operator.diagnosis.failures import Failure
from agentark_operator.reasons import NO_REASON, AnyReason

AttemptState = Literal["Queued", "Pending", "Running", "Succeeded", "Failed", "Suspended"]
Runs = DebateRun | PRMTraining | DistillJob
"""Resources that run stages."""
State = Literal["Waiting", "Cached", "Running", "Done", "Failed"]


@dataclass(frozen=True, slots=True)
class Track:
    """What the status remembers of a stage, beyond what cluster and store show."""

    attempt: int = 0
    """Number of the last attempt."""
    failures: int = 0
    """Attempts that failed by their own work."""
    interruptions: int = 0
    """Attempts that something else ended."""
    counted: int = 0
    """The last attempt whose end is in these numbers."""
    next_attempt_at: str = ""
    """When the next attempt may begin."""
    gpu_seconds: int = 0
    """GPUs times seconds of ended attempts."""
    message: str = ""
    """How the last counted attempt ended: "Reason: what was found"."""

    @property
    def reason(self) -> str:
        """Why the last counted attempt ended; empty where none did."""
        return self.message.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Attempt:
    """A child object that is one attempt at a stage."""

    number: int
    body: Mapping[str, Any]
    """The object as last seen."""
    state: AttemptState
    """Queued: suspended until Kueue admits it. Pending: pods wait for a node, an image, a quota."""
    reason: AnyReason = NO_REASON
    message: str = ""
    """Why it waits or how it ended; empty while it runs."""
    failure: Failure | None = None
    """Of a failed attempt, or of one that runs and will come to nothing."""
    started_at: str = ""
    """When its first pod had a node: from then on it holds what it asked for."""
    working_since: str = ""
    """When the last of its containers began."""
    ended_at: str = ""
    outdated: bool = False
    """Whether the spec says something else by now than it was made of."""

    @property
    def label(self) -> str:
        """Kind/name, for people."""
        return f"{self.body['kind']}/{self.body['metadata']['name']}"

    @property
    def over(self) -> bool:
        """Whether it has ended, well or not."""
        return self.state in ("Succeeded", "Failed")

    @property
    def begun(self) -> bool:
        """Whether its pods run, or have run."""
        return self.state == "Running" or self.over

    @property
    def queued(self) -> bool:
        """Whether somebody else lets it begin: Kueue."""
        return QUEUE in (self.body["metadata"].get("labels") or {})


@dataclass(frozen=True, slots=True)
class View:
    """How a stage stands."""

    state: State
    reason: AnyReason = NO_REASON
    message: str = ""
    """For a person: what is waited for, what failed, how to mend it."""
    object: str = ""
    """Kind/name of what runs it."""
    queued: bool | None = None
    """Whether it waits for a quota; None where no queue is involved."""
    begun: bool = True
    """Of a running stage: whether its pods run."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one stage."""

    stage: Stage
    done: bool = False
    """Its manifest is in the store."""
    by_embedded: bool = False
    """A resource that was made of what this one embeds did it."""
    progress: Progress | None = None
    """What it last reported."""
    progress_unreadable: bool = False
    """It reported something that cannot be read, so nobody knows when it was last heard of."""
    attempts: Sequence[Attempt] = ()
    """Objects in the cluster, in any order."""
    pods_alive: int = 0
    """Pods of any attempt that may still run something, those without an object too."""
    track: Track = Track()
    delegated: View | None = None
    """How it stands with the resource that runs it in this one's place; None where this one does it itself."""

    @property
    def current(self) -> Attempt | None:
        """The object of the last attempt; None where that one is gone, or none was made."""
        number = max((attempt.number for attempt in self.attempts), default=0)
        number = max(number, self.track.attempt)
        return next((attempt for attempt in self.attempts if attempt.number == number), None)

    @property
    def object(self) -> str:
        """Kind/name of the object of the last attempt; empty where there is none."""
        return self.current.label if self.current else ""


@dataclass(frozen=True, slots=True)
class Run:
    """The run as a whole."""

    uid: str
    """Of the resource."""
    policy: RunPolicy
    suspended: bool
    started_at: str
    """ISO 8601, UTC; empty before it has begun."""
    now_s: float
    """Seconds since the epoch."""
    base_wait_s: float = 10.0
    """Wait after a first failure; doubles with each."""
