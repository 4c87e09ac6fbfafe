"""Supervised distillation, from rows to a student's folder.

Runs the same on one process and on many under torchrun: then every process calls `train` and the first one writes.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainingArguments
from trl.trainer.sft_config import SFTConfig

from agentark.api import Training
from agentark.devices import placement
from agentark.distill.encoding import Fitted, encode, fit, order
from agentark.distill.params import StepLoss, TrainResult
from agentark.distill.recipe import StudentRecipe, accuracies, evaluation_steps, held_out_measure
from agentark.distill.rows import read_rows
from agentark.distill.student import adapters, load_weights, read_base
from agentark.distill.trainer import WeightedCollator, WeightedSFTTrainer, ordered
from agentark.tasks import Policy
from agentark.training.arguments import divided, micro_batch, trainer_arguments
from agentark.training.checkpoints import Checkpoints
from agentark.training.harness import Course, run
from agentark.training.supervision import Supervisor

_log = logging.getLogger(__name__)


def train(
    *,
    model: Path,
    rows: Path,
    held_out: Path | None,
    policy: Policy,
    out: Path,
    work: Path,
    training: Training,
    max_new_tokens: int,
    checkpoints: Checkpoints,
    on_progress: Callable[[int, int, Mapping[str, float]], None],
    should_stop: Callable[[], bool],
) -> TrainResult:
    """Train a student and write it as a plain model folder.

    Goes on from the latest complete checkpoint of the same training. The output is the checkpoint with the highest
    verified accuracy on the held-out questions, of equals the latest, or the last one where none was measured.

    Args:
        model: Folder of the model to start from, with a chat template.
        rows: JSON lines ``{"prompt", "completion", "weight"}``; see `agentark.distill.rows`.
        held_out: JSON lines ``{"prompt", "gold"}``; None or empty: no evaluation during training.
        policy: What counts as the right answer to them.
        out: Folder of the student; appears whole or not at all.
        work: Scratch folder.
        training: How to train.
        max_new_tokens: Longest answer in the evaluation during training, in tokens.
        checkpoints: Where checkpoints are kept, reachable from every machine of the training.
        on_progress: Called on the main process after each step with step, total and metrics.
        should_stop: Asked before the first and after each step on every process.

    Raises:
        InvalidInput: If data, model or parameters cannot be used.
        Interrupted: If it was told to stop; a complete checkpoint has been left.
        AgentArkError: If the loss or gradient is no finite number, memory runs out, or nothing can be written.
    """
    started = time.monotonic()
    base = read_base(model)
    fitted = fit(
        encode(read_rows(rows), base.tokenizer, base.ends),
        max_length=training.max_length_tokens,
        context=base.context,
        keep=training.long_traces == "Keep",
    )
    _log.info("%d rows of at most %d tokens, %d dropped", len(fitted.rows), fitted.max_length, fitted.dropped)
    recipe = SupervisedRecipe(
        training=training,
        fitted=fitted,
        sources={
            "model": model,
            "rows": rows,
            "held_out": held_out,
            "training": training.keyed("Supervised"),
            "max_new_tokens": max_new_tokens,
        },
        base=base,
        measure=held_out_measure(
            base, held_out, policy, evaluations=training.evaluations, max_new_tokens=max_new_tokens
        ),
        out=out,
    )
    course = run(recipe, work=work, checkpoints=checkpoints, on_progress=on_progress, should_stop=should_stop)
    return _result(recipe, course, time.monotonic() - started)


class SupervisedRecipe(StudentRecipe):
    """Learn rows by heart, each with its weight.

    Args:
        training: How to train.
        fitted: The rows.
        sources: What decides the course of the training.
        common: As StudentRecipe's.
    """

    name = "training"

    def __init__(self, *, training: Training, fitted: Fitted, sources: Mapping[str, Any], **common: Any) -> None:
        super().__init__(**common)
        self.training = training
        self.fitted = fitted
        self.sources = sources
        total = total_rows(training, len(fitted.rows))
        self.steps = math.ceil(total / training.batch_size)
        self.longest = max(len(row.ids) for row in fitted.rows)
        self.order = order(len(fitted.rows), total=total, seed=training.seed)
        if self.measure:
            self.evaluation_steps = evaluation_steps(self.steps, evaluations=training.evaluations)

    def arguments(self, folder: Path) -> SFTConfig:
        """SFTTrainer's settings; the data set is the whole training, already in its order."""
        batch = self.training.batch_size
        per_process = divided(batch, what=f"training: batchSize {batch}", hint="choose a multiple")
        return trainer_arguments(
            SFTConfig,
            self.training,
            folder,
            what=self.name,
            batch=batch,
            micro=micro_batch(per_process=per_process, longest=self.longest),
            # One "epoch": the passes lie one after the other in the order of rows.
            num_train_epochs=1,
            train_sampling_strategy="sequential",
            gradient_checkpointing=placement("training").device != "cpu",
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
        )

    def trainer(self, arguments: TrainingArguments, supervisor: Supervisor) -> Trainer:
        """TRL's trainer with weighted rows."""
        return WeightedSFTTrainer(
            measure=self.measure,
            model=load_weights(self.base, "training"),
            args=arguments,
            train_dataset=ordered(self.fitted.rows, self.order, multiple=self.training.batch_size),
            data_collator=WeightedCollator(self.base.pad),
            processing_class=self.base.tokenizer,
            peft_config=adapters(self.training.lora),
            callbacks=[supervisor],
        )


def total_rows(training: Training, rows: int) -> int:
    """Rows seen over the whole training, repetitions counted, at least 1."""
    return max(1, round(training.epochs * rows))


def _result(recipe: SupervisedRecipe, course: Course[None], seconds: float) -> TrainResult:
    rows, fitted = recipe.fitted.rows, recipe.fitted
    return TrainResult(
        steps=course.steps,
        epochs=len(recipe.order) / len(rows),
        rows=len(rows),
        dropped=fitted.dropped,
        max_length=fitted.max_length,
        losses=tuple(StepLoss(entry["step"], entry["loss"]) for entry in course.history if "loss" in entry),
        accuracy=accuracies(course.history),
        best_step=course.best_step,
        train_tokens=sum(len(rows[place].ids) for place in recipe.order),
        seconds=seconds,
        world_size=course.world_size,
        resumed_from=course.resumed_from,
    )
