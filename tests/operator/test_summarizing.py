"""The status for everything that can be the case, and what kstatus makes of it."""

from typing import Any

import pytest
from agentark_operator.attempts.facts import State, View
from agentark_operator.status.conditions import Finding, merged
from agentark_operator.status.summary import Observed, ObservedStage, summarize

from agentark.api.status import RunStatus
from tests.operator.kstatus import health

NOW, LATER = "2026-11-24T12:00:00Z", "2026-11-24T13:00:00Z"


def stages(*states: State, reason: str = "", message: str = "") -> list[ObservedStage]:
    last = len(states) - 1
    return [
        ObservedStage(f"s{number}", "debate", f"{number:016x}", View(state))
        if number < last
        else ObservedStage(f"s{number}", "debate", f"{number:016x}", View(state, reason, message))
        for number, state in enumerate(states)
    ]


def resource(status: dict[str, Any], *, generation: int = 1, deleted: bool = False) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": "a", "generation": generation}
    return {"metadata": metadata | ({"deletionTimestamp": NOW} if deleted else {}), "status": status}


CASES: list[tuple[Observed, str, str, set[str]]] = [
    (Observed("r", stages("Waiting", "Waiting")), "Pending", "InProgress", {"Reconciling"}),
    (Observed("r", stages("Cached", "Running", "Waiting")), "Running", "InProgress", {"Reconciling"}),
    (Observed("r", stages("Done", "Cached")), "Succeeded", "Current", {"Ready", "Complete"}),
    (Observed("r", stages("Done", "Failed")), "Failed", "Failed", {"Stalled", "Failed"}),
    (Observed("r", stages("Done", "Waiting"), suspended=True), "Suspended", "InProgress", {"Suspended"}),
    (Observed("r", stages("Done", "Done"), suspended=True), "Succeeded", "Current", {"Ready", "Complete"}),
    (Observed(stalled=("InvalidSpec", "no such debate")), "Pending", "Failed", {"Stalled"}),
    (Observed("r", stages("Waiting"), stalled=("BackendNotInstalled", "x")), "Pending", "Failed", {"Stalled"}),
    (Observed(), "Pending", "InProgress", {"Reconciling"}),
]


@pytest.mark.parametrize(("observed", "phase", "expected", "true"), CASES)
def test_phase_conditions_and_health_agree(observed: Observed, phase: str, expected: str, true: set[str]) -> None:
    status = summarize(observed, {}, generation=1, now=NOW)
    assert status["phase"] == phase
    assert health(resource(status)) == expected
    found = {condition["type"]: condition["status"] for condition in status["conditions"]}
    assert {name for name, value in found.items() if value == "True"} == true
    assert found["Ready"] == ("True" if phase == "Succeeded" else "False")
    assert all(condition["reason"] and condition["message"] for condition in status["conditions"])
    RunStatus.model_validate(status)


@pytest.mark.parametrize(("observed", "phase", "expected", "true"), CASES)
def test_the_same_again_changes_nothing(observed: Observed, phase: str, expected: str, true: set[str]) -> None:
    status = summarize(observed, {}, generation=1, now=NOW)
    assert summarize(observed, status, generation=1, now=LATER) == status


def test_what_the_operator_has_not_seen_is_in_progress() -> None:
    status = summarize(Observed("r", stages("Done")), {}, generation=1, now=NOW)
    assert health(resource({"observedGeneration": -1})) == "InProgress"
    assert health(resource(status, generation=2)) == "InProgress"
    assert health(resource(status, deleted=True)) == "Terminating"


def test_the_time_of_a_transition_is_that_of_the_status_alone() -> None:
    first = merged([], [Finding("Ready", False, "Waiting", "for a")], generation=1, now=NOW)
    second = merged(first, [Finding("Ready", False, "Running", "b")], generation=2, now=LATER)
    assert second[0]["lastTransitionTime"] == NOW
    assert (second[0]["reason"], second[0]["observedGeneration"]) == ("Running", 2)
    third = merged(second, [Finding("Ready", True, "Complete", "c")], generation=2, now=LATER)
    assert third[0]["lastTransitionTime"] == LATER


def test_a_stage_that_waits_or_failed_is_named_with_its_reason() -> None:
    failed = stages("Done", "Failed", reason="OOMKilled", message="killed at its limit of 4Gi; raise the limit")
    status = summarize(Observed("r", failed), {}, generation=1, now=NOW)
    (ready,) = [condition for condition in status["conditions"] if condition["type"] == "Ready"]
    assert ready["reason"] == "OOMKilled"
    assert ready["message"] == "s1: killed at its limit of 4Gi; raise the limit"
    assert status["currentStage"] == "s1"


def test_a_new_run_has_a_new_start() -> None:
    first = summarize(Observed("r1", stages("Done")), {}, generation=1, now=NOW)
    again = summarize(Observed("r1", stages("Done")), first, generation=2, now=LATER)
    assert (again["startedAt"], again["completedAt"]) == (NOW, NOW)
    other = summarize(Observed("r2", stages("Running")), first, generation=3, now=LATER)
    assert other["startedAt"] == LATER
    assert "completedAt" not in other


def test_the_folder_does_not_shadow_the_standard_library() -> None:
    import operator

    assert str(operator.__file__).endswith("operator.py")
