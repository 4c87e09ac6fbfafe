"""The `distill` stage where its method is PAD: the student answers, its steps are scored, and it learns from that."""

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from agentark.api import PRMEndpoint
from agentark.distill.pad.guards import Guards
from agentark.distill.pad.params import PadParams, PadResult, StepScorer
from agentark.errors import EngineError, InvalidInput
from agentark.execution.context import StageContext, StageResult
from agentark.execution.ending import saying_that_all_met
from agentark.execution.engines import connection
from agentark.execution.weights import model_folder
from agentark.store.outputs import put_bytes, put_folder
from agentark.tasks import policy_of


def run(context: StageContext) -> StageResult:
    """Train from the student before (or the base); the output is never worse on the held-out questions."""
    from agentark.distill.pad.training import train_pad
    from agentark.training.checkpoints import Checkpoints

    params = context.stage.params
    has_held_out = "held_out" in context.input_manifest("rows").outputs
    from_before = "model" in context.stage.inputs
    model = (
        context.input_output("model", "model")
        if from_before
        else model_folder(context, context.stage.settings["model"])
    )

    def progress(step: int, total: int, metrics: Mapping[str, float]) -> None:
        context.progress.update(done=step, total=total, metrics=dict(metrics))

    checkpoints = Checkpoints(context.store, context.shared_path("checkpoints"), on_saved=context.figures.saved)
    with ExitStack() as stack:
        result = train_pad(
            model=model,
            questions=context.input_output("rows", "rows"),
            held_out=context.input_output("rows", "held_out") if has_held_out else None,
            policy=policy_of(params),
            scorer=_scorer(context, stack),
            out=context.work / "student",
            work=context.work / "trainer",
            params=pad_params(params, settings=context.stage.settings),
            checkpoints=checkpoints,
            on_progress=progress,
            should_stop=saying_that_all_met(context.stop.is_set, os.environ),
        )
    if not context.is_main:
        return StageResult({})
    history = json.dumps(_history(result), indent=1).encode()
    outputs = {
        "model": put_folder(context.store, context.output_path("model"), context.work / "student"),
        "history": put_bytes(context.store, context.output_path("history.json"), history),
    }
    metrics: dict[str, Any] = {"steps": result.steps, "questions": result.questions, "best_step": result.best_step}
    metrics |= {"start_accuracy": result.start_accuracy, "best_accuracy": result.best_accuracy}
    metrics |= {"stopped": result.stopped, "world_size": result.world_size}
    usage = {"seconds": result.seconds, "training_tokens": float(result.train_tokens)}
    usage["device_seconds"] = result.seconds * result.world_size
    return StageResult(outputs, metrics=metrics, usage=usage, clean_up=checkpoints.clear)


def _history(result: PadResult) -> dict[str, Any]:
    named = {name: [point._asdict() for point in getattr(result, name)] for name in ("curves", "accuracy")}
    return asdict(result) | named


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
