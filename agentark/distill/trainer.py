"""TRL's SFTTrainer with a weight per row, an exact order of rows, and evaluation by verified accuracy.

Two overrides carry it: what a step's loss is divided by, and the loss itself.
"""

from collections.abc import Sequence
from typing import Any, TypedDict

import torch
from datasets import Dataset
from torch import Tensor
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling, SFTTrainer

from agentark.distill.encoding import Encoded
from agentark.distill.losses import IGNORED, weighted_nll, weighted_tokens
from agentark.distill.recipe import VerifiedEvaluation


class Example(TypedDict):
    """One row as the collator takes it; the fields of `Encoded`."""

    ids: list[int]
    prompt: int
    weight: float


def ordered(rows: Sequence[Encoded], order: Sequence[int], *, multiple: int) -> Dataset:
    """Rows in the order of training, filled up to whole steps with rows that weigh nothing.

    Args:
        rows: At least one row.
        order: Indices of rows, repetitions included.
        multiple: Rows of one step; the length of the result is a multiple of it.
    """
    # Two tokens, because nothing predicts the first one.
    filler = Encoded(rows[0].ids[:2], 2, 0.0)
    columns = {
        "ids": [row.ids for row in [*rows, filler]],
        "prompt": [row.prompt for row in [*rows, filler]],
        "weight": [row.weight for row in [*rows, filler]],
    }
    return Dataset.from_dict(columns).select([*order, *[len(rows)] * (-len(order) % multiple)])


class WeightedCollator:
    """TRL's padding, with the rows' weights beside it."""

    def __init__(self, pad_token_id: int) -> None:
        self._pad = DataCollatorForLanguageModeling(pad_token_id=pad_token_id)

    def __call__(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        """Return input_ids, attention_mask and labels, shape ``(B, T)``, and weights, shape ``(B,)``."""
        batch: dict[str, Tensor] = self._pad([{"input_ids": one["ids"], "labels": _labels(one)} for one in examples])
        batch["weights"] = torch.tensor([one["weight"] for one in examples], dtype=torch.float32)
        return batch


def _labels(example: Example) -> list[int]:
    return [IGNORED] * example["prompt"] + example["ids"][example["prompt"] :]


class WeightedSFTTrainer(VerifiedEvaluation, SFTTrainer):  # type: ignore[misc]
    """Minimises sum_i w_i sum_t nll_it / sum_i w_i n_i over each global batch, however it is split.

    Args:
        arguments: As VerifiedEvaluation's and SFTTrainer's.
    """

    # The divisor already covers the whole global batch: Trainer must not divide by the accumulation steps again.
    loss_is_scaled_for_ga = True

    def _get_num_items_in_batch(self, batch_samples: list[dict[str, Tensor]], device: torch.device) -> Tensor:
        local = torch.stack([weighted_tokens(batch["labels"], batch["weights"]) for batch in batch_samples]).sum()
        total: Tensor = self.accelerator.gather(local.to(device)).sum()
        return total

    def compute_loss(
        self, model: Any, inputs: dict[str, Tensor], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return this micro-batch's share of the step's loss; DDP averages over processes, hence the factor."""
        weights = inputs.pop("weights")
        outputs = model(**inputs, fused_lm_head=True)
        loss = weighted_nll(outputs.log_probs, weights) / num_items_in_batch * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss
