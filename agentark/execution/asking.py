"""Ask a run's student one question, with the prompt it was trained on."""

import asyncio
import os
from pathlib import Path
from typing import NamedTuple

from agentark.api import Execution, Prompts
from agentark.debate.prompts import solve_text
from agentark.errors import InvalidInput
from agentark.execution.engines import weights_engine
from agentark.llm import Message, Sampling
from agentark.reports.results import distill_spec, student_stage
from agentark.store import RunRecord, Store, read_manifest
from agentark.store.outputs import fetch
from agentark.tasks import extract, policy_of


class Asked(NamedTuple):
    """A student's reply."""

    text: str
    answer: str | None
    tokens: int
    seconds: float


def ask_student(store: Store, run: RunRecord, question: str) -> Asked:
    """Load the student of a run and ask it, greedily.

    Raises:
        InvalidInput: The run makes no student, or has not got there.
    """
    stage = student_stage(run.stages)
    manifest = read_manifest(store, stage.kind, stage.key) if stage else None
    if manifest is None:
        raise InvalidInput(f"run {run.run_id} has no student yet; finish it with: agentark run -f MANIFEST")
    spec = distill_spec(run)
    debate = spec.debate
    prompts = debate.protocol.prompts if debate else Prompts()
    sampling = Sampling(temperature=0.0, max_tokens=debate.protocol.sampling.max_tokens if debate else 1024)
    folder = _cached(store, manifest.key)
    fetch(store, manifest.outputs["model"], folder)
    messages = [Message("system", prompts.system)] if prompts.system else []
    messages.append(Message("user", solve_text(prompts, question)))

    async def ask() -> Asked:
        engine = weights_engine(folder, Execution())
        try:
            reply = await engine.chat(messages, sampling=sampling, seed=0)
        finally:
            await engine.aclose()
        completion = reply.completions[0]
        policy = policy_of(debate.dataset.canonical() if debate else {"task": "jsonl"})
        answer = extract(completion.text, policy)
        return Asked(completion.text, answer, completion.completion_tokens, reply.latency_s)

    return asyncio.run(ask())


def _cached(store: Store, key: str) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "agentark" / "students" / key
