"""Step labels that have to be asked for: continuations by the model that debated, and a judge's marks."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from agentark.api import Endpoint, Execution
from agentark.execution.context import StageContext
from agentark.execution.engines import build_engines, check_engines, metered_endpoint
from agentark.llm import Engine
from agentark.reward import Source, SplitRule
from agentark.reward.labels import (
    Discussion,
    JudgeParams,
    Labels,
    RolledOut,
    RolloutParams,
    StepsJudged,
    judge_steps,
    roll_out,
)
from agentark.tasks import Policy, grade

Further = Mapping[Source, Mapping[str, Labels]]
_Answer = TypeVar("_Answer", RolledOut, StepsJudged)


def ask_labels(
    context: StageContext, discussions: Sequence[Discussion], rule: SplitRule, policy: Policy
) -> tuple[Further, dict[str, Any]]:
    """Ask models for the labels that a `steps` stage wants of them.

    Answers are kept in the stage's work folder, so a stage that was stopped pays for none twice.

    Returns:
        Labels by source and discussion, and for each source what asking came to.

    Raises:
        InvalidInput: The server, its model's name or the key is wrong.
        EngineError: No request succeeded.
        Interrupted: It was told to stop.
    """
    further: dict[Source, Mapping[str, Labels]] = {}
    counts: dict[str, Any] = {}
    sources = context.stage.params["labels"]
    if "MonteCarlo" in sources:
        rolled = asyncio.run(_roll_out(context, discussions, rule, policy))
        further["MonteCarlo"] = rolled.labels
        counts["MonteCarlo"] = asdict(rolled.asked) | {"truncated": rolled.truncated}
    if "Judge" in sources:
        judged = asyncio.run(_judge(context, discussions, rule))
        further["Judge"] = judged.labels
        counts["Judge"] = asdict(judged.asked) | {"unparsed": judged.unparsed}
    return further, counts


async def _roll_out(
    context: StageContext, discussions: Sequence[Discussion], rule: SplitRule, policy: Policy
) -> RolledOut:
    drawing = context.stage.params["monteCarlo"]
    params = RolloutParams(
        rollouts=drawing["rollouts"],
        temperature=float(drawing["temperature"]),
        max_tokens=drawing["maxTokens"],
        seed=context.stage.params["seed"],
        concurrency=context.stage.settings["execution"]["concurrency"],
    )
    (engine,) = build_engines(context)
    return await _with(
        engine,
        lambda: roll_out(
            discussions,
            rule=rule,
            sources=context.stage.params["labels"],
            engine=engine,
            model=context.stage.pins["completer"],
            params=params,
            is_right=lambda solution, gold: grade(solution, gold, policy).correct,
            ledger=context.work / "rollouts.jsonl",
            should_stop=context.stop.is_set,
            on_progress=_progress(context, "roll-outs"),
        ),
    )


async def _judge(context: StageContext, discussions: Sequence[Discussion], rule: SplitRule) -> StepsJudged:
    settings = context.stage.settings
    execution = Execution.model_validate_json(json.dumps(settings["execution"]))
    engine = metered_endpoint(context, Endpoint.model_validate_json(json.dumps(settings["judge"])), execution)
    return await _with(
        engine,
        lambda: judge_steps(
            discussions,
            rule=rule,
            sources=context.stage.params["labels"],
            engine=engine,
            model=context.stage.pins["judge"],
            params=JudgeParams(seed=context.stage.params["seed"], concurrency=execution.concurrency),
            ledger=context.work / "judgements.jsonl",
            should_stop=context.stop.is_set,
            on_progress=_progress(context, "judged"),
        ),
    )


async def _with(engine: Engine, ask: Callable[[], Coroutine[Any, Any, _Answer]]) -> _Answer:
    try:
        await check_engines([engine])
        return await ask()
    finally:
        await engine.aclose()


def _progress(context: StageContext, what: str) -> Callable[[int, int], None]:
    def update(done: int, total: int) -> None:
        context.progress.update(done=done, total=total, metrics={what: done})

    return update
