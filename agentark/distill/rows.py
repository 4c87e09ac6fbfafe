"""Reading training rows and held-out questions; no torch, no tokenizer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import zstandard
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from agentark.errors import InvalidInput

_Item = TypeVar("_Item", bound=BaseModel)


class Turn(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    role: Literal["system", "user", "assistant"]
    content: Annotated[str, Field(min_length=1)]


class Row(BaseModel):
    """One trace to learn: the conversation up to it, the trace, and how much it counts."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    prompt: Annotated[list[Turn], Field(min_length=1)]
    completion: Annotated[list[Turn], Field(min_length=1, max_length=1)]
    weight: Annotated[FiniteFloat, Field(gt=0)] = 1.0
    """Factor of the row's loss; 1/k for the k traces of a question (DA)."""


class Pair(BaseModel):
    """Two texts after the same conversation, of which the first is to be preferred."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    prompt: Annotated[list[Turn], Field(min_length=1)]
    chosen: Annotated[list[Turn], Field(min_length=1, max_length=1)]
    rejected: Annotated[list[Turn], Field(min_length=1, max_length=1)]


class HeldOut(BaseModel):
    """One question whose answer decides which checkpoint is best."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    prompt: Annotated[list[Turn], Field(min_length=1)]
    gold: Annotated[str, Field(min_length=1)]


class RolloutQuestion(BaseModel):
    """One question to be answered over and over; without gold its answers cannot be verified."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: Annotated[str, Field(min_length=1, validation_alias=AliasChoices("id", "question_id"))]
    """``question_id`` in the rows of held-out questions, which all methods share."""
    prompt: Annotated[list[Turn], Field(min_length=1)]
    gold: Annotated[str, Field(min_length=1)] | None


def read_rows(path: Path) -> list[Row]:
    """Read training rows from JSON lines (``.jsonl``, ``.jsonl.zst``).

    Raises:
        InvalidInput: If the file is missing, empty, or a line is not a row; the message names file and line.
    """
    rows = list(_read(path, Row))
    if not rows:
        raise InvalidInput(f"{path}: holds no rows to train on; curation found no trace that may be learnt")
    for number, row in enumerate(rows, start=1):
        if row.completion[0].role != "assistant":
            raise InvalidInput(f"{path}: row {number}: completion has role {row.completion[0].role!r}, not 'assistant'")
    return rows


def read_pairs(path: Path) -> list[Pair]:
    """Read preference pairs from JSON lines.

    Raises:
        InvalidInput: If the file is missing, empty, or a line is not a pair; the message names file and line.
    """
    pairs = list(_read(path, Pair))
    if not pairs:
        raise InvalidInput(
            f"{path}: holds no pairs to train on; DPO needs debates in which an agent mended its wrong first attempt"
        )
    return pairs


def read_held_out(path: Path) -> list[HeldOut]:
    """Read held-out questions from JSON lines; an empty file gives none.

    Raises:
        InvalidInput: If the file is missing or a line is not such a question.
    """
    return list(_read(path, HeldOut))


def read_questions(path: Path) -> list[RolloutQuestion]:
    """Read questions for PAD from JSON lines; an empty file gives none.

    Raises:
        InvalidInput: If the file is missing or a line is not such a question.
    """
    return list(_read(path, RolloutQuestion))


def _read(path: Path, kind: type[_Item]) -> Iterator[_Item]:
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            yield kind.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(str(part) for part in first["loc"]) or "the line"
            raise InvalidInput(f"{path}:{number}: {field}: {first['msg']}") from error


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as stream:
            if path.suffix == ".zst":
                yield from zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
            else:
                yield from stream
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror}") from error
    except zstandard.ZstdError as error:
        raise InvalidInput(f"{path}: is not a whole zstd file: {error}") from error
