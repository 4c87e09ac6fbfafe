"""PAD, process-aware distillation: the student answers, its steps are scored, and what scores well becomes likelier."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from agentark.api.base import NOT_IN_KEY, AboveZero, Fraction, Key, PositiveDecimal, Rule, Spec, Temperature
from agentark.api.sources import Endpoint, Model


class PRMEndpoint(Endpoint):
    """A process reward model that is already being served (vLLM's pooling runner)."""

    weights: Model
    """The folder that is served, as PRMTraining wrote it. Its tokenizer and `prm.json` say what the server is asked;
    its weights are not loaded."""


class PADGuards(Spec):
    """When a run that games its reward is stopped. Each compares the last batches with the first one, or with a limit.

    What a stopped run returns is its best checkpoint, or the start where none was better.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "double($stepDrift) == 0.0 || double($stepDrift) > 1.0",
            'stepDrift is a factor above 1, or "0" to switch it off',
        ),
        Rule(
            "double($lengthDrift) == 0.0 || double($lengthDrift) > 1.0",
            'lengthDrift is a factor above 1, or "0" to switch it off',
        ),
        Rule("double($disagreement) < 1.0", 'disagreement is less than 1, or "0" to switch it off'),
    )

    step_drift: PositiveDecimal = 1.5
    """Most that the number of steps per answer may grow or shrink, as a factor above 1; "0" switches it off."""
    length_drift: PositiveDecimal = 2.0
    """Most that the tokens per answer may grow or shrink, as a factor above 1; "0" switches it off."""
    disagreement: Fraction = 0.6
    """Largest share of pairs (a right and a wrong answer) in which the wrong one's steps score higher; 0.5 is chance;
    "0" switches it off, as where answers are often right by luck."""
    spread: PositiveDecimal = 0.01
    """Least spread of the process reward among answers that do not agree; "0" switches it off."""
    kl: PositiveDecimal = 1.0
    """Most divergence from the start, in nats per token, where `pad.kl` is above 0; "0" switches it off."""
    window: Annotated[int, Field(ge=1, le=1000)] = 3
    """Batches over which the figures are averaged, so that one odd batch stops nothing."""

    @model_validator(mode="after")
    def _factors(self) -> Self:
        for name, value in (("stepDrift", self.step_drift), ("lengthDrift", self.length_drift)):
            if 0 < value <= 1:
                raise ValueError(f'{name} is "{value:g}"; give a factor above 1, or "0" to switch it off')
        if self.disagreement == 1:
            raise ValueError('disagreement is "1", which nothing exceeds; give less than 1, or "0" to switch it off')
        return self


class PAD(Spec):
    """How PAD trains. Adapters, precision, schedule, evaluations, seed and machines are those of `training`."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("$steps % $iterations == 0", "steps must be a multiple of iterations"),
        Rule("double($temperature) > 0.0", 'temperature "0" makes all answers the same; give more than 0'),
        Rule("double($clip) > 0.0 && double($clip) < 1.0", "clip is more than 0 and less than 1"),
        Rule(
            "has(self.vllmUrl) == ($rollouts == 'VLLMServer')",
            "vllmUrl and rollouts: VLLMServer go together; give both or neither",
        ),
        Rule(
            "double($processWeight) > 0.0 || double($outcomeWeight) > 0.0",
            'processWeight and outcomeWeight are both "0", so nothing is rewarded; raise one',
        ),
        Rule(
            "double($processWeight) > 0.0 || !has(self.prmEndpoint)",
            'prmEndpoint would not be asked, because processWeight is "0"; remove one',
        ),
    )

    steps: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    """Optimiser steps. A small model on short questions needs 15 to 50, a chat model a few hundred."""
    learning_rate: AboveZero = 1e-6
    """Peak learning rate; 1e-6 suits models of 0.5 B parameters and up, adapters take ten times as much, tiny models
    a hundred times."""
    prompts_per_step: Annotated[int, Field(ge=1, le=65536)] = 16
    """Questions per batch of answers, over all processes."""
    group: Annotated[int, Field(ge=2, le=1024)] = 8
    """Answers per question; each is judged beside the others. More are steadier and cost as much more."""
    iterations: Annotated[int, Field(ge=1, le=64)] = 1
    """Optimiser steps on each batch of answers; sampling costs most, so 2 can save time at some loss of calm."""
    aggregation: Annotated[Literal["Min", "Mean"], Key(("StepScores",))] = "Min"
    """What an answer is worth: its worst step (a soft minimum, harder to game), or the mean of its steps."""
    min_temperature: Annotated[AboveZero, Key(("StepScores",))] = 0.1
    """Temperature of the soft minimum; towards 0 only the worst step counts."""
    baseline: Literal["Group", "LeaveOneOut"] = "Group"
    """Reward minus the group's mean in units of its spread, or minus the mean of the others, unscaled."""
    process_weight: PositiveDecimal = 1.0
    """Weight of the step rewards; "0" trains on right answers alone and needs no process reward model."""
    outcome_weight: PositiveDecimal = 1.0
    """Weight of the verified answer: right 1, wrong 0, cut at the token limit less than wrong; none without gold."""
    format_weight: PositiveDecimal = 0.0
    """Weight of an answer that the grader can read at all, right or wrong; helps models that forget the box."""
    kl: PositiveDecimal = 0.0
    """Weight of the divergence from the start in the loss; above 0 a second copy of the model is held."""
    clip: Fraction = 0.2
    """How far the probability of a token may move per batch of answers, as a factor."""
    temperature: Temperature = 1.0
    """Sampling temperature while training; above 0, because equal answers teach nothing."""
    max_new_tokens: Annotated[Annotated[int, Field(ge=1, le=131072)] | None, NOT_IN_KEY] = None
    """Longest answer in training and its evaluations; the debate's sampling.maxTokens by default."""
    guards: PADGuards = PADGuards()
    """When to stop."""
    rollouts: Literal["InProcess", "VLLMColocate", "VLLMServer"] = "InProcess"
    """Who samples: the trainer itself (resumes exactly), vLLM beside it on the same GPU, or a server."""
    vllm_url: Annotated[Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=2048)] | None, NOT_IN_KEY] = None
    """The server of VLLMServer (started by `trl vllm-serve`, which takes new weights)."""
    prm_endpoint: Annotated[PRMEndpoint | None, NOT_IN_KEY] = None
    """A served process reward model, instead of one trained by this job (`prm`, `prmRef`)."""
    checkpoint_steps: Annotated[Annotated[int, Field(ge=1)], NOT_IN_KEY] = 10
    """Steps between checkpoints; not part of the key."""

    @property
    def needs_prm(self) -> bool:
        """Whether steps are scored at all."""
        return self.process_weight > 0

    @property
    def trains_prm(self) -> bool:
        """Whether the job needs a process reward model of its own, or one that it refers to."""
        return self.needs_prm and self.prm_endpoint is None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.steps % self.iterations:
            raise ValueError(
                f"steps is {self.steps}, which iterations ({self.iterations}) does not divide; every batch of answers "
                "is used for that many steps, so give a multiple"
            )
        if self.temperature == 0:
            raise ValueError('temperature is "0": all answers to a question would be the same; give more than 0')
        if not 0 < self.clip < 1:
            raise ValueError(f'clip is "{self.clip:g}"; give more than 0 and less than 1')
        if (self.vllm_url is not None) != (self.rollouts == "VLLMServer"):
            raise ValueError("vllmUrl and rollouts: VLLMServer go together; give both or neither")
        if not self.needs_prm and self.outcome_weight == 0:
            raise ValueError('processWeight and outcomeWeight are both "0", so nothing is rewarded; raise one')
        if not self.needs_prm and self.prm_endpoint is not None:
            raise ValueError('prmEndpoint is given, but processWeight is "0": it would not be asked; remove one')
        return self
