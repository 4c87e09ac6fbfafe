"""The `gate` stage: a round's student takes the place of the one before, or is turned away."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agentark.api import Execution
from agentark.distill.rows import HeldOut, read_held_out
from agentark.errors import InvalidInput
from agentark.evaluate.gate import decide
from agentark.execution.context import StageContext, StageResult
from agentark.execution.engines import weights_engine
from agentark.execution.weights import model_folder
from agentark.llm import Message, Sampling
from agentark.store import Output
from agentark.store.outputs import put_bytes, put_folder
from agentark.tasks import Policy, grade, policy_of


def run(context: StageContext) -> StageResult:
    """Let both students answer the held-out questions; the output is the model of the better one."""
    ended = str(context.input_manifest("candidate").metrics.get("ended", ""))
    if ended:  # An earlier gate turned its student away; the one that it kept is handed on.
        kept = context.input_manifest("before").outputs["model"]
        return StageResult({"model": kept}, metrics={"round": context.stage.params["round"], "ended": ended})
    if "held_out" not in context.input_manifest("rows").outputs:
        raise InvalidInput(
            "evolve: no question with a known answer is held out, so no student can be compared with the one before; "
            "give more questions or raise curation.heldOutFraction"
        )
    questions = read_held_out(context.input_output("rows", "held_out"))
    policy = policy_of(context.stage.params)
    before = _right(context, _earlier(context), questions, policy)
    after = _right(context, context.input_output("candidate", "model"), questions, policy)
    verdict = decide(before, after)
    metrics: dict[str, Any] = {"round": context.stage.params["round"], **asdict(verdict)}
    if not verdict.accepted:
        metrics["ended"] = (
            f"round {context.stage.params['round']} was turned away: {verdict.after:.1%} of {verdict.questions} "
            f"held-out questions right, {verdict.before:.1%} before"
        )
    answers = json.dumps({"before": before, "after": after}).encode()
    outputs = {
        "model": context.input_manifest("candidate").outputs["model"] if verdict.accepted else _kept(context),
        "answers": put_bytes(context.store, context.output_path("answers.json"), answers),
    }
    return StageResult(outputs, metrics=metrics)


def _earlier(context: StageContext) -> Path:
    if "before" in context.stage.inputs:
        return context.input_output("before", "model")
    return model_folder(context, context.stage.settings["before"])


def _kept(context: StageContext) -> Output:
    """The earlier model; models that a stage made stay where they are, the job's own is copied into the store."""
    if "before" in context.stage.inputs:
        return context.input_manifest("before").outputs["model"]
    return put_folder(context.store, context.output_path("model"), _earlier(context))


def _right(context: StageContext, model: Path, questions: Sequence[HeldOut], policy: Policy) -> list[bool]:
    """Whether a model's single greedy pass answers each question right."""
    execution = Execution.model_validate_json(json.dumps(context.stage.settings["execution"]))
    sampling = Sampling(temperature=0.0, max_tokens=context.stage.params["maxNewTokens"])

    async def ask() -> list[bool]:
        engine = weights_engine(model, execution)
        free = asyncio.Semaphore(execution.concurrency)

        async def one(question: HeldOut) -> bool:
            async with free:
                messages = [Message(turn.role, turn.content) for turn in question.prompt]
                (answer,) = (await engine.chat(messages, sampling=sampling, n=1, seed=0)).completions
            return answer.finish_reason == "stop" and grade(answer.text, question.gold, policy).correct

        try:
            return await asyncio.gather(*map(one, questions))
        finally:
            await engine.aclose()

    return asyncio.run(ask())
