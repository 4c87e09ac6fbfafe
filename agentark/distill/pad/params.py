"""What PAD is told and what it tells; plain data, no torch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from agentark.distill.pad.guards import Guards
from agentark.distill.params import StepAccuracy
from agentark.llm.chat import Message
from agentark.training.params import OptimiserParams, check, positive, weight

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


@dataclass(frozen=True, slots=True, kw_only=True)
class PadParams(OptimiserParams):
    """How a student is trained by process-aware distillation.

    Raises:
        InvalidInput: If a value is out of its range.
    """

    steps: int
    """Optimiser steps, >= 1; a multiple of `iterations`."""
    max_new_tokens: int
    """Longest answer in roll-outs and evaluation, in tokens, >= 1."""
    prompts_per_step: int = 16
    """Questions per batch of roll-outs over all processes, >= 1."""
    group: int = 8
    """Answers per question, >= 2; the baseline of each is made of the others."""
    iterations: int = 1
    """Optimiser steps on each batch of roll-outs, >= 1; `clip` matters from 2 on."""
    aggregation: Literal["Min", "Mean"] = "Min"
    """What of its steps an answer is worth: the worst (soft minimum) or the mean."""
    min_temperature: float = 0.1
    """Temperature of the soft minimum, > 0; towards 0 only the worst step counts."""
    baseline: Literal["Group", "LeaveOneOut"] = "Group"
    """Reward minus the group's mean, over its standard deviation; or minus the mean of the others, not scaled."""
    process_weight: float = 1.0
    """Weight of the step rewards, >= 0."""
    outcome_weight: float = 1.0
    """Weight of the verifiable reward (right 1, wrong 0, truncated -0.5), >= 0."""
    format_weight: float = 0.0
    """Weight of the format reward (an answer can be read 1, else 0), >= 0."""
    kl: float = 0.0
    """Weight of the divergence from the start in the loss, >= 0; above 0 a second copy of the model is held."""
    clip: float = 0.2
    """The probability of a token may change by this factor per batch of roll-outs, in (0, 1)."""
    temperature: float = 1.0
    """Sampling temperature of the roll-outs, > 0."""
    warmup_ratio: float = 0.1
    """Part of the steps over which the learning rate rises from 0, in [0, 1)."""
    scheduler: Literal["cosine", "linear", "constant"] = "linear"
    """Course of the learning rate after the warm-up; cosine and linear fall to 0."""
    save_steps: int = 10
    """Steps between checkpoints, >= 1; the result does not depend on it."""
    evals: int = 3
    """Checks by verified accuracy on the held-out questions, evenly spread, the last one at the end; >= 0."""
    guards: Guards = field(default_factory=Guards)
    """When to stop a run that games its reward."""
    rollouts: Literal["InProcess", "VLLMColocate", "VLLMServer"] = "InProcess"
    """Who samples. In-process roll-outs are seeded row by row and resume exactly; vLLM's are faster on a GPU."""
    vllm_url: str = ""
    """Base URL of the server; needed for VLLMServer alone."""

    def __post_init__(self) -> None:
        own = (
            ("iterations", self.iterations >= 1, "1 or more"),
            ("steps", self.steps >= 1 and self.steps % max(1, self.iterations) == 0, "a multiple of iterations, not 0"),
            ("max_new_tokens", self.max_new_tokens >= 1, "1 or more"),
            ("prompts_per_step", self.prompts_per_step >= 1, "1 or more"),
            ("group", self.group >= 2, "2 or more: an answer is judged beside others"),
            ("aggregation", self.aggregation in ("Min", "Mean"), "Min, Mean"),
            ("min_temperature", positive(self.min_temperature), "more than 0"),
            ("baseline", self.baseline in ("Group", "LeaveOneOut"), "Group, LeaveOneOut"),
            ("process_weight", weight(self.process_weight), "0 or more"),
            ("outcome_weight", weight(self.outcome_weight), "0 or more"),
            ("format_weight", weight(self.format_weight), "0 or more"),
            ("kl", weight(self.kl), "0 or more"),
            ("clip", 0 < self.clip < 1, "more than 0 and less than 1"),
            ("temperature", positive(self.temperature), "more than 0"),
            ("evals", self.evals >= 0, "0 or more"),
            ("rollouts", self.rollouts in ("InProcess", "VLLMColocate", "VLLMServer"),
             "InProcess, VLLMColocate, VLLMServer"),
            ("vllm_url", bool(self.vllm_url) == (self.rollouts == "VLLMServer"), "a URL for VLLMServer, else empty"),
        )  # fmt: skip
        check(self, "PAD", own)

    @property
    def batch(self) -> int:
        """Answers per batch of roll-outs over all processes."""
        return self.prompts_per_step * self.group

    def evaluation_steps(self) -> frozenset[int]:
        """Steps after which the student is evaluated, each at the end of a batch of roll-outs."""
        parts = (part * self.steps / self.evals / self.iterations for part in range(1, self.evals + 1))
        return frozenset(max(1, round(part)) * self.iterations for part in parts)


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
    """Divergence from the start per token, in nats; measured where `PadParams.kl` is above 0."""
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
