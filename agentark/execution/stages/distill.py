"""The `distill` stage: train a student on curated rows."""

from dataclasses import asdict

from agentark.api import Training
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
        training=Training.model_validate(
            params["training"] | {"checkpointSteps": context.stage.settings["checkpointSteps"]}
        ),
        max_new_tokens=params["maxNewTokens"],
    )
