"""Conditions of a status, by the rules of metav1 and kstatus. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agentark_operator.reasons import AnyReason

ConditionType = Literal["Ready", "Reconciling", "Stalled", "Complete", "Failed", "Suspended", "QuotaReserved"]
_LONGEST_MESSAGE = 32_768


@dataclass(frozen=True, slots=True)
class Finding:
    """What is true of a resource now."""

    type: ConditionType
    status: bool
    """Whether it is so."""
    reason: AnyReason
    message: str
    """Why, for a person: what was found and what to do."""


def merged(
    before: Sequence[Mapping[str, Any]], findings: Iterable[Finding], *, generation: int, now: str
) -> list[dict[str, Any]]:
    """The conditions of the new status.

    What is no longer found is left out: Reconciling and Stalled stand in a status only while they are true.

    Args:
        before: Conditions of the status as it is.
        findings: What is true now, at most one of each type.
        generation: Generation of the spec that they are about.
        now: The time, ISO 8601 in UTC.

    Returns:
        Conditions by type; the time of a transition is kept where the status is the same.
    """
    known = {condition["type"]: condition for condition in before}
    conditions = []
    for finding in sorted(findings, key=lambda finding: finding.type):
        status = "True" if finding.status else "False"
        old = known.get(finding.type, {})
        conditions.append(
            {
                "type": finding.type,
                "status": status,
                "reason": finding.reason,
                "message": finding.message[:_LONGEST_MESSAGE],
                "lastTransitionTime": old["lastTransitionTime"] if old.get("status") == status else now,
                "observedGeneration": generation,
            }
        )
    return conditions
