"""Rows as token ids: what the student reads, what it learns, which rows fit, and in which order they come.

Knows the tokenizer and nothing of the trainer, so that every row's fate is decided, and its errors are named, before a
model is loaded.
"""

import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from agentark.distill.rows import Row, Turn
from agentark.errors import InvalidInput


class Learnt(Protocol):
    """A row in tokens, whatever is learnt from it."""

    @property
    def longest(self) -> int:
        """Tokens of its longest text."""

    @property
    def tokens(self) -> int:
        """Tokens of all its texts."""


LearntRow = TypeVar("LearntRow", bound=Learnt)


@dataclass(frozen=True, slots=True)
class Encoded:
    """One row as the student reads it."""

    ids: npt.NDArray[np.int32]
    """Prompt, then completion with its end-of-turn token, shape ``(T,)``."""
    prompt: int
    """Number of leading tokens that carry no loss."""
    weight: float

    @property
    def tokens(self) -> int:
        """Tokens of prompt and completion."""
        return len(self.ids)

    longest = tokens


def encode(rows: Iterable[Row], tokenizer: Any, ends: Collection[int]) -> list[Encoded]:
    """Turn conversations into token ids with the tokenizer's chat template.

    Args:
        rows: What to encode.
        tokenizer: A Hugging Face tokenizer with a chat template.
        ends: Token ids at which generation stops; one of them must be learnt. A template that writes none after the
            assistant's turn gets the tokenizer's own end-of-sequence token there.

    Raises:
        InvalidInput: If there is no chat template or end token, or the template writes the prompt alone otherwise than
            the prompt followed by the completion: the student would then learn to answer a text it never meets.
    """
    if tokenizer.chat_template is None:
        raise InvalidInput("student model: its tokenizer has no chat template; take an instruction-tuned model")
    return [_encode(number, row, tokenizer, ends) for number, row in enumerate(rows, start=1)]


def _encode(number: int, row: Row, tokenizer: Any, ends: Collection[int]) -> Encoded:
    prompt = _ids(tokenizer, row.prompt, opens_turn=True)
    ids = _ids(tokenizer, [*row.prompt, *row.completion], opens_turn=False)
    if ids[: len(prompt)] != prompt:
        raise InvalidInput(
            f"student model: its chat template writes the prompt of row {number} alone otherwise than in front of an "
            "answer, so a student would train on one text and be asked with another; take a model whose template ends "
            "the prompt the same way in both cases"
        )
    if not set(ids[len(prompt) :]) & set(ends):
        if tokenizer.eos_token_id is None:
            raise InvalidInput(
                "student model: neither its chat template nor its tokenizer names an end-of-turn token, so a student "
                "could not learn to stop; set eos_token in tokenizer_config.json"
            )
        ids = [*ids, tokenizer.eos_token_id]
    return Encoded(np.asarray(ids, dtype=np.int32), len(prompt), row.weight)


def _ids(tokenizer: Any, turns: Sequence[Turn], *, opens_turn: bool) -> list[int]:
    messages = [{"role": turn.role, "content": turn.content} for turn in turns]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=opens_turn, tokenize=True, return_dict=False)
    return list(ids)


class Fitted(NamedTuple, Generic[LearntRow]):
    """Rows that may be trained on."""

    rows: list[LearntRow]
    dropped: int
    max_length: int
    """Longest row that was allowed, in tokens."""


def fit(rows: Sequence[LearntRow], *, max_length: int, context: int, keep: bool) -> Fitted[LearntRow]:
    """Leave out, or make room for, rows longer than `max_length`; none is cut.

    Args:
        rows: At least one row.
        max_length: Allowed tokens.
        context: Tokens the model can read at all.
        keep: Make room: `max_length` becomes the length of the longest row.

    Raises:
        InvalidInput: If no row is left, or a row that should be kept is longer than the model can read.
    """
    longest = max(row.longest for row in rows)
    if keep:
        if longest > context:
            raise InvalidInput(
                f"training: the longest row has {longest} tokens and long traces are to be kept, but the student model "
                f"reads {context} at most; drop long traces (longTraces: Drop) or take another model"
            )
        return Fitted(list(rows), 0, max(max_length, longest))
    limit = min(max_length, context)
    kept = [row for row in rows if row.longest <= limit]
    if not kept:
        shortest = min(row.longest for row in rows)
        raise InvalidInput(
            f"training: all {len(rows)} rows are longer than {limit} tokens (the shortest has {shortest}), so none is "
            "left; raise maxLengthTokens, keep long traces, or take a model that reads longer texts"
        )
    return Fitted(kept, len(rows) - len(kept), limit)


def order(rows: int, *, total: int, seed: int) -> list[int]:
    """Indices of the rows in the order of training: one fresh shuffle per pass, passes one after the other.

    It depends on nothing else, so any number of processes sees the same global batches.

    Args:
        rows: Number of rows, >= 1.
        total: Length of the result.
        seed: Of the shuffles.
    """
    draw = random.Random(seed)
    passes = (draw.sample(range(rows), rows) for _ in range(-(-total // rows)))
    return list(islice((index for shuffled in passes for index in shuffled), total))
