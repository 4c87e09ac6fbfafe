"""What a training is told and what it tells; plain data, no torch."""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from agentark.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class TrainParams:
    """How a student is trained.

    Raises:
        InvalidInput: If a value is out of its range.
    """

    epochs: float
    """Passes over the rows, > 0; a fraction ends in the middle of a pass."""
    learning_rate: float
    """Peak learning rate of AdamW, > 0."""
    batch_size: int
    """Rows per optimiser step over all processes, >= 1; a multiple of the number of processes."""
    max_length: int
    """Longest row in tokens, prompt included, >= 2."""
    lora_rank: int = 0
    """Rank of the adapters on all linear layers; 0 trains all weights."""
    lora_alpha: int = 0
    """The adapters' update is multiplied by lora_alpha / lora_rank; >= 1 where lora_rank is."""
    warmup_ratio: float = 0.0
    """Part of the steps over which the learning rate rises from 0, in [0, 1)."""
    scheduler: Literal["cosine", "linear", "constant"] = "cosine"
    """Course of the learning rate after the warm-up; cosine and linear fall to 0."""
    weight_decay: float = 0.0
    """Decoupled weight decay, >= 0; norms and biases are left out."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of forward and backward pass; weights and optimiser stay in 32 bits."""
    seed: int = 0
    """Seed of the order of the rows, of the adapters' start and of dropout."""
    save_steps: int = 100
    """Steps between checkpoints, >= 1; the result does not depend on it."""
    evals: int = 0
    """Checks by verified accuracy on the held-out questions, evenly spread, the last one at the end; >= 0."""
    long_traces: Literal["Drop", "Keep"] = "Drop"
    """Rows longer than max_length: drop and count them, or keep them whole. None is ever cut."""
    max_new_tokens: int = 1024
    """Longest answer in the in-training evaluation, in tokens, >= 1."""

    def __post_init__(self) -> None:
        def positive(value: float) -> bool:
            return math.isfinite(value) and value > 0

        for name, good, accepted in (
            ("epochs", positive(self.epochs), "more than 0"),
            ("learning_rate", positive(self.learning_rate), "more than 0"),
            ("batch_size", self.batch_size >= 1, "1 or more"),
            ("max_length", self.max_length >= 2, "2 or more tokens"),
            ("lora_rank", self.lora_rank >= 0, "0 (all weights) or more"),
            ("lora_alpha", self.lora_alpha >= (1 if self.lora_rank else 0), "1 or more where lora_rank is"),
            ("warmup_ratio", 0 <= self.warmup_ratio < 1, "at least 0 and less than 1"),
            ("scheduler", self.scheduler in ("cosine", "linear", "constant"), "cosine, linear, constant"),
            ("weight_decay", math.isfinite(self.weight_decay) and self.weight_decay >= 0, "0 or more"),
            ("precision", self.precision in ("float32", "bfloat16"), "float32, bfloat16"),
            ("seed", 0 <= self.seed < 2**32, "0 to 2**32 - 1"),
            ("save_steps", self.save_steps >= 1, "1 or more"),
            ("evals", self.evals >= 0, "0 or more"),
            ("long_traces", self.long_traces in ("Drop", "Keep"), "Drop, Keep"),
            ("max_new_tokens", self.max_new_tokens >= 1, "1 or more"),
        ):
            if not good:
                raise InvalidInput(f"training: {name} is {getattr(self, name)!r}; accepted: {accepted}")

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
