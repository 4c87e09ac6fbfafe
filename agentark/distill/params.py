"""What a training tells; plain data, no torch."""

from dataclasses import dataclass
from typing import NamedTuple


class StepLoss(NamedTuple):
    """Loss of one optimiser step."""

    step: int
    loss: float
    """Weighted mean negative log-likelihood per completion token, in nats."""


class StepAccuracy(NamedTuple):
    """Verified accuracy on the held-out questions after one optimiser step."""

    step: int
    accuracy: float
    n: int


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a finished training did; but for `seconds` and `resumed_from` the same whether or not it was interrupted."""

    steps: int
    """Optimiser steps."""
    epochs: float
    """Passes over the rows that were kept."""
    rows: int
    """Rows trained on."""
    dropped: int
    """Rows left out because they are longer than `max_length_tokens`."""
    max_length: int
    """Longest row that was allowed, in tokens: the setting, or the longest row where long traces are kept."""
    losses: tuple[StepLoss, ...]
    """One per step."""
    accuracy: tuple[StepAccuracy, ...]
    """One per in-training evaluation."""
    best_step: int
    """Step whose weights are the output: highest accuracy, of equals the latest; the last step without evaluation."""
    train_tokens: int
    """Tokens seen over all steps, prompts included, padding not."""
    seconds: float
    """Wall time of this call."""
    world_size: int
    """Processes that shared the training."""
    resumed_from: int
    """Step of the checkpoint from which this call went on; 0 for a fresh start."""
