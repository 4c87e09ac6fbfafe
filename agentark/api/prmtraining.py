"""PRMTraining: a process reward model learns from debates which steps are right."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from agentark.api.base import PositiveDecimal, Reference, Spec
from agentark.api.debaterun import DebateRunSpec
from agentark.api.sources import Model, StoreSource
from agentark.api.training import Training


class PRMTrainingSpec(Spec):
    """Train a scalar head that gives each step of a solution its probability of being right."""

    debate_ref: Reference | None = None
    """A DebateRun of this namespace."""
    debate: DebateRunSpec | None = None
    """Or the debate itself."""
    model: Model | None = None
    """Backbone; the student by default when embedded in a DistillJob."""
    loss: Literal["Contrastive", "CrossEntropy"] = "Contrastive"
    """Contrastive over the steps of one question (paper eq. 7), or binary cross-entropy."""
    temperature: PositiveDecimal = "0.1"
    """Temperature of the contrastive loss."""
    labels: Annotated[list[Literal["Agreement", "Corrective", "MonteCarlo", "Judge"]], Field(min_length=1)] = [
        "Agreement",
        "Corrective",
    ]
    """Where step labels come from."""
    training: Training = Training()
    """Optimisation and machines."""
    store: StoreSource | None = None
    """Where the model goes; the operator's setting or the folder .agentark by default."""
    suspend: bool = False
    """Keep the training from starting, or stop it where it can go on later."""

    @model_validator(mode="after")
    def _one_debate(self) -> Self:
        if self.debate is not None and self.debate_ref is not None:
            raise ValueError("give one of 'debate' and 'debateRef', not both")
        return self
