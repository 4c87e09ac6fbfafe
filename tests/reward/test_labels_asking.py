"""Roll-outs and judges: what they are asked, what their replies become, and that nothing is paid for twice."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agentark.errors import EngineError, Interrupted, InvalidInput, StoreError
from agentark.llm import Message, Sampling, ScriptedEngine
from agentark.llm.local import TransformersEngine
from agentark.reward.labels import (
    Discussion,
    JudgeParams,
    RolledOut,
    RolloutParams,
    StepsJudged,
    judge_steps,
    label_discussions,
    roll_out,
)
from agentark.reward.labels.asking import Ledger
from agentark.reward.labels.judging import parse_marks
from tests.reward.debates import EARLY, RIGHT, SLIPPED, discussion, turn

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart" / "base"
DEBATE = discussion(turn(0, 0, RIGHT), turn(1, 0, SLIPPED), turn(2, 0, EARLY))


def finish(messages: Sequence[Message], sampling: Sampling, index: int, seed: int) -> str:
    """Goes on from a beginning: right from the first step's right result, three times in four."""
    asked, beginning = messages
    assert (asked.role, beginning.role) == ("user", "assistant")
    if "= 15" in beginning.content or "= 8" in beginning.content or index % 4 == 3:
        return "\nSo \\boxed{15}"
    return "\nSo \\boxed{14}"


def is_right(text: str, gold: str) -> bool:
    return text.endswith(f"{{{gold}}}")


async def rolled(engine: Any, folder: Path, *debates: Discussion, **options: Any) -> RolledOut:
    return await roll_out(
        debates or (DEBATE,),
        rule="Newline",
        sources=options.pop("sources", ("MonteCarlo",)),
        engine=engine,
        model=options.pop("model", "digest"),
        params=options.pop("params", RolloutParams(rollouts=4, max_tokens=20)),
        is_right=is_right,
        ledger=folder / "ledger.jsonl",
        **options,
    )


async def judged(script: Any, folder: Path) -> StepsJudged:
    return await judge_steps(
        [DEBATE],
        rule="Newline",
        sources=("Judge",),
        engine=ScriptedEngine(script),
        model="judge",
        params=JudgeParams(),
        ledger=folder / "ledger.jsonl",
    )


async def test_a_label_is_the_share_of_right_continuations(tmp_path: Path) -> None:
    found = await rolled(ScriptedEngine(finish), tmp_path)
    assert found.labels["q1"] == [[0.75, 0.75, 1.0], [0.75, 0.0, 0.0], [0.0, 0.0, 0.0]]
    # The first step of two solutions is one beginning; the last steps are known from the answers.
    assert (found.asked.requests, found.asked.reused, found.asked.failed, found.truncated) == (5, 0, 0, 0)


async def test_cut_continuations_count_as_wrong(tmp_path: Path) -> None:
    engine = ScriptedEngine(lambda *_: "a b c \\boxed{14}")
    found = await rolled(engine, tmp_path, params=RolloutParams(rollouts=2, max_tokens=3))
    assert found.labels["q1"][0] == [0.0, 0.0, 1.0]
    assert found.truncated == 10


async def test_questions_without_gold_are_not_rolled_out(tmp_path: Path) -> None:
    engine = ScriptedEngine(finish)
    found = await rolled(engine, tmp_path, discussion(turn(0, 0, RIGHT), gold=None))
    assert (found.labels["q1"], engine.calls) == ([[None, None, 1.0]], 0)


async def test_of_a_self_correction_the_attempt_is_rolled_out(tmp_path: Path) -> None:
    debate = discussion(turn(0, 0, SLIPPED), turn(0, 1, RIGHT, "Step 2 is wrong"))
    found = await rolled(ScriptedEngine(finish), tmp_path, debate, sources=("MonteCarlo", "Corrective"))
    assert found.labels["q1"][2] == [0.75, 0.0, 0.0, *[None] * 6]
    assert found.asked.requests == 3


async def test_an_interrupted_labelling_goes_on_without_paying_twice(tmp_path: Path) -> None:
    whole = await rolled(ScriptedEngine(finish), tmp_path / "whole")
    first = ScriptedEngine(finish)
    one = RolloutParams(rollouts=4, max_tokens=20, concurrency=1)
    with pytest.raises(Interrupted, match="2 of 5"):
        await rolled(first, tmp_path, params=one, should_stop=lambda: first.calls == 2)
    with (tmp_path / "ledger.jsonl").open("a") as file:
        file.write('{"key": "killed while')
    second, seen = ScriptedEngine(finish), list[tuple[int, int]]()
    again = await rolled(second, tmp_path, params=one, on_progress=lambda *done: seen.append(done))
    assert again.labels == whole.labels
    assert (second.calls, again.asked.requests, again.asked.reused) == (3, 3, 2)
    assert seen == [(3, 5), (4, 5), (5, 5)]
    third = ScriptedEngine(finish)
    assert (await rolled(third, tmp_path)).labels == whole.labels
    assert third.calls == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"model": "another"},
        {"params": RolloutParams(rollouts=5, max_tokens=20)},
        {"params": RolloutParams(rollouts=4, max_tokens=20, temperature=0.5)},
        {"params": RolloutParams(rollouts=4, max_tokens=20, seed=1)},
    ],
)
async def test_other_models_and_settings_are_asked_anew(tmp_path: Path, changed: dict[str, Any]) -> None:
    await rolled(ScriptedEngine(finish), tmp_path)
    engine = ScriptedEngine(finish)
    await rolled(engine, tmp_path, **changed)
    assert engine.calls == 5


async def test_requests_run_at_once_and_no_more_than_allowed(tmp_path: Path) -> None:
    engine = ScriptedEngine(finish)
    await rolled(engine, tmp_path, params=RolloutParams(rollouts=4, max_tokens=20, concurrency=3))
    assert engine.peak_in_flight == 3


async def test_a_refused_request_costs_its_label_and_all_refused_are_an_error(tmp_path: Path) -> None:
    def sometimes(messages: Sequence[Message], *rest: Any) -> Any:
        return EngineError("too long") if "= 15" in messages[-1].content else finish(messages, *rest)

    found = await rolled(ScriptedEngine(sometimes), tmp_path)
    assert found.labels["q1"][1] == [0.75, None, 0.0]
    assert (found.asked.failed, found.asked.error) == (1, "too long")
    with pytest.raises(EngineError, match="all 5 requests failed; the first: no"):
        await rolled(ScriptedEngine(lambda *_: EngineError("no")), tmp_path / "other")


async def test_a_fault_of_the_program_is_not_taken_for_a_refusal(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        await rolled(ScriptedEngine(lambda *_: ZeroDivisionError()), tmp_path)


async def test_a_real_model_goes_on_from_the_beginning(tmp_path: Path) -> None:
    good = "Step 1: 12 + 3 = 15\nStep 2: 15 - 4 = 11\nThe answer is \\boxed{11}"
    prompt = (Message("user", "Ann has 12 pens. She buys 3. She loses 4. How many pens now?"),)
    debate = Discussion("q", prompt, "11", (turn(0, 0, good), turn(1, 0, good.replace("15", "25").replace("11", "21"))))
    engine = TransformersEngine(QUICKSTART)
    found = await rolled(engine, tmp_path, debate, params=RolloutParams(rollouts=8, max_tokens=40, temperature=0.3))
    await engine.aclose()
    right, slipped = (labels[0] for labels in found.labels["q"])
    assert right is not None and slipped is not None
    assert right > 0.5 > slipped


@pytest.mark.parametrize("name", ["rollouts", "temperature", "max_tokens", "concurrency"])
def test_values_out_of_range_are_named(name: str) -> None:
    with pytest.raises(InvalidInput, match=f"rollouts.{name} is 0"):
        RolloutParams(**{name: 0})


async def test_a_judge_marks_each_step_once_a_solution(tmp_path: Path) -> None:
    asked: list[str] = []

    def script(messages: Sequence[Message], *_: Any) -> str:
        asked.append(messages[0].content)
        marks = {"1": 1, "2": 0 if "= 15" in asked[-1] else 1, "3": None}
        return f"```json\n{json.dumps(marks)}\n```"

    found = await judged(script, tmp_path)
    assert found.labels["q1"] == [[1.0, 1.0, None], [1.0, 0.0, None], [1.0, 1.0, None]]
    assert (found.asked.requests, found.unparsed) == (3, 0)
    assert all("Three and four, doubled?" in text and "right answer is 14" in text for text in asked)
    assert "[2] Step 2: 7 * 2 = 15\n[3] The answer is" in asked[1]


async def test_replies_that_cannot_be_read_label_nothing_and_are_counted(tmp_path: Path) -> None:
    def script(messages: Sequence[Message], *_: Any) -> str:
        return "All right!" if "= 15" in messages[0].content else '{"1": 1, "2": 1, "3": 1}'

    found = await judged(script, tmp_path)
    again = await judged(lambda *_: AssertionError("is not asked again"), tmp_path)
    for one in (found, again):
        assert one.labels["q1"][1] == [None, None, None]
        assert one.unparsed == 1
    rows = label_discussions(
        [DEBATE], rule="Newline", sources=("Judge", "Agreement"), further={"Judge": found.labels}
    ).rows
    assert [(step.source, step.weight) for step in rows[0].steps] == [("Judge", 0.5)] * 3
    assert {step.source for step in rows[1].steps} == {"Agreement"}


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "yes",
        "[1, 0]",
        '{"1": 1}',
        '{"1": 1, "2": 0, "3": 1}',
        '{"1": 1, "2": 0.5}',
        '{"1": true, "2": 0}',
        '{"1": 1, "1": 0, "2": 1}',
        '{"1": 1, "2": 2}',
        'Sure: {"1": 1, "2": 0}',
        '{"1": 1, "2": NaN}',
        "[" * 100_000,
    ],
)
def test_a_judges_reply_is_read_strictly(reply: str) -> None:
    assert parse_marks(reply, 2) is None
    assert parse_marks(' {"2": null, "1": 0} ', 2) == [0.0, None]


def test_a_ledger_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be used"):
        Ledger(tmp_path)


def test_labelling_does_not_depend_on_the_order_of_debates(tmp_path: Path) -> None:
    other = discussion(turn(0, 0, EARLY), name="q2")

    def drawn(messages: Sequence[Message], sampling: Sampling, index: int, seed: int) -> str:
        return "\\boxed{14}" if (seed >> index) & 1 else "\\boxed{1}"

    one = asyncio.run(rolled(ScriptedEngine(drawn), tmp_path / "a", DEBATE, other))
    two = asyncio.run(rolled(ScriptedEngine(drawn), tmp_path / "b", other, DEBATE))
    assert one.labels == two.labels
