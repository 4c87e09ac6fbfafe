"""PRMTraining: a process reward model learns from debates which steps are right."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from agentark.api.base import NOT_IN_KEY, Fraction, Key, PositiveDecimal, Reference, Rule, Spec, Temperature
from agentark.api.debaterun import DebateSpec, Execution
from agentark.api.running import Run
from agentark.api.sources import Endpoint, Model
from agentark.api.training import Training

SplitRule = Literal["Numbered", "BlankLine", "Newline", "Sentence"]
"""Where one step ends and the next begins: "Step 2:" or "2.", an empty line, a line end, or the end of a sentence."""

LabelSource = Literal["Agreement", "Corrective", "MonteCarlo", "Judge"]


class MonteCarlo(Spec):
    """Labels by finishing a solution from each of its steps: the share that ends right."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("double($temperature) > 0.0", 'temperature "0" makes all continuations the same; give more than 0'),
    )

    rollouts: Annotated[int, Field(ge=1, le=256)] = 8
    """Continuations per step; the teacher that debated writes them."""
    temperature: Temperature = 0.7
    """Sampling temperature of the continuations, above 0."""

    @model_validator(mode="after")
    def _sampled(self) -> Self:
        if self.temperature == 0:
            raise ValueError('temperature is "0": all continuations would be the same; give more than 0')
        return self


class PRMSpec(Spec):
    """A scalar head that gives each step of a solution its probability of being right."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("!(has(self.debate) && has(self.debateRef))", "give one of 'debate' and 'debateRef', not both"),
        Rule(
            "!has(self.labels) || self.labels.all(one, self.labels.exists_one(other, other == one))",
            "labels name each source once",
        ),
        Rule(
            "(has(self.labels) && 'Judge' in self.labels) == has(self.judge)",
            "labels with Judge and 'judge' (the server that judges) go together; give both or neither",
        ),
        Rule(
            "!has(self.monteCarlo) || (has(self.labels) && 'MonteCarlo' in self.labels)",
            "monteCarlo is given; add MonteCarlo to labels",
        ),
        Rule("double($temperature) > 0.0", "temperature is more than 0"),
        Rule("double($headFraction) < 1.0", "headFraction is less than 1, or the backbone would never learn"),
        Rule(
            "!has(self.representationWeight) || $loss == 'Representation'",
            "representationWeight belongs to loss: Representation",
        ),
        Rule(
            "!has(self.heldOutFraction) || (double(self.heldOutFraction) > 0.0 && double(self.heldOutFraction) < 1.0)",
            "heldOutFraction is more than 0 and less than 1",
        ),
    )

    debate_ref: Annotated[Reference | None, NOT_IN_KEY] = None
    """A DebateRun of this namespace."""
    debate: Annotated[DebateSpec | None, NOT_IN_KEY] = None
    """Or the debate itself."""
    model: Annotated[Model | None, NOT_IN_KEY] = None
    """Backbone; by default the student when embedded in a DistillJob, else the weights that debated."""
    steps: Annotated[Literal["Auto"] | SplitRule, Key(("Labels",))] = "Auto"
    """Where a solution is split into steps: at "Step 2:" or "2.", empty lines, line ends, or after sentences. Auto
    takes the first that splits most solutions."""
    labels: Annotated[Annotated[list[LabelSource], Field(min_length=1, max_length=4)], Key(("Labels",))] = [
        "Agreement",
        "Corrective",
    ]
    """Sources of step labels: agreement with the debate's verified solutions, steps that a critique named and the agent
    mended, continuations from each step, or a judge. The last two cost calls."""
    monte_carlo: Annotated[MonteCarlo | None, NOT_IN_KEY] = None
    """How continuations are drawn; for labels with MonteCarlo."""
    judge: Annotated[Endpoint | None, NOT_IN_KEY] = None
    """The server that judges steps; for labels with Judge."""
    loss: Annotated[Literal["Contrastive", "CrossEntropy", "Representation"], Key(("PRM",))] = "Contrastive"
    """Contrastive over one question's steps (paper eq. 7), binary cross-entropy, or contrastive plus one on hidden
    representations."""
    temperature: Annotated[PositiveDecimal, Key(("PRM",))] = 0.1
    """Temperature of the contrastive loss."""
    representation_weight: Annotated[PositiveDecimal | None, Key(("PRM",))] = None
    """Weight of the representation term, 0.5 by default; for the loss Representation."""
    head_fraction: Annotated[Fraction, Key(("PRM",))] = 0.2
    """First part of the steps, in which only the head and the last layer learn."""
    held_out_fraction: Annotated[Fraction | None, NOT_IN_KEY] = None
    """Part of the questions on which the model is measured and not trained; 0.1 by default, in a
    DistillJob its curation's."""
    training: Annotated[Training, Key(("PRM",))] = Training()
    """Optimisation and machines; batchSize counts questions."""
    execution: Annotated[Execution, NOT_IN_KEY] = Execution()
    """How the requests of MonteCarlo and Judge are carried out."""

    @model_validator(mode="after")
    def _one_debate(self) -> Self:
        if self.debate is not None and self.debate_ref is not None:
            raise ValueError("give one of 'debate' and 'debateRef', not both")
        return self

    @model_validator(mode="after")
    def _sources(self) -> Self:
        if len(set(self.labels)) < len(self.labels):
            raise ValueError(f"labels repeat a source: {', '.join(self.labels)}; name each once")
        if ("Judge" in self.labels) != (self.judge is not None):
            raise ValueError("labels with Judge and 'judge' (the server that judges) go together; give both or neither")
        if self.monte_carlo is not None and "MonteCarlo" not in self.labels:
            raise ValueError(f"monteCarlo is given, but labels are {', '.join(self.labels)}; add MonteCarlo to labels")
        return self

    @model_validator(mode="after")
    def _numbers(self) -> Self:
        if self.temperature == 0:
            raise ValueError('temperature is "0"; give more than 0')
        if self.head_fraction == 1:
            raise ValueError('headFraction is "1": all but the head and the last layer would never learn; give less')
        if self.representation_weight is not None and self.loss != "Representation":
            raise ValueError(f"representationWeight belongs to loss: Representation; the loss is {self.loss}")
        if self.held_out_fraction is not None and not 0 < self.held_out_fraction < 1:
            raise ValueError(
                f'heldOutFraction is "{self.held_out_fraction:g}"; give more than 0 and less than 1: thresholds and '
                "figures need questions that were not trained on"
            )
        return self


class PRMTrainingSpec(PRMSpec, Run):
    """Train a process reward model."""
