"""The `distill` stage where its method is PAD: the student answers, its steps are scored, and it learns from that."""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from agentark.api import PRMEndpoint
from agentark.distill.pad.guards import Guards
from agentark.distill.pad.params import PadParams, StepScorer
from agentark.errors import EngineError, InvalidInput
from agentark.execution.context import StageContext, StageResult
from agentark.execution.engines import connection
from agentark.execution.stages.training import train_student
from agentark.execution.weights import model_folder


def run(context: StageContext) -> StageResult:
    """Train from the student before (or the base); the output is never worse on the held-out questions."""
    from agentark.distill.pad.training import PadRecipe

    with ExitStack() as stack:
        return train_student(
            context,
            PadRecipe,
            metrics=("steps", "questions", "best_step", "start_accuracy", "best_accuracy", "stopped"),
            questions=context.input_output("rows", "rows"),
            scorer=_scorer(context, stack),
            params=pad_params(context.stage.params, settings=context.stage.settings),
        )


def _scorer(context: StageContext, stack: ExitStack) -> StepScorer | None:
    if "prm" in context.stage.inputs:
        from agentark.reward.scoring import PRM

        return PRM.load(context.input_output("prm", "model"))
    if "prmEndpoint" in context.stage.settings:
        from agentark.reward.remote import RemotePRM

        endpoint = PRMEndpoint.model_validate_json(json.dumps(context.stage.settings["prmEndpoint"]))
        prm = stack.enter_context(RemotePRM(connection(endpoint), model_folder(context, endpoint.weights.uri)))
        try:
            prm.check()
        except (InvalidInput, EngineError) as error:
            kind = InvalidInput if isinstance(error, InvalidInput) else EngineError
            raise kind(f"pad.prmEndpoint: {error}") from error
        return prm
    return None


def pad_params(params: Mapping[str, Any], *, settings: Mapping[str, Any]) -> PadParams:
    """Training parameters from a stage's parameters."""
    pad, training = params["pad"], params["training"]
    lora = training.get("lora") or {"rank": 0, "alpha": 0}
    guards = pad["guards"]

    def threshold(name: str) -> float | None:
        return float(guards[name]) or None

    return PadParams(
        steps=pad["steps"],
        learning_rate=float(pad["learningRate"]),
        max_new_tokens=params["maxNewTokens"],
        prompts_per_step=pad["promptsPerStep"],
        group=pad["group"],
        iterations=pad["iterations"],
        aggregation=pad.get("aggregation", "Min"),
        min_temperature=float(pad.get("minTemperature", "0.1")),
        baseline=pad["baseline"],
        process_weight=float(pad["processWeight"]),
        outcome_weight=float(pad["outcomeWeight"]),
        format_weight=float(pad["formatWeight"]),
        kl=float(pad["kl"]),
        clip=float(pad["clip"]),
        temperature=float(pad["temperature"]),
        lora_rank=lora["rank"],
        lora_alpha=lora["alpha"],
        warmup_ratio=float(training["warmupRatio"]),
        scheduler=training["schedule"].lower(),
        weight_decay=float(training["weightDecay"]),
        precision=training["precision"].lower(),
        seed=training["seed"],
        save_steps=settings["checkpointSteps"],
        evals=training["evaluations"],
        guards=Guards(
            step_drift=threshold("stepDrift"),
            length_drift=threshold("lengthDrift"),
            disagreement=threshold("disagreement"),
            spread=threshold("spread"),
            kl=threshold("kl"),
            window=guards["window"],
        ),
        rollouts=pad["rollouts"],
        vllm_url=settings.get("vllmUrl", ""),
    )
