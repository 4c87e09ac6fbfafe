"""The test double behaves like an engine where tests look."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from agentark.errors import EngineError, InvalidInput
from agentark.llm import Completion, Engine, Message, Sampling, ScriptedEngine
from agentark.llm.chat import split_reasoning

ASK = (Message("system", "be brief"), Message("user", "2 + 2 ?"))
SAMPLING = Sampling(max_tokens=4)


def echo(messages: Sequence[Message], sampling: Sampling, index: int, seed: int) -> str:
    return f"{messages[-1].content.split()[0]} {index} {seed}"


async def test_answers_come_from_the_script_by_index_and_seed() -> None:
    engine: Engine = ScriptedEngine(echo, model="double", latency_s=0.25)
    reply = await engine.chat(ASK, sampling=SAMPLING, n=2, seed=7)
    assert [c.text for c in reply.completions] == ["2 0 7", "2 1 7"]
    assert reply.prompt_tokens == 6
    assert (reply.latency_s, reply.model) == (0.25, "double")


async def test_long_text_is_cut_and_marked() -> None:
    engine = ScriptedEngine(lambda *_: "one two three four five")
    reply = await engine.chat(ASK, sampling=SAMPLING, seed=0)
    assert reply.completions == (Completion("one two three four", "", "length", 4),)


async def test_exceptions_fail_the_call_and_are_counted() -> None:
    engine = ScriptedEngine(lambda *_: EngineError("no"))
    with pytest.raises(EngineError, match="no"):
        await engine.chat(ASK, sampling=SAMPLING, seed=0)
    assert (engine.calls, engine.failures, engine.in_flight) == (0, 1, 0)


async def test_requests_interleave() -> None:
    engine = ScriptedEngine(echo)
    await asyncio.gather(*(engine.chat(ASK, sampling=SAMPLING, seed=s) for s in range(5)))
    assert (engine.calls, engine.peak_in_flight) == (5, 5)


async def test_call_log_counts_over_processes(tmp_path: Path) -> None:
    log = tmp_path / "calls.jsonl"
    engine = ScriptedEngine(echo, call_log=log)
    await engine.chat(ASK, sampling=SAMPLING, seed=1)
    await engine.chat(ASK, sampling=SAMPLING, seed=2)
    await engine.aclose()
    again = ScriptedEngine(echo, call_log=log)
    await again.chat(ASK, sampling=SAMPLING, seed=1)
    await again.aclose()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert lines[0]["digest"] == lines[2]["digest"] != lines[1]["digest"]
    assert {line["pid"] for line in lines} == {os.getpid()}


@pytest.mark.parametrize(
    ("raw", "text", "reasoning"),
    [
        ("  plain \n", "  plain \n", ""),
        ("<think>a < b</think>\n\nanswer", "answer", "a < b"),
        ("thought</think>answer", "answer", "thought"),
        ("<think>never closed 42", "", "never closed 42"),
        ("Let me see. <think>hm</think> 4", "Let me see.  4", "hm"),
    ],
)
def test_reasoning_is_cut_out(raw: str, text: str, reasoning: str) -> None:
    assert split_reasoning(raw) == (text, reasoning)


@pytest.mark.parametrize(
    ("field", "value"), [("temperature", -1.0), ("top_p", 0.0), ("top_p", 1.5), ("top_k", -1), ("max_tokens", 0)]
)
def test_sampling_out_of_range_names_the_field(field: str, value: float) -> None:
    with pytest.raises(InvalidInput, match=rf"sampling\.{field} is {value}.*accepted"):
        Sampling(**{field: value})  # type: ignore[arg-type]


def test_the_package_loads_no_torch() -> None:
    code = "import sys, agentark.llm; sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'vllm')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
