"""The `distill` stage: train a student on curated rows."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from agentark.distill import TrainParams
from agentark.execution.context import StageContext, StageResult
from agentark.execution.stages import pad
from agentark.execution.stages.training import held_out_of, run_training
from agentark.tasks import policy_of


def run(context: StageContext) -> StageResult:
    """Train from the student before (or the base) and keep the best checkpoint."""
    if context.stage.params.get("method") == "PAD":
        return pad.run(context)
    from agentark.distill.training import train

    params = context.stage.params
    return run_training(
        context,
        train,
        folder="student",
        history=asdict,
        metrics=lambda result: {
            "steps": result.steps,
            "rows": result.rows,
            "dropped": result.dropped,
            "best_step": result.best_step,
        },
        rows=context.input_output("rows", "rows"),
        held_out=held_out_of(context),
        policy=policy_of(params),
        params=train_params(params, save_steps=context.stage.settings["checkpointSteps"]),
    )


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
