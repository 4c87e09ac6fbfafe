"""What a kind of object that runs attempts is, and what the operator asks of it. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Protocol

from agentark_operator.attempts.facts import Attempt, AttemptState
from agentark_operator.attempts.workload import QUEUE, REPLACES, Workload, attempt_number
from agentark_operator.backends.reading import Body, Reading, first_start, over
from agentark_operator.diagnosis.failures import Failure, classify
from agentark_operator.diagnosis.pending import Waiting, from_events, waiting
from agentark_operator.reasons import AnyReason, Reason

_TOLD_BY_PODS = (Reason.PODS_GONE, Reason.POD_DELETED)
"""Failures of which nothing else is known than that some pods are not there, or will not be."""


class Render(Protocol):
    """Makes the objects of an attempt, the child first."""

    def __call__(self, workload: Workload, schema: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The objects.

        Args:
            schema: openAPIV3Schema of the child's kind as the cluster has it; None where it was not asked for.
        """


@dataclass(frozen=True, slots=True)
class Backend:
    """All that the operator, its rights, its charts and its uninstallation know of a kind."""

    kind: str
    """Also the name in `training.backend`."""
    api_version: str
    plural: str
    container: str
    """What it calls the stage's container."""
    main_label: tuple[str, str]
    """Name and value of the label of the pod that commits the result."""
    suspend_path: tuple[str, ...]
    """Of the field within spec that takes the pods away while it is true."""
    render: Render
    read: Callable[[Body, Sequence[Body]], Reading]
    """What its object says of the attempt; takes the object and the pods that are left of it."""
    over: Callable[[Body], bool] = over
    """Whether its object alone says that the attempt has ended."""
    software: str = ""
    """What has to be installed, with its version; empty for a kind of Kubernetes itself."""
    install: str = ""
    """The command that installs that, and with it the CustomResourceDefinition."""
    purpose: str = "trainings on this backend"
    """Why the operator may have such objects."""
    beside: Mapping[str, str] | None = None
    """Plural of a kind in v1 that is made beside the child -> why."""
    asks_schema: bool = False
    """What is rendered depends on the schema that the cluster has."""

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        return self.api_version.rpartition("/")[2]

    @property
    def crd(self) -> str:
        """Name of the CustomResourceDefinition that has to be there; empty if there is none."""
        return f"{self.plural}.{self.group}" if self.install else ""

    def observe(self, child: Body, pods: Sequence[Body], events: Sequence[Body] = ()) -> Attempt:
        """Where an attempt stands.

        Args:
            pods: All that are left of it.
            events: Of both, where they have been asked for.
        """
        reading = self.read(child, pods)
        # The object's own start is when it was let begin; its pods may wait long for a node and an image after that.
        first, ended = first_start(pods), reading.succeeded or reading.failed is not None
        attempt = Attempt(
            attempt_number(child),
            child,
            "Pending",
            started_at=max(first, reading.started_at) if first or ended else "",
            working_since=_last_start(pods, self.container),
            ended_at=reading.ended_at,
        )

        def seen(state: AttemptState, reason: AnyReason, message: str, failure: Failure | None = None) -> Attempt:
            return replace(attempt, state=state, reason=reason, message=message, failure=failure)

        if reading.succeeded:
            return seen("Succeeded", Reason.SUCCEEDED, "")
        if reading.failed is not None:
            failure = classify(
                pods,
                reading.failed,
                container=self.container,
                main_label=self.main_label,
                keeps_pods=reading.keeps_pods,
            )
            if failure.reason in _TOLD_BY_PODS and any(_lives(pod) for pod in pods):
                # Objects and pods are watched apart, and what the pods say is late; or they are being ended.
                return seen("Running", Reason.STAGE_RUNNING, "it has failed, and its pods are yet to say why")
            return seen("Failed", failure.reason, failure.message, failure)
        if self._suspended(child):
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

    def _suspended(self, child: Body) -> bool:
        fields: Any = child["spec"]
        for name in self.suspend_path:
            fields = (fields or {}).get(name)
        return bool(fields)

    def suspend(self, on: bool) -> dict[str, Any]:
        """A merge patch that takes the pods away, or lets them come."""
        start: Any = on
        return {"spec": reduce(lambda inner, name: {name: inner}, reversed(self.suspend_path), start)}


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
