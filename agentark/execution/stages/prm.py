"""The `prm` stage: train a process reward model on labelled steps."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from agentark.execution.context import StageContext, StageResult
from agentark.execution.ending import saying_that_all_met
from agentark.execution.weights import model_folder
from agentark.reward.params import PRMParams
from agentark.store.outputs import put_bytes, put_folder


def run(context: StageContext) -> StageResult:
    """Train, measure on the held-out questions, keep their scores for people to read."""
    from agentark.reward.rows import read_rows
    from agentark.reward.training import train_prm
    from agentark.training.checkpoints import Checkpoints

    rows = context.input_output("steps", "rows")
    out = context.work / "prm"

    def progress(step: int, total: int, metrics: Mapping[str, float]) -> None:
        context.progress.update(done=step, total=total, metrics=dict(metrics))

    checkpoints = Checkpoints(context.store, context.shared_path("checkpoints"), on_saved=context.figures.saved)
    result = train_prm(
        model=model_folder(context, context.stage.settings["model"]),
        rows=rows,
        out=out,
        work=context.work / "trainer",
        params=prm_params(context.stage.params, save_steps=context.stage.settings["checkpointSteps"]),
        checkpoints=checkpoints,
        on_progress=progress,
        should_stop=saying_that_all_met(context.stop.is_set, os.environ),
    )
    if not context.is_main:
        return StageResult({})
    held_out = [row for row in read_rows(rows) if row.held_out]
    shown = [row.as_json() | {"scores": list(scores)} for row, scores in zip(held_out, result.scores, strict=True)]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in shown).encode()
    history = asdict(result) | {"losses": [loss._asdict() for loss in result.losses]}
    del history["scores"]  # they stand beside their rows
    outputs = {
        "model": put_folder(context.store, context.output_path("model"), out),
        "history": put_bytes(
            context.store, context.output_path("history.json"), json.dumps(history, indent=1).encode()
        ),
        "scores": put_bytes(context.store, context.output_path("scores.jsonl"), lines, rows=len(shown)),
    }
    metrics: dict[str, Any] = {"steps": result.steps, "questions": result.questions, "world_size": result.world_size}
    if result.held_out is not None:
        found = result.held_out
        metrics |= {"auroc": found.auroc, "step_accuracy": found.accuracy, "base_rate": found.base_rate}
        metrics |= {"ece": found.ece_calibrated, "first_error_found": found.first_error_found}
    usage = {"seconds": result.seconds, "device_seconds": result.seconds * result.world_size}
    return StageResult(outputs, metrics=metrics, usage=usage, clean_up=checkpoints.clear)


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
