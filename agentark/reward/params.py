"""What a PRM training is told and what it tells; plain data, no torch."""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from agentark.reward.metrics import Metrics
from agentark.training.params import OptimiserParams, check, positive

Loss = Literal["Contrastive", "CrossEntropy", "Representation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PRMParams(OptimiserParams):
    """How a process reward model is trained.

    Raises:
        InvalidInput: If a value is out of its range.
    """

    epochs: float
    """Passes over the questions, > 0."""
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

    def __post_init__(self) -> None:
        own = (
            ("epochs", positive(self.epochs), "more than 0"),
            ("batch_size", self.batch_size >= 1, "1 or more"),
            ("max_length", self.max_length >= 16, "16 or more tokens"),
            ("loss", self.loss in ("Contrastive", "CrossEntropy", "Representation"), "Contrastive, CrossEntropy, …"),
            ("temperature", positive(self.temperature), "more than 0"),
            ("representation_weight", self.representation_weight >= 0, "0 or more"),
            ("head_fraction", 0 <= self.head_fraction < 1, "at least 0 and less than 1"),
            ("solutions", self.solutions >= 2, "2 or more"),
        )
        check(self, "PRM training", own)

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
    scores: tuple[tuple[float, ...], ...]
    """Of the steps of the held-out rows, in the order of the rows; empty on all processes but the first."""
    seconds: float
    """Wall time of this call."""
    world_size: int
    resumed_from: int
    """Step of the checkpoint from which this call went on; 0 for a fresh start."""
