"""Whose fault it was: from the pods of a failed attempt to a class of failure. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from agentark_operator.reasons import AnyReason, Reason, reason_of

Body = Mapping[str, Any]
FailureKind = Literal["Application", "Interruption", "InvalidInput", "Stalled"]

_INVALID_INPUT, _UNAVAILABLE, _INTERRUPTED = 2, 69, 75
_BY_CODE: Mapping[int, tuple[FailureKind, AnyReason]] = {
    _INVALID_INPUT: ("InvalidInput", Reason.INVALID_INPUT),
    _UNAVAILABLE: ("Interruption", Reason.SERVICE_UNAVAILABLE),
    _INTERRUPTED: ("Interruption", Reason.INTERRUPTED),
}
_KILLED = frozenset({137, 143})
"""128 + SIGKILL or SIGTERM: somebody ended the process from without."""
_LONGEST_MESSAGE = 1500
_NOT_STARTED = frozenset({Reason.START_ERROR, Reason.CONTAINER_CANNOT_RUN})
_LOST = frozenset({"ContainerStatusUnknown"})
_EXIT_CODE = re.compile(r"exit code (\d+)")
_OWN_LIMIT = re.compile(
    r'Usage of EmptyDir volume "(?P<volume>[^"]*)" exceeds the limit'
    r"|Pod ephemeral local storage usage exceeds the total limit of containers"
    r"|Container \S+ exceeded its local ephemeral storage limit"
)
"""How the kubelet's words begin for a pod that wrote more than it may; for others they name the node."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How an attempt ended."""

    kind: FailureKind
    """Application costs the backoffLimit, Interruption its own limit, InvalidInput ends the run at once; Stalled is
    for whoever watches heartbeats."""
    reason: AnyReason
    message: str
    """Which pod, what happened, its last lines."""
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """What the child itself says of its failure."""

    reason: str
    message: str
    at: str = ""
    """ISO 8601."""


@dataclass(frozen=True, slots=True)
class _Ending:
    """How one pod ended."""

    pod: Body
    container: Body
    """Status of the container that failed; empty if none has a code."""
    moment: datetime | None
    """When it ended, or when somebody asked it to, whichever came first."""

    @property
    def terminated(self) -> Body:
        return (self.container.get("state") or {}).get("terminated") or {}

    @property
    def code(self) -> int | None:
        return self.terminated.get("exitCode")

    @property
    def deleted(self) -> bool:
        return "deletionTimestamp" in self.pod["metadata"]

    @property
    def name(self) -> str:
        return str(self.pod["metadata"]["name"])


def classify(
    pods: Sequence[Body], ended: Ended, *, container: str, main_label: tuple[str, str], keeps_pods: bool = True
) -> Failure:
    """The class of a failed attempt.

    A pod that filled its own disk comes first, then what the nodes did, since a pod that is taken away makes the others
    fail too. Then the main pod decides if it ended by itself, else the first that ended.

    Args:
        pods: What is left of them.
        ended: What the child says.
        container: What the backend calls the stage's container.
        main_label: Name and value of the label of the pod that commits the result.
        keeps_pods: Whether pods that failed stay, so that somebody must have taken those that are missing.
    """
    if "DeadlineExceeded" in ended.reason:
        text = "the attempt ran longer than its activeDeadlineSeconds"
        return Failure("Application", Reason.DEADLINE_EXCEEDED, f"{text}; {ended.message}")
    endings = [_ending(pod, container) for pod in pods if _failed(pod)]
    main = next((ending for ending in endings if _is_labelled(ending.pod, main_label)), None)
    if main is not None and main.code == _INVALID_INPUT:
        return _of_code(main)
    taken = next(_full(endings), None) or next(_disruptions(endings), None)
    if taken is not None:
        return taken
    if main is not None and not main.deleted and main.code is not None and main.code not in _KILLED:
        return _of_code(main)
    if endings:
        return _of_pod(min(endings, key=_order))
    return _without_pods(ended, keeps_pods)


def _is_labelled(pod: Body, label: tuple[str, str]) -> bool:
    name, value = label
    return bool((pod["metadata"].get("labels") or {}).get(name) == value)


def _failed(pod: Body) -> bool:
    status = pod.get("status") or {}
    if status.get("phase") in ("Succeeded", "Failed"):
        return bool(status["phase"] == "Failed")
    # One on a lost node runs for ever, as far as anybody knows.
    return "deletionTimestamp" in pod["metadata"] or bool(status.get("reason"))


def _ending(pod: Body, container: str) -> _Ending:
    status = pod.get("status") or {}
    entries = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    failed = [entry for entry in entries if ((entry.get("state") or {}).get("terminated") or {}).get("exitCode")]
    chosen = next((entry for entry in failed if entry["name"] == container), failed[0] if failed else {})
    finished = _moment(((chosen.get("state") or {}).get("terminated") or {}).get("finishedAt"))
    asked = _moment(pod["metadata"].get("deletionTimestamp"))
    if asked is not None:
        # It says when the pod has to be gone.
        asked -= timedelta(seconds=pod["metadata"].get("deletionGracePeriodSeconds") or 0)
    return _Ending(pod, chosen, min((moment for moment in (finished, asked) if moment), default=None))


def _order(ending: _Ending) -> tuple[datetime, bool, str]:
    # A pod that was deleted because another failed was asked to after that one ended, if within the same second.
    return ending.moment or datetime.max.replace(tzinfo=UTC), ending.deleted, ending.name


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _full(endings: Sequence[_Ending]) -> Iterator[Failure]:
    """Pods that the kubelet evicted for what they wrote themselves; another node would not help them."""
    for ending in endings:
        status = ending.pod.get("status") or {}
        said = str(status.get("message") or "")[:_LONGEST_MESSAGE].strip().rstrip(".")
        limit = _OWN_LIMIT.match(said) if status.get("reason") == Reason.EVICTED else None
        if limit is not None:
            volume = limit["volume"]
            field = f"emptyDir.sizeLimit of volume {volume!r}" if volume else "resources.limits.ephemeral-storage"
            text = f"pod {ending.name}: {said}; raise {field} in spec.pods, or let it do less at once"
            yield Failure("Application", Reason.STORAGE_LIMIT_EXCEEDED, text, ending.code)


def _disruptions(endings: Sequence[_Ending]) -> Iterator[Failure]:
    for ending in endings:
        status = ending.pod.get("status") or {}
        for condition in status.get("conditions") or ():
            if condition["type"] == "DisruptionTarget" and condition["status"] == "True":
                reason = reason_of(condition.get("reason") or Reason.DISRUPTION_TARGET)
                yield _interruption(ending, reason, condition.get("message"))
        # A reason of the whole pod comes from the kubelet: evicted, preempted, not admitted, the node shut down.
        if status.get("reason"):
            yield _interruption(ending, reason_of(status["reason"]), status.get("message"))
        if ending.terminated.get("reason") in _LOST:
            yield _interruption(ending, Reason.NODE_LOST, "its node does not know what became of it")


def _of_pod(ending: _Ending) -> Failure:
    if ending.deleted and ending.code != _INVALID_INPUT:
        return _interruption(ending, Reason.POD_DELETED, "somebody deleted it while it ran")
    if ending.code is None:
        return _interruption(ending, Reason.POD_LOST, "it failed and no container of it tells why")
    return _of_code(ending)


def _of_code(ending: _Ending) -> Failure:
    code, reason = ending.code, reason_of(ending.terminated.get("reason") or "")
    where = f"pod {ending.name}, container {ending.container['name']}"
    said = str(ending.terminated.get("message") or "").strip()[-_LONGEST_MESSAGE:]
    if reason == Reason.OOM_KILLED:
        return Failure("Application", reason, f"{where}: {_memory(ending)}", code)
    message = f"{where}: exit code {code}" + (f": {said}" if said else "")
    kind, why = _BY_CODE.get(code or 0, ("Application", reason if reason in _NOT_STARTED else Reason.ERROR))
    return Failure(kind, why, message, code)


def _memory(ending: _Ending) -> str:
    containers = ending.pod["spec"].get("containers") or ()
    spec: Body = next((container for container in containers if container["name"] == ending.container["name"]), {})
    limit = ((spec.get("resources") or {}).get("limits") or {}).get("memory")
    if limit is None:
        return "killed because its node ran out of memory; set its resources.requests.memory in spec.pods"
    mend = "raise resources.limits.memory in spec.pods, or let it do less at once"
    return f"killed at its memory limit of {limit}; {mend}"


def _interruption(ending: _Ending, reason: AnyReason, message: object) -> Failure:
    return Failure("Interruption", reason, f"pod {ending.name}: {message or reason}", ending.code)


def _without_pods(ended: Ended, keeps_pods: bool) -> Failure:
    """What the child remembers of pods that are gone; a Job's failure policy names the exit code."""
    match = _EXIT_CODE.search(ended.message)
    if "DisruptionTarget" in ended.message:
        return Failure("Interruption", Reason.DISRUPTION_TARGET, ended.message)
    if match is not None:
        code = int(match[1])
        kind, reason = _BY_CODE.get(code, ("Application", Reason.ERROR))
        return Failure(kind, reason, ended.message, code)
    said = f": {ended.message}" if ended.message else ""
    text = f"the attempt failed and no pod is left that tells why{said}"
    return Failure("Interruption" if keeps_pods else "Application", Reason.PODS_GONE, text)
