"""The course of every training, from its data to what it writes; what is trained, and how, is a recipe.

Runs the same on one process and on many under torchrun: then every process calls `run` and the first one writes.
"""

import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from logging import LogRecord, getLogger
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
import transformers
from transformers import PrinterCallback, Trainer, TrainerState, TrainingArguments

from agentark.api import Training
from agentark.errors import AgentArkError, Interrupted
from agentark.processes import leaving_process_group
from agentark.training.attempts import begin, failures, identity_of, restore
from agentark.training.checkpoints import Checkpoint, Checkpoints, best_first
from agentark.training.supervision import Supervisor

Result = TypeVar("Result", covariant=True)
Progress = Callable[[int, int, Mapping[str, float]], None]
"""Called on the main process after each step with step, total and metrics."""


class Recipe(ABC, Generic[Result]):
    """One way to train: its data, read and checked, its trainer, its choice of the best, what it writes and tells.

    Making one reads the data, and raises InvalidInput if data, model or parameters cannot be used.
    """

    name: str
    """Begins messages, such as "training"."""
    training: Training
    """How weights are optimised."""
    sources: dict[str, Any]
    """What decides the course of the training: folders, files, settings, further facts; of a scorer only whether there
    is one. See `identity_of`."""
    steps: int
    """Optimiser steps of the whole training, >= 1."""
    longest: int
    """Most tokens of a row."""
    evaluation_steps: frozenset[int] = frozenset()
    """Steps after which the trainer is told to evaluate."""

    def __init__(self) -> None:
        self.started = time.monotonic()

    @abstractmethod
    def arguments(self, folder: Path) -> TrainingArguments:
        """Settings of the trainer, which works in `folder`; joins the process group under torchrun."""

    def supervisor(self, **arguments: Any) -> Supervisor:
        """What watches the training; `arguments` are the Supervisor's."""
        return Supervisor(**arguments)

    @abstractmethod
    def trainer(self, arguments: TrainingArguments, supervisor: Supervisor) -> Trainer:
        """The trainer with model and data; called after the seed is set."""

    def ended_early(self, history: Sequence[Mapping[str, Any]]) -> bool:
        """Whether the training ended for good before its last step, as its log tells."""
        return False

    def preferred(
        self, checkpoints: Sequence[Checkpoint], history: Sequence[Mapping[str, Any]]
    ) -> Sequence[Checkpoint | None]:
        """What may be written, the best first: checkpoints, or None for the model as it was before the training.

        Args:
            checkpoints: All that are left, the latest first.
            history: The trainer's log.
        """
        return best_first(checkpoints)

    @abstractmethod
    def write(self, checkpoint: Path | None) -> None:
        """Write the model from a checkpoint's folder (None: from the start); called on the main process alone."""

    @abstractmethod
    def result(self, course: "Course") -> Result:
        """What the training tells of itself; called on every process, once the model is written."""


@dataclass(frozen=True, slots=True)
class Course:
    """What a finished training came to; the same on all processes."""

    steps: int
    """Optimiser steps done."""
    history: Sequence[Mapping[str, Any]]
    """The trainer's log."""
    tokens: int
    """Tokens that the trainer counted, where it counts."""
    best_step: int
    """Step whose weights were written; 0: the start."""
    seconds: float
    """Wall time since the recipe began to read its data."""
    world_size: int
    resumed_from: int
    """Step of the checkpoint from which this call went on; 0 for a fresh start."""


@leaving_process_group()
def run(
    recipe: Recipe[Result],
    *,
    work: Path,
    checkpoints: Checkpoints,
    on_progress: Progress,
    should_stop: Callable[[], bool],
) -> Result:
    """Train by a recipe, from the latest complete checkpoint of the same training, and write the best.

    Args:
        recipe: What to train, and how.
        work: Scratch folder.
        checkpoints: Where checkpoints are kept, reachable from every machine of the training.
        on_progress: Told of each step.
        should_stop: Asked before the first and after each step on every process.

    Raises:
        InvalidInput: If the processes cannot share the work, or the model cannot be loaded.
        Interrupted: If it was told to stop; a complete checkpoint has been left.
        AgentArkError: If the loss or gradient is no finite number, memory runs out, or nothing can be written.
    """
    transformers.utils.logging.disable_progress_bar()
    begin(should_stop)
    arguments = recipe.arguments(work / "trainer")
    identity = identity_of(recipe.sources) if arguments.process_index == 0 else ""
    resume = work / "resume"
    restored = restore(checkpoints, identity, resume, arguments)
    state = TrainerState.load_from_json(str(resume / "trainer_state.json")) if restored else None
    if state is None or not (state.global_step >= recipe.steps or recipe.ended_early(state.log_history)):
        supervisor = recipe.supervisor(
            checkpoints=checkpoints,
            training=identity,
            save_steps=recipe.training.checkpoint_steps,
            evaluation_steps=recipe.evaluation_steps,
            on_progress=on_progress,
            should_stop=should_stop,
        )
        state = _trained(recipe, arguments, supervisor, resume if restored else None)
        if supervisor.stopped and not recipe.ended_early(state.log_history):
            raise Interrupted(
                f"{recipe.name} stopped after step {state.global_step} of {recipe.steps}; run it again to go on"
            )
    best_step = _write_best(recipe, checkpoints, identity, work / "best", arguments, state.log_history)
    shutil.rmtree(resume, ignore_errors=True)
    return recipe.result(
        Course(
            steps=state.global_step,
            history=state.log_history,
            tokens=round(state.num_input_tokens_seen),
            best_step=best_step,
            seconds=time.monotonic() - recipe.started,
            world_size=arguments.world_size,
            resumed_from=restored.step if restored else 0,
        )
    )


def _trained(
    recipe: Recipe[Any], arguments: TrainingArguments, supervisor: Supervisor, resume: Path | None
) -> TrainerState:
    """Train to the end, or to where the supervisor stops it; return the trainer's state."""
    with failures(arguments, recipe.longest):
        transformers.set_seed(recipe.training.seed)
        trainer = recipe.trainer(arguments, supervisor)
        trainer.remove_callback(PrinterCallback)
        with _without_warning_of_tied_weights(trainer.model):
            trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    return trainer.state


def _write_best(
    recipe: Recipe[Any],
    checkpoints: Checkpoints,
    identity: str,
    folder: Path,
    arguments: TrainingArguments,
    history: Sequence[Mapping[str, Any]],
) -> int:
    """Write the best that is undamaged on the main process; return its step everywhere."""
    step = [0]
    if arguments.process_index == 0:
        best = _first_whole(checkpoints, recipe.preferred(checkpoints.find(identity), history), folder)
        recipe.write(folder if best else None)
        shutil.rmtree(folder, ignore_errors=True)
        step = [best.step if best else 0]
    if arguments.world_size > 1:
        torch.distributed.broadcast_object_list(step, src=0, device=arguments.device)
    return step[0]


def _first_whole(checkpoints: Checkpoints, candidates: Sequence[Checkpoint | None], folder: Path) -> Checkpoint | None:
    for candidate in candidates:
        if candidate is None or checkpoints.restore(candidate, folder):
            return candidate
    raise AgentArkError(
        "training: it ended, but none of its checkpoints in the store is whole; check whether something else "
        "writes or deletes there, and run it again"
    )


@contextmanager
def _without_warning_of_tied_weights(model: Any) -> Iterator[None]:
    """Trainer reports an output layer that shares the embedding's weights as missing from each checkpoint it loads."""
    logger = getLogger("transformers.trainer")

    def keep(record: LogRecord) -> bool:
        return "missing keys in the checkpoint model loaded: ['lm_head.weight']" not in record.getMessage()

    if model.config.get_text_config().tie_word_embeddings:
        logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)
