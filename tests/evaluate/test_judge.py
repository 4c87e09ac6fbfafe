"""The judge is asked fairly, read strictly, and its habits come to light."""

import asyncio
import json
import re
from collections.abc import Callable, Sequence

import pytest

from agentark.errors import EngineError, InvalidInput
from agentark.evaluate.judge import QUALITIES, Judged, Solution, judge, judge_prompt, parse
from agentark.evaluate.judge_bias import krippendorff_alpha, render_judgement, report, spearman
from agentark.llm import Message, Sampling
from agentark.llm.testing import ScriptedEngine

Habit = Callable[[int, int, str], int]
"""Score from place (from 0), number of solutions, text."""


def solutions(questions: int = 30) -> list[Solution]:
    """The base writes short texts of many lengths, the student longer ones."""
    return [
        Solution(f"q{i}", f"Question {i}?", subject, f"{subject} " + "word " * (10 * many + i))
        for i in range(questions)
        for many, subject in enumerate(("base", "student"))
    ]


def judging(habit: Habit, *, items: list[Solution] | None = None, repeats: int = 4, judges_own: str = "") -> Judged:
    def script(messages: Sequence[Message], sampling: Sampling, sample: int, seed: int) -> str:
        (message,) = messages
        texts = re.findall(r"=== Solution \d+ ===\n(.*?)(?=\n\n===|\n=== End)", message.content, re.DOTALL)
        scores = (habit(place, len(texts), text) for place, text in enumerate(texts))
        return json.dumps({str(i): dict.fromkeys(QUALITIES, score) for i, score in enumerate(scores, 1)})

    return asyncio.run(judge(items or solutions(), ScriptedEngine(script, model="judge"), repeats=repeats))


def test_a_fair_judge_shows_no_habit() -> None:
    found = report(judging(lambda place, shown, text: 4 if "student" in text else 2), judges_own="base")
    assert found.means["student"]["reasoning_coherence"].value == 4
    assert found.means["base"]["all"].value == 2
    assert found.alpha == dict.fromkeys(QUALITIES, 1.0)
    assert found.position is not None and found.position.value == 0
    assert found.length == {"base": None, "student": None}
    assert found.own is not None and found.own.value == -2
    assert found.judge == "judge" and (found.requests, found.unparsed) == (120, 0)
    assert "alpha" in render_judgement(found) and json.dumps(found.as_json())


def test_a_judge_that_loves_the_first_place_is_found_out() -> None:
    found = report(judging(lambda place, shown, text: 5 if place == 0 else 1))
    assert found.position is not None and found.position.interval == (4, 4)
    assert all(alpha is not None and alpha < 0.2 for alpha in found.alpha.values())
    assert abs(found.means["base"]["all"].value - found.means["student"]["all"].value) < 1.5  # orders are shuffled


def test_a_judge_that_loves_length_is_found_out() -> None:
    found = report(judging(lambda place, shown, text: min(5, 1 + len(text) // 50)))
    assert all(value is not None and value > 0.8 for value in found.length.values())
    assert found.length_within is not None and found.length_within > 0.9


def test_one_subject_alone_has_no_place() -> None:
    alone = [one for one in solutions() if one.subject == "base"]
    found = report(judging(lambda place, shown, text: 3, items=alone, repeats=1))
    assert found.position is None and found.length_within is None and found.own is None
    assert set(found.alpha.values()) == {None}


def test_the_order_of_solutions_and_qualities_is_shuffled_and_the_same_for_the_same_seed() -> None:
    prompts: list[str] = []

    def script(messages: Sequence[Message], sampling: Sampling, sample: int, seed: int) -> str:
        prompts.append(messages[0].content)
        return "no JSON"

    for _ in range(2):
        found = asyncio.run(judge(solutions(10), ScriptedEngine(script), repeats=3))
        assert (found.requests, found.unparsed, found.verdicts) == (30, 30, ())
    assert sorted(prompts[:30]) == sorted(prompts[30:])
    first_solution = {re.search(r"=== Solution 1 ===\n(\w+)", prompt)[1] for prompt in prompts}  # type: ignore[index]
    first_quality = {re.search(r"^- (\w+):", prompt, re.MULTILINE)[1] for prompt in prompts}  # type: ignore[index]
    assert first_solution == {"base", "student"} and first_quality == set(QUALITIES)
    assert "nameless" not in judge_prompt([Solution("q", "?", "nameless", "x")], QUALITIES)


GOOD = {"1": dict.fromkeys(QUALITIES, 3)}


@pytest.mark.parametrize("reply", [json.dumps(GOOD), f"```json\n{json.dumps(GOOD, indent=1)}\n```"])
def test_exactly_the_json_asked_for_is_read(reply: str) -> None:
    assert parse(reply, 1) == [dict.fromkeys(QUALITIES, 3)]


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "I think " + json.dumps(GOOD),
        json.dumps({"1": dict.fromkeys(QUALITIES, 6)}),
        json.dumps({"1": dict.fromkeys(QUALITIES, 3.0)}),
        json.dumps({"1": dict.fromkeys(QUALITIES, True)}),
        json.dumps({"1": dict.fromkeys(QUALITIES, "3")}),
        json.dumps({"1": dict.fromkeys(QUALITIES[:3], 3)}),
        json.dumps({"1": {**GOOD["1"], "overall": 3}}),
        json.dumps(GOOD | {"2": GOOD["1"]}),
        json.dumps([GOOD]),
        json.dumps(GOOD)[:-1] + ', "1": {}}',
        "[" * 100_000,
    ],
)
def test_anything_else_is_unreadable(reply: str) -> None:
    assert parse(reply, 1) is None


def test_bad_input_and_failing_engines_are_not_hidden() -> None:
    engine = ScriptedEngine(lambda *_: EngineError("gone"))
    with pytest.raises(InvalidInput, match="two solutions"):
        asyncio.run(judge([*solutions(1), *solutions(1)], engine))
    with pytest.raises(InvalidInput, match="0 questions"):
        asyncio.run(judge([], engine))
    with pytest.raises(EngineError, match="gone"):
        asyncio.run(judge(solutions(1), engine))


def test_krippendorffs_alpha_is_that_of_his_example() -> None:
    # Krippendorff 2011, example C: four observers, twelve units, values missing; ordinal alpha 0.815.
    observers = (
        "1 2 3 3 2 1 4 1 2 . . .",
        "1 2 3 3 2 2 4 1 2 5 . 3",
        ". 3 3 3 2 3 4 2 2 5 1 .",
        "1 2 3 3 2 4 4 1 2 5 1 .",
    )
    rows = [row.split() for row in observers]
    units = [[int(row[i]) for row in rows if row[i] != "."] for i in range(12)]
    assert krippendorff_alpha(units) == pytest.approx(0.815, abs=0.0005)
    assert krippendorff_alpha([[1], [2, 2]]) is None


def test_spearman_by_its_definition() -> None:
    assert spearman([1, 2, 3, 4], [10, 20, 25, 100]) == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    assert spearman([1, 2, 2, 3], [1, 3, 2, 4]) == pytest.approx(0.9486833)
    assert spearman([1, 1], [1, 2]) is None
