"""The one grader: extraction and comparison for labels, rewards and evaluation alike."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from agentark.errors import InvalidInput
from agentark.tasks.comparing import equal
from agentark.tasks.extraction import extract, reference
from agentark.tasks.normalising import MAX_ANSWER, words
from agentark.tasks.policy import Policy
from agentark.tasks.reading import parse_row


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
    if answer is None and policy.kind != "choice" and len(prediction) <= MAX_ANSWER:
        # A reply that is the gold answer word for word needs no marker.
        whole = words(prediction)
        return Grade(prediction.strip(), True) if whole and whole == words(target) else Grade(None, False)
    return Grade(answer, answer is not None and equal(answer, target, policy))


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
    found = row.get(name)
    if isinstance(found, str):
        return found
    if isinstance(found, int | float) and not isinstance(found, bool):
        return json.dumps(found)
    have = f"found {found!r:.60}" if name in row else f"the row has {', '.join(map(repr, row)) or 'no columns'}"
    raise InvalidInput(f"{where}: {name!r} must be a text or a number; {have}")
