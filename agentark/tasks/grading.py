"""The one grader: extraction and comparison for labels, rewards and evaluation alike."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from agentark.errors import InvalidInput
from agentark.tasks.comparing import equal
from agentark.tasks.extraction import extract, reference
from agentark.tasks.normalising import MAX_ANSWER, unwrap, words
from agentark.tasks.policy import Policy
from agentark.tasks.reading import parse_row

_WORD: Final = re.compile(r"[^\W\d_]{3,}")
_MATHS: Final = re.compile(r"[\d<>=^\\(){}\[\]+*/%$]")


class Grade(NamedTuple):
    """What was found in a prediction, and whether it is right."""

    answer: str | None
    correct: bool


def grade(prediction: str, gold: str, policy: Policy) -> Grade:
    """Extract the final answer of a text and compare it with the gold answer.

    Args:
        prediction: A model's whole reply, or an answer alone.
        gold: The gold answer, or a worked solution that marks it (`#### 18`).
        policy: What counts as equal.
    """
    target = reference(gold, policy)
    answer = extract(prediction, policy)
    if answer is not None and equal(answer, target, policy):
        return Grade(answer, True)
    if policy.kind != "choice" and len(prediction) <= MAX_ANSWER and _is_word_for_word(prediction, gold):
        # A reply that is the gold answer word for word needs no marker.
        return Grade(prediction.strip(), True)
    return Grade(answer, False)


def _is_word_for_word(prediction: str, gold: str) -> bool:
    """Whether two texts say the same in the same words; signs that are no words must be the same as well."""
    if unwrap(prediction) == unwrap(gold):
        return _WORD.search(gold) is not None
    both = prediction + gold
    return not _MATHS.search(both) and words(prediction) == words(gold) != ""


def grade_rows(lines: Iterable[bytes], policy: Policy, *, source: str = "rows") -> Iterator[dict[str, object]]:
    """Grade JSON lines `{"prediction": text, "gold": text}` one by one.

    Args:
        lines: One JSON object a line; blank lines are skipped.
        policy: What counts as equal.
        source: Name of the input for messages.

    Yields:
        The row with all its columns, plus `answer` (text or None) and `correct`.

    Raises:
        InvalidInput: If a line is no object, or lacks one of the two columns.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{source}:{number}"
        row = parse_row(line, where, first=number == 1)
        prediction, gold = (_column(row, name, where) for name in ("prediction", "gold"))
        result = grade(prediction, gold, policy)
        yield {**row, "answer": result.answer, "correct": result.correct}


def _column(row: Mapping[str, object], name: str, where: str) -> str:
    value = row.get(name)
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return json.dumps(value)
    have = f"found {value!r:.60}" if name in row else f"the row has {', '.join(map(repr, row)) or 'no columns'}"
    raise InvalidInput(f"{where}: {name!r} must be a text or a number; {have}")
