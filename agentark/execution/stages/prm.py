"""The `prm` stage: train a process reward model on labelled steps."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue

from agentark.execution.context import StageContext, StageResult
from agentark.execution.stages.training import run_training
from agentark.reward.params import PRMParams, PRMResult
from agentark.store import Output
from agentark.store.outputs import put_bytes


def run(context: StageContext) -> StageResult:
    """Train, measure on the held-out questions, keep their scores for people to read."""
    from agentark.reward.rows import read_rows
    from agentark.reward.training import PRMRecipe

    rows = context.input_output("steps", "rows")

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
        params=prm_params(context.stage.params, save_steps=context.stage.settings["checkpointSteps"]),
    )


def _metrics(result: PRMResult) -> dict[str, JsonValue]:
    metrics: dict[str, JsonValue] = {"steps": result.steps, "questions": result.questions}
    if (held_out := result.held_out) is not None:
        metrics |= {"auroc": held_out.auroc, "step_accuracy": held_out.accuracy, "base_rate": held_out.base_rate}
        metrics |= {"ece": held_out.ece_calibrated, "first_error_found": held_out.first_error_found}
    return metrics


def prm_params(params: Mapping[str, Any], *, save_steps: int) -> PRMParams:
    """Training parameters from a stage's parameters."""
    training = params["training"]
    lora = training.get("lora") or {"rank": 0, "alpha": 0}
    return PRMParams(
        epochs=float(training["epochs"]),
        learning_rate=float(training["learningRate"]),
        batch_size=training["batchSize"],
        max_length=training["maxLengthTokens"],
        loss=params["loss"],
        temperature=float(params["temperature"]),
        representation_weight=float(params.get("representationWeight", "0.5")),
        head_fraction=float(params["headFraction"]),
        lora_rank=lora["rank"],
        lora_alpha=lora["alpha"],
        warmup_ratio=float(training["warmupRatio"]),
        scheduler=training["schedule"].lower(),
        weight_decay=float(training["weightDecay"]),
        precision=training["precision"].lower(),
        seed=training["seed"],
        save_steps=save_steps,
    )
