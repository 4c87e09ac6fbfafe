"""What became of an attempt, in the words that all backends share. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agentark_operator.attempts.workload import QUEUE, REPLACES
from agentark_operator.diagnosis.failures import Ended, Failure, classify
from agentark_operator.diagnosis.pending import Waiting, from_events, waiting
from agentark_operator.reasons import AnyReason, Reason

Body = Mapping[str, Any]
State = Literal["Queued", "Pending", "Running", "Succeeded", "Failed", "Suspended"]


_TOLD_BY_PODS = (Reason.PODS_GONE, Reason.POD_DELETED)
"""Failures of which nothing else is known than that some pods are not there, or will not be."""


@dataclass(frozen=True, slots=True)
class Observation:
    """Where an attempt stands."""

    state: State
    """Queued: suspended until Kueue admits it. Pending: pods wait for a node, an image, a quota."""
    reason: AnyReason
    message: str
    """Why it waits or how it ended; empty while it runs."""
    failure: Failure | None = None
    """Of a failed attempt, or of one that runs and will come to nothing."""
    started_at: str = ""
    """When the first pod had a node, ISO 8601; empty before that."""
    working_since: str = ""
    """When the last of the stage's containers began, ISO 8601; empty before that."""
    ended_at: str = ""
    """ISO 8601, empty before the end."""
    pods_alive: int = 0
    """Pods that have not ended; the next attempt waits until there are none."""


@dataclass(frozen=True, slots=True)
class Child:
    """What a backend reads from its object."""

    succeeded: bool = False
    failed: Ended | None = None
    started_at: str = ""
    ended_at: str = ""
    needs_all: bool = False
    """The pods form one training, which waits until each of them runs."""
    keeps_pods: bool = True
    """Pods that failed are there until the object is deleted, so if there are none somebody took them."""


def observed(
    child: Body,
    reading: Child,
    *,
    container: str,
    main_label: tuple[str, str],
    suspended: bool,
    pods: Sequence[Body],
    events: Sequence[Body],
) -> Observation:
    """The state of an attempt.

    Args:
        reading: What its backend reads from it.
        container: What the backend calls the stage's container.
        main_label: Name and value of the label of the pod that commits the result.
        suspended: Whether the object is told to have no pods.
        pods: All that are left of it.
        events: Of the child and its pods, where they have been asked for.
    """
    alive = sum(_phase(pod) not in ("Succeeded", "Failed") for pod in pods)
    # The object's own start is when it was let begin; its pods may wait long for a node after that, and for an image.
    first, over = first_start(pods), reading.succeeded or reading.failed is not None
    times = {
        "started_at": max(first, reading.started_at) if first or over else "",
        "working_since": _last_start(pods, container),
        "ended_at": reading.ended_at,
    }

    def seen(state: State, reason: AnyReason, message: str, failure: Failure | None = None) -> Observation:
        return Observation(state, reason, message, failure, pods_alive=alive, **times)

    if reading.succeeded:
        return seen("Succeeded", Reason.SUCCEEDED, "")
    if reading.failed is not None:
        failure = classify(
            pods, reading.failed, container=container, main_label=main_label, keeps_pods=reading.keeps_pods
        )
        if failure.reason in _TOLD_BY_PODS and any(_lives(pod) for pod in pods):
            # Objects and pods are watched apart, and what the pods say is late; or they are being ended.
            return seen("Running", Reason.STAGE_RUNNING, "it has failed, and its pods are yet to say why")
        return seen("Failed", failure.reason, failure.message, failure)
    if suspended:
        queue = (child["metadata"].get("labels") or {}).get(QUEUE)
        if queue:
            return seen("Queued", Reason.WAITING_FOR_QUOTA, f"waits until Kueue admits it in the queue {queue!r}")
        return seen("Suspended", Reason.SUSPENDED, "")
    if reading.needs_all and (torn := _torn(pods)) is not None:
        return seen("Running", torn.reason, torn.message, torn)
    cause = waiting(pods)
    if any(_phase(pod) != "Pending" for pod in pods) and not (reading.needs_all and cause is not None):
        return seen("Running", Reason.STAGE_RUNNING, cause.message if cause else "")
    if cause is None or cause.reason == Reason.STARTING:
        cause = from_events(events) or cause
    cause = cause or Waiting(Reason.NO_PODS, f"{child['kind']} {child['metadata']['name']} has no pods yet")
    return seen("Pending", cause.reason, cause.message)


def condition(child: Body, type: str) -> Body | None:
    """A condition of the object that is true."""
    conditions = (child.get("status") or {}).get("conditions") or ()
    return next(
        (condition for condition in conditions if condition["type"] == type and condition["status"] == "True"), None
    )


def over(child: Body) -> bool:
    """Whether a condition of the object says that the attempt has ended."""
    return any(condition(child, type) is not None for type in ("Complete", "Succeeded", "Failed"))


def ended(condition: Body | None) -> Ended | None:
    """A condition as the end of the attempt."""
    if condition is None:
        return None
    return Ended(
        str(condition.get("reason") or ""),
        str(condition.get("message") or ""),
        str(condition.get("lastTransitionTime") or ""),
    )


def first_start(pods: Sequence[Body]) -> str:
    """When the first pod was taken by a node; empty if none was."""
    return min(
        (str(pod["status"]["startTime"]) for pod in pods if (pod.get("status") or {}).get("startTime")), default=""
    )


def _last_start(pods: Sequence[Body], container: str) -> str:
    states = (
        entry.get("state") or {}
        for pod in pods
        for entry in (pod.get("status") or {}).get("containerStatuses") or ()
        if entry["name"] == container
    )
    return max((str((state.get("running") or {}).get("startedAt") or "") for state in states), default="")


def _torn(pods: Sequence[Body]) -> Failure | None:
    """Why a training waits in vain: one of its pods was taken from it, and a new one cannot join the others."""
    for pod in pods:
        if REPLACES in pod["metadata"]:
            name = pod["metadata"]["name"]
            text = f"pod {name}: somebody deleted it while it ran, and the one in its place cannot join the others"
            return Failure("Interruption", Reason.POD_DELETED, text)
    return None


def _lives(pod: Body) -> bool:
    """Whether it has not ended, and nobody has asked it to, as far as has been seen."""
    return _phase(pod) not in ("Succeeded", "Failed") and "deletionTimestamp" not in pod["metadata"]


def _phase(pod: Body) -> str:
    return str((pod.get("status") or {}).get("phase") or "Pending")
