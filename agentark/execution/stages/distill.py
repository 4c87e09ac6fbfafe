"""The `distill` stage: train a student on curated rows."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from agentark.distill import TrainParams
from agentark.execution.context import StageContext, StageResult
from agentark.execution.ending import saying_that_all_met
from agentark.execution.stages import pad
from agentark.execution.weights import model_folder
from agentark.store.outputs import put_bytes, put_folder
from agentark.tasks import policy_of


def run(context: StageContext) -> StageResult:
    """Train from the student before (or the base) and keep the best checkpoint."""
    if context.stage.params.get("method") == "PAD":
        return pad.run(context)
    from agentark.distill.training import train
    from agentark.training.checkpoints import Checkpoints

    params = context.stage.params
    inputs = context.stage.inputs
    rows = context.input_output("rows", "rows")
    has_held_out = "held_out" in context.input_manifest("rows").outputs
    model = (
        context.input_output("model", "model")
        if "model" in inputs
        else model_folder(context, context.stage.settings["model"])
    )

    def progress(step: int, total: int, metrics: Mapping[str, float]) -> None:
        context.progress.update(done=step, total=total, metrics=dict(metrics))

    checkpoints = Checkpoints(context.store, context.shared_path("checkpoints"), on_saved=context.figures.saved)
    result = train(
        model=model,
        rows=rows,
        held_out=context.input_output("rows", "held_out") if has_held_out else None,
        policy=policy_of(params),
        out=context.work / "student",
        work=context.work / "trainer",
        params=train_params(params, save_steps=context.stage.settings["checkpointSteps"]),
        checkpoints=checkpoints,
        on_progress=progress,
        should_stop=saying_that_all_met(context.stop.is_set, os.environ),
    )
    if not context.is_main:
        return StageResult({})
    history = json.dumps(asdict(result), indent=1).encode()
    outputs = {
        "model": put_folder(context.store, context.output_path("model"), context.work / "student"),
        "history": put_bytes(context.store, context.output_path("history.json"), history),
    }
    metrics: dict[str, Any] = {"steps": result.steps, "rows": result.rows, "dropped": result.dropped}
    metrics |= {"best_step": result.best_step, "world_size": result.world_size}
    usage = {"seconds": result.seconds, "training_tokens": float(result.train_tokens)}
    usage["device_seconds"] = result.seconds * result.world_size
    return StageResult(outputs, metrics=metrics, usage=usage, clean_up=checkpoints.clear)


def train_params(params: Mapping[str, Any], *, save_steps: int) -> TrainParams:
    """Training parameters from a stage's parameters."""
    training = params["training"]
    lora = training.get("lora") or {"rank": 0, "alpha": 0}
    return TrainParams(
        epochs=float(training["epochs"]),
        learning_rate=float(training["learningRate"]),
        batch_size=training["batchSize"],
        max_length=training["maxLengthTokens"],
        lora_rank=lora["rank"],
        lora_alpha=lora["alpha"],
        warmup_ratio=float(training["warmupRatio"]),
        scheduler=training["schedule"].lower(),
        weight_decay=float(training["weightDecay"]),
        precision=training["precision"].lower(),
        seed=training["seed"],
        save_steps=save_steps,
        evals=training["evaluations"],
        long_traces=training["longTraces"],
        max_new_tokens=params["maxNewTokens"],
    )
