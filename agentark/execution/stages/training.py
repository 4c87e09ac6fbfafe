"""What every stage that trains does: it wires checkpoints, progress and interruption, and keeps the model."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import JsonValue

from agentark.execution.context import StageContext, StageResult
from agentark.execution.ending import saying_that_all_met
from agentark.execution.weights import model_folder
from agentark.store import Output
from agentark.store.outputs import put_bytes, put_folder


class Trained(Protocol):
    """What every training tells of itself."""

    @property
    def seconds(self) -> float:
        """Wall time of the training."""

    @property
    def world_size(self) -> int:
        """Processes that shared it."""


Result = TypeVar("Result", bound=Trained)


def run_training(
    context: StageContext,
    train: Callable[..., Result],
    *,
    folder: str,
    history: Callable[[Result], Mapping[str, Any]],
    metrics: Callable[[Result], Mapping[str, JsonValue]],
    outputs: Callable[[Result], Mapping[str, Output]] = lambda result: {},
    **inputs: Any,
) -> StageResult:
    """Run a training and keep its model and history in the store; nothing is written in further processes.

    Args:
        context: The attempt.
        train: The training; takes `inputs` and model, out, work, checkpoints, on_progress and should_stop.
        folder: Name of the model's folder in the work folder.
        history: What is kept of the result as ``history.json``.
        metrics: The stage's metrics, to which the number of processes is added.
        outputs: What is kept beside model and history.
        inputs: What this training alone is told.
    """
    from agentark.training.checkpoints import Checkpoints

    def progress(step: int, total: int, metrics: Mapping[str, float]) -> None:
        context.progress.update(done=step, total=total, metrics=dict(metrics))

    checkpoints = Checkpoints(context.store, context.shared_path("checkpoints"), on_saved=context.figures.saved)
    result = train(
        model=_start(context),
        out=context.work / folder,
        work=context.work / "trainer",
        checkpoints=checkpoints,
        on_progress=progress,
        should_stop=saying_that_all_met(context.stop.is_set, os.environ),
        **inputs,
    )
    if not context.is_main:
        return StageResult({})
    lines = json.dumps(history(result), indent=1).encode()
    kept = {
        "model": put_folder(context.store, context.output_path("model"), context.work / folder),
        "history": put_bytes(context.store, context.output_path("history.json"), lines),
        **outputs(result),
    }
    usage = {"seconds": result.seconds}
    tokens = getattr(result, "train_tokens", None)
    if tokens is not None:
        usage["training_tokens"] = float(tokens)
    usage["device_seconds"] = result.seconds * result.world_size
    return StageResult(
        kept, metrics={**metrics(result), "world_size": result.world_size}, usage=usage, clean_up=checkpoints.clear
    )


def _start(context: StageContext) -> Path:
    """The model of the training before, else the one that the stage's settings name."""
    if "model" in context.stage.inputs:
        return context.input_output("model", "model")
    return model_folder(context, context.stage.settings["model"])


def held_out_of(context: StageContext) -> Path | None:
    """The held-out questions of the rows; None where there are none."""
    has_held_out = "held_out" in context.input_manifest("rows").outputs
    return context.input_output("rows", "held_out") if has_held_out else None
