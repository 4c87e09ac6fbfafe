"""Calculations are found wherever they stand, and what answers do with them is measured."""

import asyncio
import json
import random
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import pytest

from agentark.api import Prompts
from agentark.evaluate.abilities import abilities, render_abilities
from agentark.evaluate.calculations import calculations
from agentark.evaluate.error_localisation import Case, localise, outcome, plant, tally, whole
from agentark.llm import Message, Sampling
from agentark.llm.testing import ScriptedEngine

RIGHT = "Step 1: 40 - 7 = 33\nStep 2: 33 + 5 = 38\nStep 3: 38 * 2 = 76\nThe answer is \\boxed{76}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Step 1: 40 - 7 = 43", [("40-7", "43", False)]),
        ("1. 5 + 3 = 8\n- 2 + 8 = 10", [("3+5", "8", True), ("2+8", "10", True)]),
        ("She pays $1,200 * 2 = $2,400 in all.", [("1200*2", "2400", True)]),
        ("5 apples + 3 pears = 8 fruits", [("3+5", "8", True)]),
        ("2 × 3 = 6, 6 ÷ 4 = 1.5, 7−5=2, 4 x 2 = 9", [("2*3", "6", True), ("6/4", "3/2", True), ("7-5", "2", True),
                                                      ("2*4", "9", False)]),
        ("$4 \\times 5 = 20$", [("4*5", "20", True)]),
        ("10 / 3 = 3.33; 10 / 3 = 3", [("10/3", "333/100", True), ("10/3", "3", False)]),
        ("20% * 50 = 10", [("1/5*50", "10", True)]),
        ("5 * 3 = 15 + 2 = 17", [("3*5", "15", True), ("15+2", "17", True)]),
        ("2 * 3 + 4 = 6 + 4 = 10", [("2*3+4", "6", True), ("4+6", "10", True)]),
        ("1 / 0 = 7", [("1/0", "7", False)]),
        ("<<5*3=15>>15", [("3*5", "15", True)]),
        ("x = 5, 3 = 3, a + b = c, 2024-11-24", []),
    ],
)  # fmt: skip
def test_calculations_are_read(text: str, expected: list[tuple[str, str, bool]]) -> None:
    found = calculations(text)
    assert [(one.left, str(one.claimed.value), one.right) for one in found] == expected
    for one in found:
        assert Fraction(text[one.claimed.start : one.claimed.end].strip("$").replace(",", "")) == one.claimed.value


def test_gold_solutions_of_gsm8k_are_nearly_all_right() -> None:
    path = Path(__file__).parents[1] / "data" / "gsm8k" / "gold.jsonl"
    found = [one for line in path.read_text().splitlines() for one in calculations(json.loads(line)["answer"])]
    assert len(found) > 150
    assert sum(one.right for one in found) / len(found) > 0.97


def test_hostile_texts_take_no_time() -> None:
    started = time.process_time()
    for text in ("1 + " * 20_000, "1 a b " * 20_000, "9" * 50_000, "1=1=" * 10_000, "1 + 1" * 10_000):
        calculations(text)
    # Half a second here; a pattern that goes back over what it has read takes minutes.
    assert time.process_time() - started < 20


def test_an_error_counts_as_mended_once_it_is_done_again_rightly() -> None:
    mended = "40 - 7 = 43\nWait, 40 - 7 = 33\n33 + 5 = 38\nSo 38."
    found = abilities([mended, "40 - 7 = 43\n43 + 5 = 48\nSo 48.", RIGHT, "Paris is in France. So A."])
    assert (found.answers, found.several_steps.count, found.several_steps.of) == (4, 3, 4)
    assert (found.with_error.count, found.with_error.of) == (2, 3)
    assert (found.mended.count, found.mended.of) == (1, 2)
    assert (found.checked.count, found.checked.of) == (1, 3)
    assert (found.right_calculations.count, found.right_calculations.of) == (6, 8)
    assert (found.linked.count, found.linked.of) == (4, 5)  # the mended calculation itself starts afresh
    assert "mended" in render_abilities({"base": found})


def test_no_answers_give_no_rates() -> None:
    found = abilities([])
    assert found.answers == 0 and found.mended.share is None
    assert found.as_json()["mended"] == {"count": 0, "of": 0, "share": None, "interval": None}


def test_a_planted_error_is_the_only_one_and_reaches_the_answer() -> None:
    steps = set()
    for seed in range(40):
        case = plant("q", "?", RIGHT, random.Random(seed))
        assert case is not None
        found = calculations(case.solution)
        wrong = [index for index, one in enumerate(found, 1) if not one.right]
        assert wrong == [case.step]
        assert found[case.step - 1].left == case.left
        assert f"boxed{{{found[-1].claimed.value}}}" in case.solution and "boxed{76}" not in case.solution
        steps.add(case.step)
    assert steps == {1, 2, 3}


def test_no_error_is_planted_where_one_is_or_none_fits() -> None:
    for text in ("5 + 5 = 11\nSo 11", "Paris.", "10 / 4 = 2.5\nSo 2.5"):
        assert plant("q", "?", text, random.Random(0)) is None


@pytest.mark.parametrize(
    ("critique", "expected"),
    [
        ("Mine: step 2 is wrong, 33 + 5 = 38 not 36", "Named"),
        ("Agent 1: right\nMine: the error is in Step 1", "OtherStep"),
        ("33 + 5 = 36 is incorrect.", "Named"),
        ("40 - 7 = 33 is a mistake.", "OtherStep"),
        ("Something is wrong here.", "NoStep"),
        ("I find no mistake in step 2.", "NoFault"),
        (" ", "NoReview"),
    ],
)
def test_the_first_fault_that_a_review_names_counts(critique: str, expected: str) -> None:
    assert outcome(Case("q", "?", "", 2, "33+5"), critique) == expected


def test_a_model_is_asked_to_review_planted_and_right_solutions() -> None:
    planted = plant("q", "How many?", RIGHT, random.Random(1))
    assert planted is not None

    def reviewer(messages: Sequence[Message], sampling: Sampling, sample: int, seed: int) -> str:
        assert [message.role for message in messages] == ["user", "assistant", "user"]
        assert messages[1].content in messages[2].content
        wrong = [n for n, one in enumerate(calculations(messages[1].content), 1) if not one.right]
        return f"Step {wrong[0] if wrong else 1} is wrong.\n### Solution\nStep 1: ..."

    cases = [planted, whole("q", "How many?", RIGHT)]
    engine = ScriptedEngine(reviewer)
    found = asyncio.run(localise(cases, engine, prompts=Prompts(), sampling=Sampling(temperature=0)))
    assert engine.calls == 2
    assert (found.named.share, found.noticed.share, found.false_alarms.share) == (1.0, 1.0, 1.0)
    assert tally(cases, ["NoReview", "NoFault"]).unreviewed == 1
