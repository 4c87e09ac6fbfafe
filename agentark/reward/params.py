"""What a PRM training is told and what it tells; plain data, no torch."""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from agentark.errors import InvalidInput
from agentark.reward.metrics import Metrics

Loss = Literal["Contrastive", "CrossEntropy", "Representation"]


@dataclass(frozen=True, slots=True)
class PRMParams:
    """How a process reward model is trained.

    Raises:
        InvalidInput: If a value is out of its range.
    """

    epochs: float
    """Passes over the questions, > 0."""
    learning_rate: float
    """Peak learning rate of AdamW, > 0."""
    batch_size: int
    """Questions per optimiser step over all processes, >= 1; a multiple of the number of processes."""
    max_length: int
    """Longest window in tokens, prompt included, >= 16; longer solutions are read in overlapping windows."""
    loss: Loss = "Contrastive"
    """Paper eq. 7; cross-entropy; or cross-entropy with a contrastive term on projected representations."""
    temperature: float = 0.1
    """Of the contrastive losses, > 0."""
    representation_weight: float = 0.5
    """Factor of the representation term, >= 0."""
    head_fraction: float = 0.2
    """Part of the steps, in [0, 1), that train only the head and the last layer; the rest train everything."""
    solutions: int = 8
    """Most solutions of a question in one step, drawn anew in each pass, >= 2."""
    lora_rank: int = 0
    """Rank of adapters on all linear layers; 0 trains all weights."""
    lora_alpha: int = 0
    """The adapters' update is multiplied by lora_alpha / lora_rank; >= 1 where lora_rank is."""
    warmup_ratio: float = 0.0
    """Part of the steps over which the learning rate rises from 0, in [0, 1)."""
    scheduler: Literal["cosine", "linear", "constant"] = "cosine"
    """Course of the learning rate after the warm-up."""
    weight_decay: float = 0.0
    """Decoupled weight decay, >= 0."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of forward and backward pass; weights and optimiser stay in 32 bits."""
    seed: int = 0
    """Seed of the head, of the order of questions and of the choice of solutions."""
    save_steps: int = 100
    """Steps between checkpoints, >= 1; the result does not depend on it."""

    def __post_init__(self) -> None:
        def positive(value: float) -> bool:
            return math.isfinite(value) and value > 0

        for name, good, accepted in (
            ("epochs", positive(self.epochs), "more than 0"),
            ("learning_rate", positive(self.learning_rate), "more than 0"),
            ("batch_size", self.batch_size >= 1, "1 or more"),
            ("max_length", self.max_length >= 16, "16 or more tokens"),
            ("loss", self.loss in ("Contrastive", "CrossEntropy", "Representation"), "Contrastive, CrossEntropy, …"),
            ("temperature", positive(self.temperature), "more than 0"),
            ("representation_weight", self.representation_weight >= 0, "0 or more"),
            ("head_fraction", 0 <= self.head_fraction < 1, "at least 0 and less than 1"),
            ("solutions", self.solutions >= 2, "2 or more"),
            ("lora_rank", self.lora_rank >= 0, "0 (all weights) or more"),
            ("lora_alpha", self.lora_alpha >= (1 if self.lora_rank else 0), "1 or more where lora_rank is"),
            ("warmup_ratio", 0 <= self.warmup_ratio < 1, "at least 0 and less than 1"),
            ("scheduler", self.scheduler in ("cosine", "linear", "constant"), "cosine, linear, constant"),
            ("weight_decay", math.isfinite(self.weight_decay) and self.weight_decay >= 0, "0 or more"),
            ("precision", self.precision in ("float32", "bfloat16"), "float32, bfloat16"),
            ("seed", 0 <= self.seed < 2**32, "0 to 2**32 - 1"),
            ("save_steps", self.save_steps >= 1, "1 or more"),
        ):
            if not good:
                raise InvalidInput(f"PRM training: {name} is {getattr(self, name)!r}; accepted: {accepted}")

    def total_steps(self, questions: int) -> int:
        """Optimiser steps of the whole training, at least 1."""
        return max(1, math.ceil(self.epochs * questions / self.batch_size))

    def head_steps(self, steps: int) -> int:
        """Steps of the first phase, in which only the head and the last layer learn."""
        return min(steps - 1, round(self.head_fraction * steps))


class StepLoss(NamedTuple):
    """Loss of one optimiser step, a mean over its questions (Contrastive) or labelled steps."""

    step: int
    loss: float


@dataclass(frozen=True, slots=True)
class PRMResult:
    """What a finished training did; but for `seconds` and `resumed_from` the same whether or not it was interrupted."""

    steps: int
    """Optimiser steps."""
    head_steps: int
    """Of these, steps of the first phase."""
    questions: int
    """Questions trained on."""
    solutions: int
    """Their solutions."""
    windowed: int
    """Solutions longer than one window."""
    unusable: int
    """Questions left out because all their labels are alike, so that nothing can be contrasted."""
    losses: tuple[StepLoss, ...]
    """One per step."""
    held_out: Metrics | None
    """How well the held-out steps are told apart; None where none were held out."""
    seconds: float
    """Wall time of this call."""
    world_size: int
    resumed_from: int
    """Step of the checkpoint from which this call went on; 0 for a fresh start."""
