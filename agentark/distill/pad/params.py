"""What PAD asks of a scorer, and what it tells; plain data, no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from agentark.distill.params import StepAccuracy
from agentark.llm.chat import Message

TRUNCATION_PENALTY = 0.5
"""What an answer that never ended loses of its outcome reward, on the scale where right is 1 and wrong 0."""


class Scored(Protocol):
    """One step of an answer with its score."""

    @property
    def start(self) -> int:
        """First character."""
        ...

    @property
    def end(self) -> int:
        """Character after the last."""
        ...

    @property
    def score(self) -> float:
        """How good the step is, in [0, 1]."""
        ...


class StepScorer(Protocol):
    """Splits answers into steps and scores each; a process reward model in this process or behind a URL."""

    def __call__(self, prompts: Sequence[Sequence[Message]], texts: Sequence[str]) -> Sequence[Sequence[Scored]]:
        """Score each text as the answer to the prompt at the same place; steps in the order of the text."""
        ...


class PadStep(NamedTuple):
    """Means over one batch of roll-outs; None where there is nothing to take a mean of."""

    step: int
    reward: float
    """Outcome reward."""
    process_reward: float | None
    """The answers' aggregated step scores, in [-1, 1]."""
    accuracy: float | None
    """Share of right answers, sampled, among those with a gold answer."""
    kl: float | None
    """Divergence from the start per token, in nats; measured where `PAD.kl` is above 0."""
    length: float
    """Tokens per answer."""
    step_count: float | None
    """Steps per answer."""
    disagreement: float | None
    """Share of (right, wrong) pairs of one question in which the wrong answer has the better steps; ties half."""
    truncated: float
    """Share of answers cut at their longest length."""


@dataclass(frozen=True, slots=True)
class PadResult:
    """What a finished training did; but for `seconds` and `resumed_from` the same whether or not it was interrupted."""

    steps: int
    """Optimiser steps done; fewer than asked for where a guard stopped it."""
    questions: int
    """Questions trained on."""
    curves: tuple[PadStep, ...]
    """One per batch of roll-outs."""
    accuracy: tuple[StepAccuracy, ...]
    """One per in-training evaluation; the first is the start's, at step 0."""
    start_accuracy: float | None
    """Verified accuracy of the start on the held-out questions; None where there are none."""
    best_accuracy: float | None
    """The same of the student that is the output."""
    best_step: int
    """Step whose weights are the output; 0: the start itself, because no checkpoint was shown to be as good."""
    stopped: str
    """Why a guard stopped the run; empty where none did."""
    train_tokens: int
    """Tokens sampled and trained on, prompts included."""
    seconds: float
    """Wall time of this call."""
    world_size: int
    """Processes that shared the training."""
    resumed_from: int
    """Step of the checkpoint from which this call went on; 0 for a fresh start."""
