"""What is selected from the debates, and in which form."""

from dataclasses import dataclass
from typing import Literal, get_args

from agentark.api import distilljob
from agentark.errors import InvalidInput

Method = Literal[distilljob.Method, "OwnAnswers"]
Form = Literal["Solution", "SelfCorrection", "Answer", "Question", "Pair"]

_METHODS = get_args(Method)
_FORMS = ("Solution", "SelfCorrection", "Both")
_LABELS = ("Gold", "Consensus")


@dataclass(frozen=True, slots=True)
class CurationParams:
    """How training rows are selected.

    Raises:
        InvalidInput: If a value is not accepted.
    """

    method: Method
    """RSFT: one trace a question, a corrective one first. DA: up to `max_traces` that differ most. DPO: one mended
    solution beside the first attempt that it mends. AnswerOnly: the gold answer without a trace. OwnAnswers: one right
    answer of round 0, the control without debate."""
    max_traces: int = 3
    """Traces per question for DA, 1..3 (k in the paper)."""
    forms: Literal["Solution", "SelfCorrection", "Both"] = "Solution"
    """Solution: the right solution alone. SelfCorrection: attempt, critique and mended solution in one monologue where
    there was a correction, else the solution. Both: both where there was a correction."""
    held_out: float = 0.1
    """Share of the questions kept out of training by a hash of their ids, 0 to below 1; independent of method and seed,
    so that a question that one method holds out is never trained on by another."""
    max_chars: int = 16_000
    """Longest completion in characters, >= 1."""
    seed: int = 0
    """Decides between traces of equal rank, and which examples the data card shows."""
    labels: Literal["Gold", "Consensus"] = "Gold"
    """What counts as right: the data set's answers, or what the agents agree on; then gold answers are never input."""
    consensus_threshold: float = 0.8
    """Consensus only: least part of the agents that must end with the same answer, above 0 to 1."""

    def __post_init__(self) -> None:
        for name, value, accepted in (
            ("method", self.method, _METHODS),
            ("forms", self.forms, _FORMS),
            ("labels", self.labels, _LABELS),
        ):
            if value not in accepted:
                raise InvalidInput(f"curation.{name} is {value!r}; accepted: {', '.join(accepted)}")
        if not 1 <= self.max_traces <= 3:
            raise InvalidInput(f"curation.max_traces is {self.max_traces}; accepted: 1 to 3")
        if not 0 <= self.held_out < 1:
            raise InvalidInput(f"curation.held_out is {self.held_out}; accepted: 0 up to, but not including, 1")
        if not 0 < self.consensus_threshold <= 1:
            raise InvalidInput(
                f"curation.consensus_threshold is {self.consensus_threshold}; accepted: above 0, up to and including 1"
            )
        if self.max_chars < 1:
            raise InvalidInput(f"curation.max_chars is {self.max_chars}; accepted: 1 or more")
