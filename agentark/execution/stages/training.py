"""What every stage that trains does: it wires checkpoints, progress and interruption, and keeps the model."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from pydantic import JsonValue

from agentark.execution.context import StageContext, StageResult
from agentark.execution.ending import saying_that_all_met
from agentark.execution.weights import model_folder
from agentark.store import Output
from agentark.store.outputs import put_bytes, put_folder
from agentark.tasks import policy_of

if TYPE_CHECKING:
    from agentark.training.harness import Recipe


class Trained(Protocol):
    """What every training tells of itself; a data class."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def seconds(self) -> float:
        """Wall time of the training."""

    @property
    def world_size(self) -> int:
        """Processes that shared it."""


Result = TypeVar("Result", bound=Trained)


def train_student(
    context: StageContext, recipe: "Callable[..., Recipe[Result]]", *, metrics: Sequence[str], **inputs: Any
) -> StageResult:
    """Train from the student before (or the base) and keep the best checkpoint.

    Args:
        context: The attempt.
        recipe: Takes `inputs`, model, held_out, policy and out.
        metrics: Fields of its result that are the stage's metrics.
        inputs: What this recipe alone is told.
    """
    return run_training(
        context,
        recipe,
        folder="student",
        metrics=lambda result: {name: getattr(result, name) for name in metrics},
        held_out=_held_out(context),
        policy=policy_of(context.stage.params),
        **inputs,
    )


def run_training(
    context: StageContext,
    recipe: "Callable[..., Recipe[Result]]",
    *,
    folder: str,
    metrics: Callable[[Result], Mapping[str, JsonValue]],
    outputs: Callable[[Result], Mapping[str, Output]] = lambda result: {},
    **inputs: Any,
) -> StageResult:
    """Run a training and keep its model and history in the store; nothing is written in further processes.

    Args:
        context: The attempt.
        recipe: Takes `inputs`, model and out.
        folder: Name of the model's folder in the work folder.
        metrics: The stage's metrics, to which the number of processes is added.
        outputs: What is kept beside model and history, by fields of the result or other names.
        inputs: What this recipe alone is told.
    """
    from agentark.training.checkpoints import Checkpoints
    from agentark.training.harness import run

    def progress(step: int, total: int, metrics: Mapping[str, float]) -> None:
        context.progress.update(done=step, total=total, metrics=dict(metrics))

    checkpoints = Checkpoints(context.store, context.shared_path("checkpoints"), on_saved=context.figures.saved)
    result = run(
        recipe(model=_start(context), out=context.work / folder, **inputs),
        work=context.work / "trainer",
        checkpoints=checkpoints,
        on_progress=progress,
        should_stop=saying_that_all_met(context.stop.is_set, os.environ),
    )
    if not context.is_main:
        return StageResult({})
    beside = outputs(result)
    history = {name: _named(value) for name, value in asdict(result).items() if name not in beside}
    lines = json.dumps(history, indent=1).encode()
    kept = {
        "model": put_folder(context.store, context.output_path("model"), context.work / folder),
        "history": put_bytes(context.store, context.output_path("history.json"), lines),
        **beside,
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


def _named(value: Any) -> Any:
    """Points of a curve with the names of their fields, which JSON would leave out."""
    if not isinstance(value, tuple):
        return value
    return [point._asdict() if hasattr(point, "_asdict") else point for point in value]


def _held_out(context: StageContext) -> Path | None:
    """The held-out questions of the rows; None where there are none."""
    has_held_out = "held_out" in context.input_manifest("rows").outputs
    return context.input_output("rows", "held_out") if has_held_out else None
