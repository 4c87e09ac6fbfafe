"""From what is observed of a run to the whole status of its resource. Pure; the only place where a status is made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agentark_operator.conditions import Finding, merged

StageState = Literal["Waiting", "Cached", "Running", "Done", "Failed"]


@dataclass(frozen=True, slots=True)
class ObservedStage:
    """A stage of the plan as the store and the cluster show it."""

    name: str
    kind: str
    key: str
    state: StageState
    message: str = ""
    """Why it waits or failed: the object, what is wrong, how to mend it."""
    reason: str = ""
    """The same in one CamelCase word."""
    percent: int | None = None
    """Of a stage that runs."""


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that a status is made of."""

    run_id: str = ""
    """The run; empty where the spec could not be planned."""
    stages: Sequence[ObservedStage] = ()
    """In the order of the plan."""
    suspended: bool = False
    """Whether the spec says so."""
    stalled: tuple[str, str] | None = None
    """Reason and message of what waits for a person; None where nothing does."""
    scores: Sequence[Mapping[str, str]] = ()
    """Measured values."""
    score: str = ""
    """The one shown by `kubectl get`."""


def summarize(observed: Observed, before: Mapping[str, Any], *, generation: int, now: str) -> dict[str, Any]:
    """The status of a resource that runs stages.

    Args:
        observed: What is the case.
        before: The status as it is.
        generation: Of the spec that was observed.
        now: The time, ISO 8601 in UTC.
    """
    phase, findings = _verdict(observed)
    status: dict[str, Any] = {
        "observedGeneration": generation,
        "phase": phase,
        "conditions": merged(before.get("conditions") or (), findings, generation=generation, now=now),
        "stages": [_stage(one) for one in observed.stages],
    }
    if observed.run_id:
        status["runId"] = observed.run_id
        same = before.get("runId") == observed.run_id
        status["startedAt"] = before.get("startedAt", now) if same else now
        if phase in ("Succeeded", "Failed"):
            status["completedAt"] = before.get("completedAt", now) if same else now
    current = _current(observed.stages)
    if current is not None and phase not in ("Succeeded",):
        status["currentStage"] = current.name
        if current.percent is not None:
            status["progress"] = {"percent": current.percent}
    if observed.scores:
        status["scores"] = [dict(one) for one in observed.scores]
    if observed.score:
        status["score"] = observed.score
    return status


def _verdict(observed: Observed) -> tuple[str, list[Finding]]:
    failed = next((one for one in observed.stages if one.state == "Failed"), None)
    if observed.stalled is not None:
        reason, message = observed.stalled
        return "Pending", [Finding("Ready", False, reason, message), Finding("Stalled", True, reason, message)]
    if failed is not None:
        reason, message = failed.reason or "StageFailed", f"{failed.name}: {failed.message}"
        return "Failed", [
            Finding("Ready", False, reason, message),
            Finding("Stalled", True, reason, message),
            Finding("Failed", True, reason, message),
        ]
    if observed.stages and all(one.state in ("Cached", "Done") for one in observed.stages):
        cached = sum(one.state == "Cached" for one in observed.stages)
        message = f"all {len(observed.stages)} stages are done, {cached} of them found in the store"
        return "Succeeded", [
            Finding("Ready", True, "Complete", message),
            Finding("Complete", True, "Complete", message),
        ]
    if observed.suspended:
        message = "spec.suspend is true; finished work is kept, set it to false to go on"
        return "Suspended", [
            Finding("Ready", False, "Suspended", message),
            Finding("Suspended", True, "Suspended", message),
        ]
    current = _current(observed.stages)
    running = current is not None and current.state == "Running"
    reason = (current.reason if current else "") or ("Running" if running else "Waiting")
    message = f"{current.name}: {current.message or current.state.lower()}" if current else "the run is being planned"
    return "Running" if running else "Pending", [
        Finding("Ready", False, reason, message),
        Finding("Reconciling", True, reason, message),
    ]


def _current(stages: Sequence[ObservedStage]) -> ObservedStage | None:
    """The stage that failed, else runs, else is the first that is not done."""
    for state in ("Failed", "Running", "Waiting"):
        found = next((one for one in stages if one.state == state), None)
        if found is not None:
            return found
    return None


def _stage(stage: ObservedStage) -> dict[str, Any]:
    found = {"name": stage.name, "kind": stage.kind, "key": stage.key, "state": stage.state}
    return found | ({"message": stage.message[:4096]} if stage.message else {})
