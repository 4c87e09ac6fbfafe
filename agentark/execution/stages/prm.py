"""The `prm` stage: train a process reward model on labelled steps."""

import json

from pydantic import JsonValue

from agentark.api import PRMSpec
from agentark.execution.context import StageContext, StageResult
from agentark.execution.stages.training import run_training
from agentark.reward.params import PRMResult
from agentark.store import Output
from agentark.store.outputs import put_bytes


def run(context: StageContext) -> StageResult:
    """Train, measure on the held-out questions, keep their scores for people to read."""
    from agentark.reward.rows import read_rows
    from agentark.reward.training import PRMRecipe

    params, rows = context.stage.params, context.input_output("steps", "rows")
    training = params["training"] | {"checkpointSteps": context.stage.settings["checkpointSteps"]}

    def scores(result: PRMResult) -> dict[str, Output]:
        held_out = [row for row in read_rows(rows) if row.held_out]
        shown = [row.as_json() | {"scores": list(scores)} for row, scores in zip(held_out, result.scores, strict=True)]
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in shown).encode()
        return {"scores": put_bytes(context.store, context.output_path("scores.jsonl"), lines, rows=len(shown))}

    return run_training(
        context,
        PRMRecipe,
        folder="prm",
        metrics=_metrics,
        outputs=scores,
        rows=rows,
        spec=PRMSpec.model_validate(params | {"training": training}),
    )


def _metrics(result: PRMResult) -> dict[str, JsonValue]:
    metrics: dict[str, JsonValue] = {"steps": result.steps, "questions": result.questions}
    if (held_out := result.held_out) is not None:
        metrics |= {"auroc": held_out.auroc, "step_accuracy": held_out.accuracy, "base_rate": held_out.base_rate}
        metrics |= {"ece": held_out.ece_calibrated, "first_error_found": held_out.first_error_found}
    return metrics
