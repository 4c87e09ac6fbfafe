"""Supervised distillation, from rows to a student's folder."""

import logging
import math
from abc import abstractmethod
from pathlib import Path
from typing import Any, Generic

from transformers import Trainer, TrainingArguments
from trl.trainer.sft_config import SFTConfig

from agentark.api import Training
from agentark.devices import placement
from agentark.distill.encoding import Encoded, LearntRow, encode, fit, order
from agentark.distill.params import StepLoss, TrainResult
from agentark.distill.recipe import StudentRecipe, accuracies, evaluation_steps
from agentark.distill.rows import read_rows
from agentark.distill.student import adapters, load_weights
from agentark.distill.trainer import WeightedCollator, WeightedSFTTrainer, ordered
from agentark.training.arguments import Arguments, trainer_arguments
from agentark.training.harness import Course
from agentark.training.supervision import Supervisor

_log = logging.getLogger(__name__)


class RowsRecipe(StudentRecipe[TrainResult], Generic[LearntRow]):
    """Learn from rows that curation wrote, in an order drawn from the seed.

    The output is the checkpoint with the highest verified accuracy on the held-out questions, of equals the latest, or
    the last one where none was measured.

    Args:
        rows: JSON lines; see `agentark.distill.rows`.
        training: How to train.
        common: As StudentRecipe's.
    """

    def __init__(self, *, rows: Path, training: Training, **common: Any) -> None:
        super().__init__(training=training, **common)
        self.sources |= {"rows": rows, "training": training.keyed("Supervised")}
        self.fitted = fitted = fit(
            self.encoded(rows),
            max_length=training.max_length_tokens,
            context=self.base.context,
            keep=training.long_traces == "Keep",
        )
        _log.info("%d rows of at most %d tokens, %d dropped", len(fitted.rows), fitted.max_length, fitted.dropped)
        total = total_rows(training, len(fitted.rows))
        self.steps = math.ceil(total / training.batch_size)
        self.longest = max(row.tokens for row in fitted.rows)
        self.order = order(len(fitted.rows), total=total, seed=training.seed)
        if self.measure:
            self.evaluation_steps = evaluation_steps(self.steps, evaluations=training.evaluations)

    @abstractmethod
    def encoded(self, rows: Path) -> list[LearntRow]:
        """Read rows and write them as tokens."""

    def settings(self, kind: type[Arguments], folder: Path, **own: Any) -> Arguments:
        """Settings of a trainer whose data set is the whole training, already in its order."""
        batch = self.training.batch_size
        return trainer_arguments(
            kind,
            self.training,
            folder,
            name=self.name,
            batch=batch,
            batch_name=f"batchSize {batch}",
            longest=self.longest,
            # One "epoch": the passes lie one after the other in the order of rows.
            num_train_epochs=1,
            train_sampling_strategy="sequential",
            gradient_checkpointing=placement("training").device != "cpu",
            max_length=None,
            **own,
        )

    def result(self, course: Course) -> TrainResult:
        """Losses, accuracies, and what was read."""
        rows = self.fitted.rows
        return TrainResult(
            steps=course.steps,
            epochs=len(self.order) / len(rows),
            rows=len(rows),
            dropped=self.fitted.dropped,
            max_length=self.fitted.max_length,
            losses=tuple(StepLoss(entry["step"], entry["loss"]) for entry in course.history if "loss" in entry),
            accuracy=accuracies(course.history),
            best_step=course.best_step,
            train_tokens=sum(rows[place].tokens for place in self.order),
            seconds=course.seconds,
            world_size=course.world_size,
            resumed_from=course.resumed_from,
        )


class SupervisedRecipe(RowsRecipe[Encoded]):
    """Learn rows ``{"prompt", "completion", "weight"}`` by heart, each with its weight."""

    name = "training"

    def encoded(self, rows: Path) -> list[Encoded]:
        """Traces behind their prompts."""
        return encode(read_rows(rows), self.base.tokenizer, self.base.ends)

    def arguments(self, folder: Path) -> SFTConfig:
        """SFTTrainer's settings."""
        return self.settings(SFTConfig, folder, dataset_kwargs={"skip_prepare_dataset": True})

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
