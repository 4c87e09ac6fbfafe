"""What a training is told and what it tells; plain data, no torch."""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from agentark.training.params import OptimiserParams, check, positive


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainParams(OptimiserParams):
    """How a student is trained.

    Raises:
        InvalidInput: If a value is out of its range.
    """

    epochs: float
    """Passes over the rows, > 0; a fraction ends in the middle of a pass."""
    batch_size: int
    """Rows per optimiser step over all processes, >= 1; a multiple of the number of processes."""
    max_length: int
    """Longest row in tokens, prompt included, >= 2."""
    evals: int = 0
    """Checks by verified accuracy on the held-out questions, evenly spread, the last one at the end; >= 0."""
    long_traces: Literal["Drop", "Keep"] = "Drop"
    """Rows longer than max_length: drop and count them, or keep them whole. None is ever cut."""
    max_new_tokens: int = 1024
    """Longest answer in the in-training evaluation, in tokens, >= 1."""

    def __post_init__(self) -> None:
        own = (
            ("epochs", positive(self.epochs), "more than 0"),
            ("batch_size", self.batch_size >= 1, "1 or more"),
            ("max_length", self.max_length >= 2, "2 or more tokens"),
            ("evals", self.evals >= 0, "0 or more"),
            ("long_traces", self.long_traces in ("Drop", "Keep"), "Drop, Keep"),
            ("max_new_tokens", self.max_new_tokens >= 1, "1 or more"),
        )
        check(self, "training", own)

    def total_steps(self, rows: int) -> int:
        """Optimiser steps of the whole training on `rows` rows, at least 1."""
        return max(1, math.ceil(self.total_rows(rows) / self.batch_size))

    def total_rows(self, rows: int) -> int:
        """Rows seen over the whole training, repetitions counted, at least 1."""
        return max(1, round(self.epochs * rows))

    def evaluation_steps(self, steps: int) -> frozenset[int]:
        """Steps after which the student is evaluated; the last of `steps` is among them unless `evals` is 0."""
        return frozenset(max(1, round(part * steps / self.evals)) for part in range(1, self.evals + 1))


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
    """Rows left out because they are longer than `max_length`."""
    max_length: int
    """Longest row that was allowed, in tokens: the parameter, or the longest row where long traces are kept."""
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
