"""Put a set of questions to models: the `debate` stage, and each subject of an `evaluate` stage."""

import asyncio
import functools
import hashlib
import json
import logging
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from agentark.debate import (
    DebateProtocol,
    Summary,
    outcome_of,
    questions_of,
    read_records,
    run_questions,
    warning_of,
    whole_summary,
)
from agentark.errors import InvalidInput
from agentark.execution.context import StageContext, StageResult
from agentark.execution.engines import build_engines, check_engines
from agentark.execution.questions import stage_questions
from agentark.execution.rehearsing import rehearse
from agentark.execution.shares import longest_s
from agentark.llm import Engine
from agentark.store import Output
from agentark.store.outputs import put_bytes
from agentark.tasks import Policy, Question, policy_of

_log = logging.getLogger(__name__)
MAX_EQUAL_TOKENS_SAMPLES = 64
_STOP_POLL_S = 0.2


def run(context: StageContext) -> StageResult | None:
    """Ask every question, keep every turn.

    Returns:
        None in a worker that has finished its share before the others.
    """
    params = context.stage.params
    policy = policy_of(params)
    protocol = DebateProtocol(**_sized(context, params["protocol"]))
    pin = context.pin(context.stage.settings["dataset"])
    read = functools.partial(
        stage_questions,
        pin,
        task_name=params["task"],
        limit=params["limit"],
        needs_gold=context.stage.settings["needsGold"],
    )
    total = _count(read())
    if "model" not in context.stage.inputs:
        rehearse(context, next(read()))
    clock = _Clock(context.work / "seconds")
    with clock:
        summary = asyncio.run(_ask(context, read(), total, protocol, policy))
    seconds = clock.seconds
    if not context.share.is_all:
        longest = longest_s(context, seconds)
        # Reads follow writes in the store, so whoever is last sees the shards and the times of all.
        whole = None if longest is None else whole_summary(context.store, context.shared_path("records"), total=total)
        if longest is None or whole is None:
            return None
        summary, seconds = whole, longest
    outputs = _outputs(context, protocol)
    usage = {
        "calls": float(summary.calls),
        "prompt_tokens": float(summary.prompt_tokens),
        "completion_tokens": float(summary.completion_tokens),
        "seconds": seconds,
    }
    metrics: dict[str, Any] = {"questions": summary.questions, "failed": summary.failed, "agents": protocol.agents}
    if context.stage.kind == "debate":
        metrics |= _outcome(context, protocol, policy, summary.failed)
    return StageResult(outputs, metrics=metrics, usage=usage)


class _Clock:
    """Seconds spent on a stage, those of interrupted attempts on this machine included."""

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self.seconds = float(memory.read_text()) if memory.exists() else 0.0

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        return self

    def __exit__(self, *error: object) -> None:
        self.seconds += time.monotonic() - self._started
        self._memory.write_text(f"{self.seconds:.3f}")


def _outcome(context: StageContext, protocol: DebateProtocol, policy: Policy, failed: int) -> dict[str, Any]:
    """What the debate came to, as metrics; `warning` is there where many of its replies could not count."""
    outcome = outcome_of(read_records(context.store, context.shared_path("records")), policy)
    metrics = {name: value for name, value in asdict(outcome).items() if value is not None}
    settings = context.stage.settings
    field = settings.get("field", "spec")
    warning = warning_of(
        outcome,
        failed=failed,
        max_tokens=protocol.sampling.max_tokens,
        field=field,
        model_field="spec.student" if "model" in context.stage.inputs else f"{field}.teacher",
    )
    if warning:
        _log.warning("stage %s: %s", context.stage.name, warning)
        metrics["warning"] = warning
    return metrics


async def _ask(
    context: StageContext,
    questions: Iterator[Question],
    total: int,
    protocol: DebateProtocol,
    policy: Policy,
) -> Summary:
    execution = context.stage.settings["execution"]
    stop = asyncio.Event()
    engines: list[Engine] = build_engines(context)

    async def watch() -> None:
        while not context.stop.is_set():  # noqa: ASYNC110 - set by a signal handler, nothing to await
            await asyncio.sleep(_STOP_POLL_S)
        stop.set()

    own = questions_of(context.share, total)
    whole = 0 if context.share.is_all else total

    def progress(done: int, failed: int, calls: int) -> None:
        context.progress.update(done=done, total=own, failed=failed, whole=whole, metrics={"calls": calls})

    watching = asyncio.create_task(watch())
    try:
        await check_engines(engines)
        return await run_questions(
            questions,
            protocol=protocol,
            engines=engines,
            policy=policy,
            store=context.store,
            prefix=context.shared_path("records"),
            journal=context.work / "journal",
            concurrency=execution["concurrency"],
            max_failed=execution["maxFailedQuestions"],
            share=context.share,
            on_progress=progress,
            stop=stop,
        )
    finally:
        watching.cancel()
        for engine in engines:
            await engine.aclose()


def _sized(context: StageContext, params: dict[str, Any]) -> dict[str, Any]:
    """Self-consistency at the debate's price: as many samples as the debate's tokens pay for.

    The samples of a question share its prompt, which engines read, and we count, once.
    """
    if params["agents"] != "EqualTokens":
        return params
    prompt, completion = _tokens_per_question(context, "single")
    samples = round((sum(_tokens_per_question(context, "debate")) - prompt) / completion)
    return params | {"agents": max(1, min(MAX_EQUAL_TOKENS_SAMPLES, samples))}


def _tokens_per_question(context: StageContext, role: str) -> tuple[float, float]:
    manifest = context.input_manifest(role)
    prompt, completion = manifest.usage["prompt_tokens"], manifest.usage["completion_tokens"]
    questions = manifest.metrics["questions"]
    if not isinstance(questions, int) or questions < 1 or completion <= 0:
        raise InvalidInput(f"stage {role}: its manifest counts {questions} questions and {completion} tokens")
    return prompt / questions, completion / questions


def _count(questions: Iterator[Question]) -> int:
    """Read all rows once before the first call: a wrong row in line 9,000 must not cost 8,999 debates."""
    return sum(1 for _ in questions)


def _outputs(context: StageContext, protocol: DebateProtocol) -> dict[str, Output]:
    outputs: dict[str, Output] = {}
    prefix = context.shared_path("records")
    for entry in context.store.entries(f"{prefix}/shards"):
        data = context.store.read(entry.path)
        name = entry.path.removeprefix(f"{prefix}/")
        outputs[name] = Output(path=entry.path, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
    prompts = json.dumps(protocol.prompts.model_dump(), indent=1, ensure_ascii=False).encode()
    outputs["prompts.json"] = put_bytes(context.store, context.output_path("prompts.json"), prompts)
    return outputs
