"""The `distill` stage: train a student by one of the methods."""

from collections.abc import Callable, Mapping
from typing import Any

from agentark.api import DPO, Training
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

    return _on_rows(context, DPORecipe, dpo=DPO.model_validate(context.stage.params["dpo"]))


def _on_rows(context: StageContext, recipe: Callable[..., Any], **settings: Any) -> StageResult:
    params = context.stage.params
    return train_student(
        context,
        recipe,
        metrics=("steps", "rows", "dropped", "best_step"),
        rows=context.input_output("rows", "rows"),
        training=Training.model_validate(
            params["training"] | {"checkpointSteps": context.stage.settings["checkpointSteps"]}
        ),
        max_new_tokens=params["maxNewTokens"],
        **settings,
    )


_METHODS: Mapping[str, Callable[[StageContext], StageResult]] = {
    "": _supervised,
    "DPO": _preferences,
    "PAD": pad.run,
}
"""How each method trains; the supervised ones differ in their rows alone, so their stages name none."""
