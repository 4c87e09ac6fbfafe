"""Direct preference optimisation (DPO) on corrections: the mended solution against the first attempt.

For a chosen text c and a rejected text r after the same prompt, with the student pi and its start ref, the loss is
``-log sigmoid(beta * ((log pi(c) - log ref(c)) - (log pi(r) - log ref(r))))``, in nats, where log p sums over the
tokens of a text; a step's loss is the mean over its pairs. At the start it is log 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from datasets import Dataset
from transformers import Trainer, TrainingArguments
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DataCollatorForPreference, DPOTrainer

from agentark.api import DPO, Training
from agentark.distill.encoding import Encoded, encode, order
from agentark.distill.params import TrainResult
from agentark.distill.recipe import VerifiedEvaluation
from agentark.distill.rows import Row, read_pairs
from agentark.distill.student import adapters, load_weights
from agentark.distill.training import RowsRecipe
from agentark.training.harness import Course
from agentark.training.supervision import Supervisor


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """Two texts after the same prompt."""

    chosen: Encoded
    rejected: Encoded

    @property
    def longest(self) -> int:
        """Tokens of the longer one."""
        return max(self.chosen.tokens, self.rejected.tokens)

    @property
    def tokens(self) -> int:
        """Tokens of both, each with the prompt."""
        return self.chosen.tokens + self.rejected.tokens


class StepPreference(NamedTuple):
    """What the student preferred in one optimiser step, before it learnt from it."""

    step: int
    margin: float
    """Mean over the pairs of the loss's argument to sigmoid."""
    accuracy: float
    """Share of the pairs with a positive margin."""


@dataclass(frozen=True, slots=True)
class DPOResult(TrainResult):
    """What a finished training did; rows are pairs."""

    preferences: tuple[StepPreference, ...]
    """One per step."""


class DPORecipe(RowsRecipe[EncodedPair]):
    """Learn from pairs ``{"prompt", "chosen", "rejected"}`` which text to prefer.

    The reference is the start: the student without its adapters, or a frozen copy where all weights are trained.

    Args:
        dpo: Beta, and the learning rate, which replaces that of `training`.
        training: How to train otherwise; a batch is so many pairs, and the last one is filled up from a further pass.
        common: As RowsRecipe's.
    """

    name = "DPO"

    def __init__(self, *, dpo: DPO, training: Training, **common: Any) -> None:
        super().__init__(training=training.model_copy(update={"learning_rate": dpo.learning_rate}), **common)
        self.beta = dpo.beta
        self.sources["beta"] = self.beta
        self.order = order(len(self.fitted.rows), total=self.steps * training.batch_size, seed=training.seed)

    def encoded(self, rows: Path) -> list[EncodedPair]:
        """Both texts of each pair behind its prompt."""
        pairs, tokenizer, ends = read_pairs(rows), self.base.tokenizer, self.base.ends
        chosen = encode((Row(prompt=pair.prompt, completion=pair.chosen) for pair in pairs), tokenizer, ends)
        rejected = encode((Row(prompt=pair.prompt, completion=pair.rejected) for pair in pairs), tokenizer, ends)
        return [EncodedPair(*texts) for texts in zip(chosen, rejected, strict=True)]

    def arguments(self, folder: Path) -> DPOConfig:
        """DPOTrainer's settings."""
        return self.settings(DPOConfig, folder, beta=self.beta)

    def trainer(self, arguments: TrainingArguments, supervisor: Supervisor) -> Trainer:
        """TRL's trainer on pairs."""
        lora = adapters(self.training.lora)
        return PreferenceTrainer(
            measure=self.measure,
            model=load_weights(self.base, "training"),
            ref_model=None if lora else load_weights(self.base, "training"),
            args=arguments,
            train_dataset=ordered(self.fitted.rows, self.order),
            data_collator=DataCollatorForPreference(pad_token_id=self.base.pad),
            processing_class=self.base.tokenizer,
            peft_config=lora,
            callbacks=[supervisor],
        )

    def result(self, course: Course) -> DPOResult:
        """As of all rows, and what the student preferred."""
        result = super().result(course)
        return DPOResult(
            **{field.name: getattr(result, field.name) for field in fields(result)},
            preferences=tuple(
                StepPreference(entry["step"], entry["rewards/margins"], entry["rewards/accuracies"])
                for entry in course.history
                if "rewards/margins" in entry
            ),
        )


class PreferenceTrainer(VerifiedEvaluation, DPOTrainer):  # type: ignore[misc]
    """TRL's DPOTrainer on pairs that are tokens already, with evaluation by verified accuracy."""

    def _prepare_dataset(self, dataset: Dataset, *_arguments: Any, **_keywords: Any) -> Dataset:
        return dataset


def ordered(pairs: Sequence[EncodedPair], places: Sequence[int]) -> Dataset:
    """Pairs in the order of training, as TRL's collator takes them."""
    columns = {
        "prompt_ids": [pair.chosen.ids[: pair.chosen.prompt] for pair in pairs],
        "chosen_ids": [pair.chosen.ids[pair.chosen.prompt :] for pair in pairs],
        "rejected_ids": [pair.rejected.ids[pair.rejected.prompt :] for pair in pairs],
    }
    return Dataset.from_dict(columns).select(places)
