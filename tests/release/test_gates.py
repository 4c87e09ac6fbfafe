"""Gates over answers to the same questions; McNemar's p computed by hand: 2 x (sum of C(n, i) up to min) / 2^n."""

from typing import Any

import pytest

from agentark.api import Gate
from agentark.errors import InvalidInput
from agentark.release import gate_line, hold, refusal, subjects_of
from agentark.release.gates import GateOutcome


def gate(**fields: Any) -> Gate:
    return Gate.model_validate({"suite": "s", **fields})


def held(
    gained: int, lost: int, *, both: int = 10, neither: int = 10, over: str = "student", **fields: Any
) -> GateOutcome:
    """A gate over questions of which so many only the student, only the other, both or neither answer right."""
    student = [True] * gained + [False] * lost + [True] * both + [False] * neither
    other = [False] * gained + [True] * lost + [True] * both + [False] * neither
    answers = {
        "student": {f"q{number}": right for number, right in enumerate(student)},
        {"student": "base", "debate": "debate"}[over]: {f"q{number}": right for number, right in enumerate(other)},
    }
    return hold(gate(minGainOver=over, **fields), answers)


@pytest.mark.parametrize("over", ["student", "debate"])
@pytest.mark.parametrize(
    ("gained", "lost", "p", "passed"),
    [
        (5, 0, 2 * 1 / 32, False),
        (6, 0, 2 * 1 / 64, True),
        (8, 2, 2 * (1 + 10 + 45) / 1024, False),
        (9, 1, 2 * (1 + 10) / 1024, True),
        (15, 5, 2 * (1 + 20 + 190 + 1140 + 4845 + 15504) / 2**20, True),
        (14, 6, 2 * (1 + 20 + 190 + 1140 + 4845 + 15504 + 38760) / 2**20, False),
        (0, 6, 2 * 1 / 64, False),  # significant, and a loss
        (3, 3, 1.0, False),
        (0, 0, 1.0, False),
    ],
)
def test_a_gain_counts_where_it_is_one_and_is_not_luck(
    over: str, gained: int, lost: int, p: float, passed: bool
) -> None:
    outcome = held(gained, lost, over=over)
    assert outcome.gain is not None
    assert (outcome.gain.gained, outcome.gain.lost, outcome.gain.over) == (gained, lost, over)
    assert outcome.gain.p == pytest.approx(p, abs=1e-15)
    assert (outcome.passed, not outcome.failures) == (passed, passed)
    assert outcome.value - outcome.gain.value == pytest.approx((gained - lost) / (20 + gained + lost))


def test_p_at_the_limit_passes_and_above_it_fails_by_how_much() -> None:
    assert held(6, 0, significance="0.03125").passed
    outcome = held(6, 0, significance="0.03124")
    assert outcome.failures == (
        "the gain may be luck: +23.1 points over the student before distillation (6 gained, 0 lost, p = 0.031), above "
        "significance 0.03124",
    )
    assert held(1, 3, over="debate").failures == ("no gain: -8.3 points over the debate (1 gained, 3 lost, p = 0.62)",)


@pytest.mark.parametrize(("right", "least", "passed"), [(27, "0.9", True), (26, "0.9", False), (0, "0", True)])
def test_the_least_value_may_just_be_reached(right: int, least: str, passed: bool) -> None:
    outcome = hold(gate(minValue=least), {"student": {f"q{number}": number < right for number in range(30)}})
    assert outcome.passed is passed and outcome.gain is None
    assert outcome.failures == (() if passed else ("accuracy 0.867 is 0.033 below minValue 0.9",))


def test_a_gate_may_ask_for_both_and_names_all_that_is_missing() -> None:
    outcome = held(2, 2, both=6, neither=10, minValue="0.5")
    assert not outcome.passed and len(outcome.failures) == 2
    assert "0.100 below minValue 0.5" in outcome.failures[0] and "no gain" in outcome.failures[1]
    good = held(9, 1, minValue="0.6")
    assert gate_line(good) == (
        "s: accuracy 0.633 on 30 questions, +26.7 points over the student before distillation (9 gained, 1 lost, "
        "p = 0.021): passed"
    )
    assert gate_line(outcome).endswith("p = 1): FAILED, " + "; ".join(outcome.failures))
    assert refusal([good]) == refusal([]) == ""
    assert refusal([good, outcome]) == f"not released, gates failed: 1 of 2: s: {', '.join(outcome.failures)}"


def test_only_the_same_questions_are_compared() -> None:
    with pytest.raises(InvalidInput, match=r"student \(2 questions\) and the debate \(1\) did not answer the same"):
        hold(gate(minGainOver="debate"), {"student": {"a": True, "b": True}, "debate": {"a": True}})
    with pytest.raises(InvalidInput, match="answered no question"):
        hold(gate(minValue="0"), {"student": {}})


def test_a_gate_says_whose_answers_it_needs() -> None:
    assert subjects_of(gate(minValue="0.5")) == ("student",)
    assert subjects_of(gate(minGainOver="student")) == ("student", "base")
    assert subjects_of(gate(minGainOver="debate")) == ("student", "debate")
