"""Why pods do not run yet. Nothing here is a failure: each mends itself once somebody mends its cause. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentark_operator.reasons import AnyReason, Reason, reason_of

Body = Mapping[str, Any]

_IMAGE = frozenset(
    {
        Reason.IMAGE_PULL_BACK_OFF,
        Reason.ERR_IMAGE_PULL,
        Reason.INVALID_IMAGE_NAME,
        Reason.ERR_IMAGE_NEVER_PULL,
        Reason.IMAGE_INSPECT_ERROR,
        Reason.REGISTRY_UNAVAILABLE,
    }
)
_CONFIG = frozenset({Reason.CREATE_CONTAINER_CONFIG_ERROR, Reason.CREATE_CONTAINER_ERROR, Reason.RUN_CONTAINER_ERROR})
_STARTING = frozenset({"ContainerCreating", "PodInitializing", ""})
_EVENTS = {
    Reason.FAILED_CREATE: "no pod is made",
    Reason.FAILED_CREATE_POD: "no pod is made",
    Reason.FAILED_MOUNT: "a volume cannot be mounted",
    Reason.FAILED_ATTACH_VOLUME: "a volume cannot be attached",
    Reason.FAILED_CREATE_POD_SAND_BOX: "the pod's network cannot be made",
}


@dataclass(frozen=True, slots=True)
class Waiting:
    """What pods wait for."""

    reason: AnyReason
    message: str
    """The pod, what is wrong, what to do."""


def waiting(pods: Iterable[Body]) -> Waiting | None:
    """What the first of the pods that wait needs; a cause that a person has to mend comes first."""
    causes = [cause for pod in sorted(pods, key=_name) for cause in _of_pod(pod)]
    return min(causes, key=lambda cause: cause.reason in _STARTING | {Reason.STARTING}, default=None)


def from_events(events: Sequence[Body]) -> Waiting | None:
    """What the newest warning of a child or its pods says; most controllers tell in no other place.

    Quotas, limit ranges, pod security and volumes are only told like this.
    """
    known = [event for event in events if event.get("type") == "Warning" and event.get("reason") in _EVENTS]
    if not known:
        return None
    newest = max(known, key=_time)
    about = (newest.get("involvedObject") or newest.get("regarding") or {}).get("name", "")
    text = str(newest.get("message") or newest.get("note") or "")
    return refused(text) or Waiting(reason_of(newest["reason"]), f"{about}: {_EVENTS[newest['reason']]}: {text}")


def refused(text: str) -> Waiting | None:
    """What the API server said as it refused a pod, if the text is of the kinds that are known."""
    if "exceeded quota" in text or "failed quota" in text:
        return Waiting(Reason.QUOTA_EXCEEDED, f"{text}; wait for other work to end, ask for less, or raise the quota")
    if "PodSecurity" in text:
        return Waiting(Reason.POD_SECURITY, f"{text}; mend spec.pods, or the template of whoever adds containers")
    if "usage per" in text or "LimitRange" in text:
        return Waiting(Reason.LIMIT_RANGE, f"{text}; set resources of the container in spec.pods within these limits")
    return None


def _time(event: Body) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp") or "")


def _name(pod: Body) -> str:
    return str(pod["metadata"]["name"])


def _of_pod(pod: Body) -> Iterator[Waiting]:
    status = pod.get("status") or {}
    if status.get("phase", "Pending") not in ("Pending", "Running"):
        return
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            reason = reason_of(condition.get("reason") or Reason.UNSCHEDULABLE)
            yield Waiting(reason, f"pod {_name(pod)} has no node: {condition.get('message') or reason}")
            return
    for state in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        held = (state.get("state") or {}).get("waiting")
        if held is not None:
            reason = reason_of(held.get("reason") or "")
            yield _of_container(pod, state, reason, str(held.get("message") or ""))
    if status.get("phase", "Pending") == "Pending" and not status.get("containerStatuses"):
        yield Waiting(Reason.STARTING, f"pod {_name(pod)} starts")


def _of_container(pod: Body, state: Body, reason: AnyReason, message: str) -> Waiting:
    where = f"container {state['name']} of pod {_name(pod)}"
    if reason in _IMAGE:
        image = f"image {state.get('image') or 'without a name'!r}"
        mend = "check its name, that nodes reach the registry, and the pull Secret"
        return Waiting(reason, f"{where}: {image} cannot be pulled: {message or reason}; {mend}")
    if reason in _CONFIG:
        return Waiting(reason, f"{where} cannot be made: {message or reason}")
    if reason == Reason.CRASH_LOOP_BACK_OFF:
        last = (state.get("lastState") or {}).get("terminated") or {}
        text = str(last.get("message") or message).strip()[-1500:]
        return Waiting(
            reason,
            f"{where} ended {state.get('restartCount', 0)} times, last with exit code "
            f"{last.get('exitCode', 'unknown')}: {text}",
        )
    if reason in _STARTING:
        return Waiting(Reason.STARTING, f"{where} starts")
    return Waiting(reason, f"{where}: {message or reason}")
