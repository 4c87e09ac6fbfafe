"""What backends read from their objects, and how. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentark_operator.diagnosis.failures import Ended

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a backend reads from its object."""

    succeeded: bool = False
    failed: Ended | None = None
    started_at: str = ""
    ended_at: str = ""
    needs_all: bool = False
    """The pods form one training, which waits until each of them runs."""
    keeps_pods: bool = True
    """Pods that failed are there until the object is deleted, so if there are none somebody took them."""


def condition(child: Body, type: str) -> Body | None:
    """A condition of the object that is true."""
    conditions = (child.get("status") or {}).get("conditions") or ()
    return next((entry for entry in conditions if entry["type"] == type and entry["status"] == "True"), None)


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
