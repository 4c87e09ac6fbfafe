"""From what is observed of a run to the whole status of its resource. Pure; the only place where a status is made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentark.store import Progress
from agentark_operator.attempts.facts import State, Track, View
from agentark_operator.reasons import AnyReason, Reason
from agentark_operator.status.conditions import Finding, merged

_OVER = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class ObservedStage:
    """A stage of the plan as the store and the cluster show it."""

    name: str
    kind: str
    key: str
    view: View
    track: Track = field(default_factory=Track)
    progress: Progress | None = None

    @property
    def state(self) -> State:
        """Where it is."""
        return self.view.state


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that a status is made of."""

    run_id: str = ""
    """The run; empty where the spec could not be planned."""
    stages: Sequence[ObservedStage] = ()
    """In the order of the plan."""
    suspended: bool = False
    """Whether the spec says so."""
    stalled: tuple[AnyReason, str] | None = None
    """Reason and message of what waits for a person; None where nothing does."""
    waiting: tuple[AnyReason, str] | None = None
    """Reason and message of what keeps the operator from looking at the stages; it comes by itself or is mended."""
    ended: tuple[AnyReason, str] | None = None
    """Reason and message of what ended the run before its stages were done."""
    requested_at: str = ""
    """The annotation that the run obeys."""
    history: int = 5
    """Earlier runs to keep in the status."""
    scores: Sequence[Mapping[str, str]] = ()
    """Measured values."""
    score: str = ""
    """The one shown by `kubectl get`."""
    usage: Mapping[str, Any] = field(default_factory=dict)
    """Tokens, GPU seconds and cost so far."""
    outputs: Sequence[Mapping[str, str]] = ()
    """Artifacts for others."""
    note: str = ""
    """What else to say of a run that succeeded, such as why its student was not released."""


def summarize(observed: Observed, before: Mapping[str, Any], *, generation: int, now: str) -> dict[str, Any]:
    """The status of a resource that runs stages.

    Args:
        observed: What a pass found.
        generation: Of the spec that was observed.
        now: The time, ISO 8601 in UTC.
    """
    phase, findings = _verdict(observed)
    if observed.waiting is not None and not observed.run_id and before.get("observedGeneration") == generation:
        phase, findings = _still(phase, findings, before)
    status: dict[str, Any] = {
        "observedGeneration": generation,
        "phase": phase,
        "conditions": merged(before.get("conditions") or (), findings, generation=generation, now=now),
    }
    if not observed.run_id:
        return status | _unseen(observed, before, generation, now)
    status["stages"] = [_stage(stage) for stage in observed.stages]
    status |= _times(observed, phase, before, generation, now)
    current = _current(observed.stages)
    if current is not None and phase != "Succeeded":
        status["currentStage"] = current.name
        if current.track.attempt:
            status["attempt"] = current.track.attempt
        if current.progress is not None and current.state == "Running":
            status["progress"] = _progress(current.progress, before, current.name)
    fields: dict[str, Any] = {
        "scores": [dict(score) for score in observed.scores],
        "score": observed.score,
        "usage": dict(observed.usage),
        "outputs": [dict(output) for output in observed.outputs],
        "requestedAt": observed.requested_at,
    }
    return status | {name: value for name, value in fields.items() if value}


def again(before: Mapping[str, Any], *, generation: int, requested_at: str) -> bool:
    """Whether a person asked for another run than the one that a status tells of: outright, or by mending one that
    failed.
    """
    mended = before.get("phase") == "Failed" and before.get("observedGeneration") != generation
    return mended or before.get("requestedAt", "") != requested_at


def over(status: Mapping[str, Any]) -> bool:
    """Whether a status says that its run has ended."""
    return status.get("phase") in _OVER


def tracks_of(status: Mapping[str, Any]) -> dict[str, Track]:
    """What a status remembers of each stage, by key."""
    return {
        stage["key"]: Track(
            attempt=stage.get("attempt", 0),
            failures=stage.get("failures", 0),
            interruptions=stage.get("interruptions", 0),
            counted=stage.get("counted", 0),
            next_attempt_at=stage.get("nextAttemptAt", ""),
            gpu_seconds=stage.get("gpuSeconds", 0),
            message=stage.get("lastFailure", ""),
        )
        for stage in status.get("stages") or ()
    }


def _still(phase: str, findings: list[Finding], before: Mapping[str, Any]) -> tuple[str, list[Finding]]:
    """A run of which the sight is lost, as when its store is down, goes on or rests as before: pods know nothing."""
    if before.get("phase") not in ("Running", "Suspended"):
        return phase, findings
    same = [
        Finding(old["type"], old["status"] == "True", old["reason"], old["message"])
        for old in before.get("conditions") or ()
        if old["type"] in ("Suspended", "QuotaReserved")
    ]
    return str(before["phase"]), [*findings, *same]


def _unseen(observed: Observed, before: Mapping[str, Any], generation: int, now: str) -> dict[str, Any]:
    """Nothing was seen of the run: what was last known of it stands."""
    kept = ["runId", "startedAt", "stages", "usage", "scores", "score", "outputs", "runs", "requestedAt"]
    if before.get("observedGeneration") == generation:
        kept += ["currentStage", "attempt", "progress"]
    status = {name: before[name] for name in kept if name in before}
    if before.get("observedGeneration") == generation or "stages" not in status:
        return status
    # A person changed something: what went wrong before is forgiven, and a run that had failed is history.
    blame = ("failures", "interruptions", "lastFailure", "nextAttemptAt")
    status["stages"] = [{name: stage[name] for name in stage if name not in blame} for stage in status["stages"]]
    if before.get("phase") == "Failed" and "runId" in status:
        status["runs"] = [_past(before, now), *status.get("runs", ())][: observed.history]
        del status["runId"], status["startedAt"]
    return status


def _times(observed: Observed, phase: str, before: Mapping[str, Any], generation: int, now: str) -> dict[str, Any]:
    other = again(before, generation=generation, requested_at=observed.requested_at)
    same = before.get("runId") == observed.run_id and not other
    times: dict[str, Any] = {"runId": observed.run_id, "startedAt": before.get("startedAt", now) if same else now}
    if phase in _OVER:
        times["completedAt"] = before.get("completedAt", now) if same else now
    runs = list(before.get("runs") or ())
    if not same and before.get("runId"):
        runs.insert(0, _past(before, now))
    runs = runs[: observed.history]
    return times | ({"runs": runs} if runs else {})


def _past(before: Mapping[str, Any], now: str) -> dict[str, Any]:
    kept = {name: before[name] for name in ("runId", "phase", "startedAt", "score") if name in before}
    return kept | {"completedAt": before.get("completedAt", now)}


def _verdict(observed: Observed) -> tuple[str, list[Finding]]:
    if observed.stalled is not None:
        reason, message = observed.stalled
        return "Pending", [Finding("Ready", False, reason, message), Finding("Stalled", True, reason, message)]
    if observed.waiting is not None:
        return "Pending", _waits(*observed.waiting)
    if observed.ended is not None:
        return "Failed", _fails(*observed.ended)
    stages = observed.stages
    if stages and all(stage.state in ("Cached", "Done") for stage in stages):
        cached = sum(stage.state == "Cached" for stage in stages)
        message = f"all {len(stages)} stages are done, {cached} of them found in the store"
        message += f"; {observed.note}" if observed.note else ""
        return "Succeeded", [
            Finding("Ready", True, Reason.COMPLETE, message),
            Finding("Complete", True, Reason.COMPLETE, message),
        ]
    failed = next((stage for stage in stages if stage.state == "Failed"), None)
    running = [stage for stage in stages if stage.state == "Running"]
    if failed is not None and not running:
        return "Failed", _fails(failed.view.reason or Reason.STAGE_FAILED, f"{failed.name}: {failed.view.message}")
    if observed.suspended and not running:
        message = "spec.suspend is true; finished work is kept, set it to false to go on"
        return "Suspended", [
            Finding("Ready", False, Reason.SUSPENDED, message),
            Finding("Suspended", True, Reason.SUSPENDED, message),
        ]
    return _goes_on(stages, failed)


def _goes_on(stages: Sequence[ObservedStage], failed: ObservedStage | None) -> tuple[str, list[Finding]]:
    begun = any(stage.state == "Running" and stage.view.begun for stage in stages)
    current = _current([stage for stage in stages if stage.state != "Failed"])
    if current is None:
        return "Pending", _waits(Reason.PLANNING, "the run is being planned")
    reason = current.view.reason or (Reason.STAGE_RUNNING if begun else Reason.WAITING)
    message = f"{current.name}: {current.view.message or current.state.lower()}"
    if failed is not None:
        message = f"{failed.name} failed ({failed.view.message}); waits for the stages that still run: {message}"
    findings = _waits(reason, message)
    queued = [stage for stage in stages if stage.view.queued is not None]
    if queued:
        waiting = next((stage for stage in queued if stage.view.queued), None)
        shown = waiting or queued[0]
        text = shown.view.message or f"{shown.view.object} was admitted"
        findings.append(
            Finding("QuotaReserved", waiting is None, Reason.WAITING_FOR_QUOTA if waiting else Reason.ADMITTED, text)
        )
    return "Running" if begun else "Pending", findings


def _waits(reason: AnyReason, message: str) -> list[Finding]:
    return [Finding("Ready", False, reason, message), Finding("Reconciling", True, reason, message)]


def _fails(reason: AnyReason, message: str) -> list[Finding]:
    failed = [Finding("Stalled", True, reason, message), Finding("Failed", True, reason, message)]
    return [Finding("Ready", False, reason, message), *failed]


def _current(stages: Sequence[ObservedStage]) -> ObservedStage | None:
    """The stage that failed, else runs, else waits for something other than stages before it, else waits."""
    for state in ("Failed", "Running"):
        first = next((stage for stage in stages if stage.state == state), None)
        if first is not None:
            return first
    waiting = [stage for stage in stages if stage.state == "Waiting"]
    own = (stage for stage in waiting if stage.view.reason not in (Reason.WAITING_FOR_INPUTS, Reason.NOT_STARTED))
    return next(own, next(iter(waiting), None))


def _stage(stage: ObservedStage) -> dict[str, Any]:
    view, track = stage.view, stage.track
    row: dict[str, Any] = {"name": stage.name, "kind": stage.kind, "key": stage.key, "state": view.state}
    remembered = {
        "attempt": track.attempt,
        "failures": track.failures,
        "interruptions": track.interruptions,
        "counted": track.counted,
        "gpuSeconds": track.gpu_seconds,
        "nextAttemptAt": track.next_attempt_at if view.state == "Waiting" else "",
        "lastFailure": track.message[:2048],
        "object": view.object,
    }
    row |= {name: value for name, value in remembered.items() if value}
    said = view.reason not in (Reason.STAGE_RUNNING, Reason.WAITING_FOR_INPUTS)
    return row | ({"message": view.message[:4096]} if view.message and said else {})


def _progress(progress: Progress, before: Mapping[str, Any], stage: str) -> dict[str, Any]:
    """How far it is; as long as the percentage is the same, as it was: a status is not written for less."""
    percent = int(progress.percent)
    known = before.get("progress")
    if known and known["percent"] == percent and before.get("currentStage") == stage:
        return dict(known)
    shown = {"percent": percent, "done": progress.done, "total": progress.total}
    return shown | ({"remainingSeconds": int(progress.eta_s)} if progress.eta_s is not None else {})
