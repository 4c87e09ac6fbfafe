"""The `distill` stage: train a student by one of the methods."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from agentark.api import DPO
from agentark.distill import TrainParams
from agentark.execution.context import StageContext, StageResult
from agentark.execution.stages import pad
from agentark.execution.stages.training import train_student


def run(context: StageContext) -> StageResult:
    """Train from the student before (or the base) and keep the best checkpoint."""
    return _METHODS[context.stage.params.get("method", "")](context)


def _supervised(context: StageContext) -> StageResult:
    from agentark.distill.training import SupervisedRecipe

    return _on_rows(context, SupervisedRecipe)


def _preferences(context: StageContext) -> StageResult:
    from agentark.distill.dpo import DPORecipe

    return _on_rows(context, DPORecipe, dpo=DPO.model_validate_json(json.dumps(context.stage.params["dpo"])))


def _on_rows(context: StageContext, recipe: Callable[..., Any], **settings: Any) -> StageResult:
    return train_student(
        context,
        recipe,
        metrics=("steps", "rows", "dropped", "best_step"),
        rows=context.input_output("rows", "rows"),
        params=train_params(context.stage.params, save_steps=context.stage.settings["checkpointSteps"]),
        **settings,
    )


_METHODS: Mapping[str, Callable[[StageContext], StageResult]] = {
    "": _supervised,
    "DPO": _preferences,
    "PAD": pad.run,
}
"""How each method trains; the supervised ones differ in their rows alone, so their stages name none."""


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
