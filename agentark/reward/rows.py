"""What a process reward model is trained on: solutions with their steps and labels, as JSON lines."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from agentark.errors import InvalidInput
from agentark.llm.chat import Role
from agentark.reward.steps import SplitRule

Source = Literal["Agreement", "Corrective", "MonteCarlo", "Judge", "Gold", ""]
"""Where a label comes from; empty for a step that has none."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PromptMessage(_Value):
    """One message of the conversation up to a solution."""

    role: Role
    content: str


class LabelledStep(_Value):
    """One step and what is known about it."""

    start: Annotated[int, Field(ge=0)]
    """First character in the solution."""
    end: Annotated[int, Field(ge=1)]
    """Character after its last one."""
    label: Annotated[FiniteFloat, Field(ge=0, le=1)] | None = None
    """Probability that the step is right, 0 to 1; None where nothing is known."""
    weight: Annotated[FiniteFloat, Field(ge=0)] = 1.0
    """How much the label counts in the loss."""
    source: Source = ""
    """What the label was taken from."""


class PRMRow(_Value):
    """One solution of one question."""

    question: str
    """Id of the question; the steps of one question are contrasted with each other."""
    prompt: Annotated[tuple[PromptMessage, ...], Field(min_length=1)]
    """The conversation that the solution answers."""
    solution: Annotated[str, Field(min_length=1)]
    rule: SplitRule
    """How the solution was split."""
    steps: tuple[LabelledStep, ...]
    """In order, disjoint."""
    correct: bool | None = None
    """Whether the final answer is right, by the grader; None where there is no gold answer."""
    answer: str = ""
    """Its final answer as the grader reads it; empty for none."""
    held_out: bool = False
    """Not trained on: for thresholds, calibration and reports."""

    @model_validator(mode="after")
    def _spans(self) -> Self:
        before = 0
        for step in self.steps:
            if not before <= step.start < step.end <= len(self.solution):
                raise ValueError(
                    f"steps: {step.start} to {step.end} is no piece of the solution's {len(self.solution)} characters "
                    f"after character {before}"
                )
            before = step.end
        return self

    def as_json(self) -> dict[str, Any]:
        """The row as it is written."""
        return self.model_dump(mode="json")


def read_rows(path: Path) -> list[PRMRow]:
    """Read rows from JSON lines.

    Raises:
        InvalidInput: If the file cannot be read, is empty, or a line is no row; the message names line and field.
    """
    rows = []
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    rows.append(_row(path, number, line))
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror}") from error
    if not rows:
        raise InvalidInput(f"{path}: holds no labelled solutions; the debate gave none that could be split into steps")
    return rows


def write_rows(rows: Iterable[PRMRow]) -> bytes:
    """JSON lines, one row each."""
    return "".join(json.dumps(row.as_json(), ensure_ascii=False) + "\n" for row in rows).encode()


def _row(path: Path, number: int, line: bytes) -> PRMRow:
    try:
        return PRMRow.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the line"
        raise InvalidInput(f"{path}:{number}: {field}: {first['msg']}") from error
