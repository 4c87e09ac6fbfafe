"""The shards as others read them, and a debate as a person reads it."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agentark.debate import DebateProtocol, Record, format_record
from agentark.llm.chat import Completion
from agentark.llm.testing import ScriptedEngine
from agentark.store import Store
from tests.debate.conftest import PROMPTS, Listener, Run, disagreeing, many


async def test_datasets_loads_all_shards_with_one_schema(
    run: Run, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Single passes come first: nothing in them refers to other turns, yet the schema must fit the debates after them.
    questions = many(12)
    single = DebateProtocol(type="SinglePass", prompts=PROMPTS)
    await run(questions[:4], ScriptedEngine(disagreeing), protocol=single, prefix="all/a")
    await run(questions[4:], ScriptedEngine(disagreeing), prefix="all/b")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    files = sorted(str(path) for path in (tmp_path / "store" / "all").rglob("*.jsonl.zst"))
    rows = datasets.load_dataset("json", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    assert rows["id"] == [question.id for question in questions]
    last = rows[11]
    assert Record.model_validate(last).id == "q11"
    assert last["turns"][3]["messages"][2] == {"role": "user", "template": "review", "turns": "0/1 0/2"}


async def test_a_debate_is_readable(hold: Callable[..., Awaitable[Record]]) -> None:
    cut = Completion("Step 1: 3 + 4", "long thought", "length", 50)
    record = await hold(Listener([[1, 2, cut], ["Agent 1 errs.\nStep 1: \\boxed{2}", 2, 2]]), roles=["Doubt.", "", ""])
    assert format_record(record) == (
        """\
Question q1
  What is {peers} + 1?

Gold answer: 7

Role of agent 0: Doubt.

== Round 0, agent 0 (scripted): answer 1 [3 tokens, 0.00 s]
  Step 1: \\boxed{1}

== Round 0, agent 1 (scripted): answer 2 [3 tokens, 0.00 s]
  Step 1: \\boxed{2}

== Round 0, agent 2 (scripted): answer 3 + 4, cut at the token limit: does not count [50 tokens, 0.00 s]
  (thinking, 12 characters, hidden from the other agents)
  Step 1: 3 + 4

== Round 1, agent 0 (scripted): answer 2 [6 tokens, 0.00 s]
  Agent 1 errs.

  Step 1: \\boxed{2}

== Round 1, agent 1 (scripted): answer 2 [3 tokens, 0.00 s]
  Step 1: \\boxed{2}

== Round 1, agent 2 (scripted): answer 2 [3 tokens, 0.00 s]
  Step 1: \\boxed{2}

Final answer: 2 (all agents agree; 2 rounds, 5 calls, 74 + 68 tokens)
"""
    )
