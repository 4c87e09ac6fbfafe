"""What happened between two statuses, as events for people: `kubectl describe` and `kubectl get events`. Pure.

An event says what somebody may want to know who does not look all the time; how far a run is stands in its status. A
reason is that of the condition, so that both are searched for by the same word.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agentark_operator.attempts.workload import MANAGER
from agentark_operator.reasons import COMES_BY_ITSELF, AnyReason, Reason, reason_of

Status = Mapping[str, Any]

_LONGEST_MESSAGE = 1024
"""What the newer API for events takes."""


@dataclass(frozen=True, slots=True)
class Happening:
    """Something to tell."""

    type: Literal["Normal", "Warning"]
    reason: AnyReason
    message: str
    mark: str = ""
    """Tells it from the same thing at another time; the same for all who see the same two statuses."""


def events(resource: Mapping[str, Any], before: Status, after: Status, *, now: str) -> list[dict[str, Any]]:
    """The events of a change of a resource's status.

    Args:
        now: The time, ISO 8601 in UTC.
    """
    tell = release_happenings if resource["kind"] == "ModelRelease" else happenings
    return [event(resource, happening, now=now) for happening in tell(before, after)]


def happenings(before: Status, after: Status) -> list[Happening]:
    """What to tell of a resource that runs stages."""
    return [*_runs(before, after), *_stages(before, after), *_waits(before, after), *_ends(before, after)]


def release_happenings(before: Status, after: Status) -> list[Happening]:
    """What to tell of a ModelRelease: another current version, or what keeps it from being what its spec wants."""
    told = list(_waits(before, after))
    current = after.get("current") or {}
    version, ready = current.get("version"), _condition(after, "Ready")
    if version and version != (before.get("current") or {}).get("version") and ready.get("status") == "True":
        score = f"; score {current['score']}" if current.get("score") else ""
        mark = f"{version} {ready.get('lastTransitionTime')} {before.get('current')}"
        told.append(Happening("Normal", reason_of(ready["reason"]), f"{ready['message']}{score}", mark))
    return told


def event(resource: Mapping[str, Any], happening: Happening, *, now: str) -> dict[str, Any]:
    """An event about a resource. Its name follows from what it tells, so whoever tells it again makes no second one.

    Args:
        now: The time, ISO 8601 in UTC.
    """
    metadata = resource["metadata"]
    content = "\0".join((metadata["uid"], happening.type, happening.reason, happening.message, happening.mark))
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    message = happening.message
    if len(message) > _LONGEST_MESSAGE:
        message = f"{message[: _LONGEST_MESSAGE - 3]}..."
    about = {name: metadata[name] for name in ("name", "namespace", "uid")}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name'][:200]}.{digest}", "namespace": metadata["namespace"]},
        "involvedObject": {"apiVersion": resource["apiVersion"], "kind": resource["kind"], **about},
        "type": happening.type,
        "reason": happening.reason,
        "message": message,
        "source": {"component": MANAGER},
        "reportingComponent": MANAGER,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }


def _runs(before: Status, after: Status) -> Iterator[Happening]:
    """Runs that begin, and those that they take the place of."""
    run, earlier = after.get("runId", ""), before.get("runId", "")
    began = after.get("startedAt", "")
    if not run or (run == earlier and began == before.get("startedAt", "")):
        return
    if earlier and before.get("phase") not in ("Succeeded", "Failed"):
        text = f"run {earlier} has given way to run {run}, as the spec or what it names was changed"
        yield Happening("Normal", Reason.SUPERSEDED, text, before.get("startedAt", ""))
    if after.get("phase") == "Succeeded":
        return  # all of it was found in the store: that it is complete says enough
    stages = after.get("stages") or ()
    cached = sum(stage.get("state") == "Cached" for stage in stages)
    text = f"run {run} of {len(stages)} stage{'s' * (len(stages) != 1)}, {cached} of them found in the store"
    yield Happening("Normal", Reason.STARTED, text, began)


def _stages(before: Status, after: Status) -> Iterator[Happening]:
    """Attempts that ended without a result, where another one follows; the end of a run is told apart."""
    if after.get("phase") == "Failed":
        return
    known = {stage["key"]: stage for stage in before.get("stages") or ()}
    for stage in after.get("stages") or ():
        old = known.get(stage["key"], {})
        more = any(stage.get(count, 0) > old.get(count, 0) for count in ("failures", "interruptions"))
        if not more or stage.get("state") == "Failed":
            continue
        number = stage.get("counted", 0)
        when = f"; the next begins at {stage['nextAttemptAt']}" if stage.get("nextAttemptAt") else ""
        text = f"{stage['name']}: attempt {number} ended, {stage.get('lastFailure', '')}{when}"
        yield Happening("Warning", Reason.RETRYING, text, f"{stage['key']} {number}")


def _waits(before: Status, after: Status) -> Iterator[Happening]:
    """Something that a person has to mend, once for each cause."""
    ready, earlier = _condition(after, "Ready"), _condition(before, "Ready")
    reason = reason_of(ready.get("reason", ""))
    if ready.get("status") != "False" or after.get("phase") == "Failed" or reason in COMES_BY_ITSELF:
        return
    if reason == Reason.DEPENDENCY_NOT_READY and after.get("currentStage"):
        return  # what it waits for is there, and tells itself what it lacks
    if earlier.get("reason") == reason and earlier.get("status") == "False":
        return
    yield Happening("Warning", reason, str(ready.get("message", "")), str(ready.get("lastTransitionTime", "")))


def _ends(before: Status, after: Status) -> Iterator[Happening]:
    """That it rests, goes on, is complete, or has failed."""
    again = before.get("runId") != after.get("runId") or before.get("startedAt") != after.get("startedAt")
    rested, rests = _condition(before, "Suspended"), _condition(after, "Suspended")
    if rests and not rested:
        yield _of(rests, "Normal")
    if rested and not rests and after.get("phase") not in ("Succeeded", "Failed"):
        yield Happening("Normal", Reason.RESUMED, "spec.suspend is false; it goes on", rested["lastTransitionTime"])
    for type in ("Complete", "Failed"):
        condition = _condition(after, type)
        if condition and (again or not _condition(before, type)):
            score = f"; score {after['score']}" if type == "Complete" and after.get("score") else ""
            yield _of(condition, "Normal" if type == "Complete" else "Warning", score)


def _of(condition: Mapping[str, Any], type: Literal["Normal", "Warning"], more: str = "") -> Happening:
    return Happening(type, condition["reason"], f"{condition['message']}{more}", condition["lastTransitionTime"])


def _condition(status: Status, type: str) -> Mapping[str, Any]:
    conditions: Sequence[Mapping[str, Any]] = status.get("conditions") or ()
    return next((condition for condition in conditions if condition["type"] == type), {})
