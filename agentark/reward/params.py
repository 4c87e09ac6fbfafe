"""What a PRM training tells; plain data, no torch."""

from dataclasses import dataclass
from typing import NamedTuple

from agentark.reward.metrics import Metrics


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
