"""What to do next for the stages of a run: begin, replace, suspend, give up. Pure; knows no backend.

A stage's attempts have numbers. The last one is whatever the status or the cluster knows as highest; the next one
begins only when the last has ended, is counted in the status, its wait is over, and none of its pods is left.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from agentark.api import RunPolicy
from agentark.planning import Stage
from agentark.store import Progress
from agentark_operator.failures import Failure
from agentark_operator.instants import parsed, written

State = Literal["Waiting", "Cached", "Running", "Done", "Failed"]
LONGEST_WAIT_S = 600.0
_ENDED = ("Succeeded", "Failed")


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
    """How the last counted attempt ended."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A child object that is one attempt at a stage."""

    number: int
    body: Mapping[str, Any]
    """The object as last seen."""
    state: Literal["Queued", "Pending", "Running", "Succeeded", "Failed", "Suspended"]
    reason: str = ""
    message: str = ""
    failure: Failure | None = None
    started_at: str = ""
    ended_at: str = ""

    @property
    def label(self) -> str:
        """Kind/name, for people."""
        return f"{self.body['kind']}/{self.body['metadata']['name']}"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one stage."""

    stage: Stage
    done: bool = False
    """Its manifest is in the store."""
    progress: Progress | None = None
    """What it last reported."""
    attempts: Sequence[Attempt] = ()
    """Objects in the cluster, in any order."""
    pods_alive: int = 0
    """Pods of any attempt that may still run something, those without an object too."""
    track: Track = Track()
    delegated: "View | None" = None
    """How it stands with the resource that runs it in this one's place; None where this one does it itself."""


@dataclass(frozen=True, slots=True)
class View:
    """How a stage stands."""

    state: State
    reason: str = ""
    """In one CamelCase word."""
    message: str = ""
    """For a person: what is waited for, what failed, how to mend it."""
    object: str = ""
    """Kind/name of what runs it."""
    queued: bool | None = None
    """Whether it waits for a quota; None where no queue is involved."""
    begun: bool = True
    """Of a running stage: whether its pods run."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Make an attempt."""

    stage: Stage
    number: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from the facts."""

    views: Mapping[str, View]
    """Key of the stage -> how it stands."""
    tracks: Mapping[str, Track]
    """Key of the stage -> what is to be remembered."""
    begin: Sequence[Begin] = ()
    """Attempts to make."""
    remove: Sequence[Mapping[str, Any]] = ()
    """Objects to delete."""
    suspend: Sequence[tuple[Mapping[str, Any], bool]] = ()
    """Objects to suspend or to let go on."""
    due_s: float | None = None
    """Seconds after which time alone changes something."""
    ended: tuple[str, str] | None = None
    """Reason and message of what ended the whole run before its stages were done."""


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


def decide(facts: Sequence[Facts], run: Run) -> Decision:
    """What to do about the stages of a run.

    Args:
        facts: Every stage, in the order of the plan.
        run: What is asked of the whole.
    """
    done = {one.stage.key for one in facts if one.done}
    counted = [_counted(one, run) for one in facts]
    if (ended := _deadline(counted, run)) is not None:
        return ended
    failed = {one.stage.key: view for one in counted if (view := _given_up(one, run)) is not None}
    failed |= {one.stage.key: one.delegated for one in counted if one.delegated and one.delegated.state == "Failed"}
    views: dict[str, View] = {}
    begin: list[Begin] = []
    remove: list[Mapping[str, Any]] = []
    suspend: list[tuple[Mapping[str, Any], bool]] = []
    due: list[float] = []
    for one in counted:
        key = one.stage.key
        last = _last(one)
        if one.done:
            views[key] = View("Done" if one.track.attempt else "Cached", object=last.label if last else "")
        elif key in failed:
            views[key] = failed[key]
        elif one.delegated is not None:
            views[key] = one.delegated
        elif last is not None and last.number == one.track.attempt and one.track.counted < last.number:
            views[key] = _working(one, last, run, due, remove, suspend)
        else:
            remove += [attempt.body for attempt in one.attempts if attempt.state not in _ENDED]
            views[key] = _next(one, done, bool(failed), run, due, begin)
    return Decision(
        views=views,
        tracks={one.stage.key: one.track for one in counted},
        begin=begin,
        remove=remove,
        suspend=suspend,
        due_s=min(due, default=None),
    )


def _last(one: Facts) -> Attempt | None:
    return max(one.attempts, key=lambda attempt: attempt.number, default=None)


def _counted(one: Facts, run: Run) -> Facts:
    """The same facts with the end of the last attempt counted, if it has ended."""
    track, last = one.track, _last(one)
    number = max(track.attempt, last.number if last else 0)
    track = replace(track, attempt=number)
    if not number or track.counted >= number:
        return replace(one, track=track)
    if one.done:
        used = track.gpu_seconds + gpu_seconds(one.stage, last, run.now_s)
        return replace(one, track=replace(track, counted=number, gpu_seconds=used, next_attempt_at=""))
    failure = _end_of(one, last if last and last.number == number else None, run)
    if failure is None:
        return replace(one, track=track)
    ended = last.ended_at if last and last.number == number else ""
    track = replace(
        track,
        counted=number,
        failures=track.failures + (failure.kind != "Interruption"),
        interruptions=track.interruptions + (failure.kind == "Interruption"),
        gpu_seconds=track.gpu_seconds + gpu_seconds(one.stage, last, run.now_s),
        message=f"{failure.reason}: {failure.message}" if failure.message else failure.reason,
    )
    wait_s = 0.0 if failure.kind == "InvalidInput" else _wait_s(track, failure, run, one.stage.key)
    at = max(parsed(ended) + wait_s if ended else run.now_s + wait_s, run.now_s)
    return replace(one, track=replace(track, next_attempt_at=written(at)))


def _end_of(one: Facts, last: Attempt | None, run: Run) -> Failure | None:
    """Why the last attempt is over; None while it is not."""
    if last is None:
        return Failure("Interruption", "ObjectGone", "the object that ran the attempt was deleted", None)
    if last.state == "Failed":
        return last.failure or Failure("Application", "Failed", last.message, None)
    if last.state == "Succeeded":
        text = f"{last.label} ended well, but committed no result; its log says what it did"
        return Failure("Application", "NoResult", text, None)
    if last.state == "Running" and not run.suspended and _silent_s(one, last, run) > run.policy.stall_timeout_seconds:
        return Failure(
            "Stalled",
            "StallDetected",
            f"no progress for {run.policy.stall_timeout_seconds} s (runPolicy.stallTimeoutSeconds)",
            None,
        )
    return None


def _silent_s(one: Facts, last: Attempt, run: Run) -> float:
    """Seconds since the attempt was last heard of."""
    moments = [parsed(last.started_at)] if last.started_at else [run.now_s]
    if one.progress is not None:
        moments.append(parsed(one.progress.heartbeat_at))
    return run.now_s - max(moments)


def _wait_s(track: Track, failure: Failure, run: Run, key: str) -> float:
    """Doubles with each failure; the part that is drawn depends on the attempt alone, so a restart draws the same."""
    times = track.interruptions if failure.kind == "Interruption" else track.failures
    base_s = run.base_wait_s / 10 if failure.kind == "Interruption" else run.base_wait_s
    most_s = min(LONGEST_WAIT_S, base_s * 2.0 ** min(times - 1, 30))
    drawn = int(hashlib.sha256(f"{run.uid}{key}{track.attempt}".encode()).hexdigest()[:8], 16) / 2**32
    return most_s * (1 + drawn) / 2


def _given_up(one: Facts, run: Run) -> View | None:
    """The view of a stage that gets no further attempt; None where it may."""
    track, last = one.track, _last(one)
    if one.done or not track.counted or track.counted < track.attempt:
        return None
    failure = last.failure if last and last.number == track.counted else None
    if failure is not None and failure.kind == "InvalidInput":
        return View("Failed", "InvalidInput", failure.message, last.label if last else "")
    if track.failures > run.policy.backoff_limit:
        text = f"failed {track.failures} times (runPolicy.backoffLimit is {run.policy.backoff_limit}); the last time: "
        return View("Failed", "BackoffLimitExceeded", text + track.message, last.label if last else "")
    if track.interruptions > run.policy.interruption_limit:
        text = f"was interrupted {track.interruptions} times (runPolicy.interruptionLimit); the last time: "
        return View("Failed", "InterruptionLimitExceeded", text + track.message, last.label if last else "")
    return None


def _deadline(facts: Sequence[Facts], run: Run) -> Decision | None:
    """The end of a run whose time is over."""
    limit_s = run.policy.active_deadline_seconds
    late = limit_s is not None and run.started_at and run.now_s - parsed(run.started_at) > limit_s
    if late and not all(one.done for one in facts):
        ended = ("DeadlineExceeded", f"not done {limit_s} s after the start (runPolicy.activeDeadlineSeconds)")
        return _all_off(facts, ended)
    wait_s = run.policy.pre_running_deadline_seconds
    if wait_s is None or run.suspended:
        return None
    for one in facts:
        last = _last(one)
        if one.done or last is None or last.state not in ("Pending", "Queued"):
            continue
        made = last.body["metadata"].get("creationTimestamp", "")
        if made and run.now_s - parsed(made) > wait_s:
            text = f"{one.stage.name}: {last.label} did not start within {wait_s} s (preRunningDeadlineSeconds)"
            return _all_off(facts, ("PreRunningDeadlineExceeded", f"{text}: {last.message or last.reason}"))
    return None


def _all_off(facts: Sequence[Facts], ended: tuple[str, str]) -> Decision:
    def view(one: Facts) -> View:
        if one.done:
            return View("Done" if one.track.attempt else "Cached")
        return View("Failed", ended[0], "stopped") if one.attempts else View("Waiting")

    return Decision(
        views={one.stage.key: view(one) for one in facts},
        tracks={one.stage.key: one.track for one in facts},
        remove=[attempt.body for one in facts for attempt in one.attempts if attempt.state not in _ENDED],
        ended=ended,
    )


def _working(
    one: Facts,
    last: Attempt,
    run: Run,
    due: list[float],
    remove: list[Mapping[str, Any]],
    suspend: list[tuple[Mapping[str, Any], bool]],
) -> View:
    """A stage whose last attempt has not ended."""
    policy = run.policy
    if run.started_at and policy.active_deadline_seconds is not None:
        due.append(parsed(run.started_at) + policy.active_deadline_seconds - run.now_s + 0.1)
    if run.suspended:
        if _has_queue(last.body):
            remove.append(last.body)  # who manages the queue would let it go on
        elif last.state != "Suspended":
            suspend.append((last.body, True))
        waits = f"; {one.pods_alive} pods are still ending" if one.pods_alive else ""
        return View("Waiting", "Suspended", f"{last.label} is suspended{waits}", last.label)
    if last.state == "Suspended":
        suspend.append((last.body, False))
        return View("Running", "Resumed", f"{last.label} goes on", last.label, begun=False)
    if last.state == "Queued":
        return View("Waiting", last.reason or "WaitingForQuota", last.message, last.label, queued=True)
    queued = False if _has_queue(last.body) else None
    if last.state == "Pending":
        if policy.pre_running_deadline_seconds is not None:
            made = parsed(last.body["metadata"]["creationTimestamp"])
            due.append(made + policy.pre_running_deadline_seconds - run.now_s + 0.1)
        return View("Running", last.reason or "PodsPending", last.message, last.label, queued=queued, begun=False)
    due.append(policy.stall_timeout_seconds - _silent_s(one, last, run) + 0.1)
    return View("Running", "StageRunning", "", last.label, queued=queued)


def _next(one: Facts, done: set[str], stopping: bool, run: Run, due: list[float], begin: list[Begin]) -> View:
    """A stage that has no attempt, or whose last one is over."""
    missing = [key for key in one.stage.inputs.values() if key not in done]
    if missing:
        return View("Waiting", "WaitingForInputs", "waits for the stages before it")
    if stopping:
        return View("Waiting", "NotStarted", "not started, as another stage failed")
    if run.suspended:
        return View("Waiting", "Suspended", "not started, as spec.suspend is true")
    left_s = parsed(one.track.next_attempt_at) - run.now_s if one.track.next_attempt_at else 0.0
    if left_s > 0:
        due.append(left_s + 0.05)
        text = f"attempt {one.track.attempt} ended: {one.track.message}; the next begins at {one.track.next_attempt_at}"
        return View("Waiting", "Retrying", text)
    last = _last(one)
    if one.pods_alive or any(attempt.state not in _ENDED for attempt in one.attempts):
        return View("Waiting", "PodsEnding", f"waits for the last pods of attempt {one.track.attempt} to end")
    begin.append(Begin(one.stage, one.track.attempt + 1))
    return View("Running", "Starting", "its pods are being made", last.label if last else "", begun=False)


def _has_queue(body: Mapping[str, Any]) -> bool:
    return "kueue.x-k8s.io/queue-name" in (body["metadata"].get("labels") or {})


def gpu_seconds(stage: Stage, attempt: Attempt | None, now_s: float) -> int:
    """GPUs times seconds that an attempt held."""
    if attempt is None or not attempt.started_at:
        return 0
    ended_s = parsed(attempt.ended_at) if attempt.ended_at else now_s
    gpus = stage.resources.nodes * stage.resources.gpus_per_node
    return round(gpus * max(0.0, ended_s - parsed(attempt.started_at)))
