r"""Step labels from corrective points: what an agent said of its own solution, judged by what came of it.

A line that names a fault is good if the solution was wrong and the next one is right, and bad if the solution had been
right (a false alarm) or if nothing was mended (an idle check). Where it names a step ("step 2 is wrong") and the attempt
is labelled, it is good only if that step is the first wrong one. A line that finds the solution right is good if it was
and bad if it was not. Other lines claim nothing of the solution and get no label. The solution that follows a critique
is labelled like any other.
"""

import re
from collections.abc import Iterable, Sequence

from agentark.reward.labels.discussions import Candidate
from agentark.tasks.critiques import CHECK_WORDS, MEND_WORDS, names_fault

_SOUND = re.compile(
    r"\b(?:right|correct(?:ly)?|accurate|sound|valid|agree|verified|checks? out|(?:no|without) (?:\w+ )?"
    r"(?:mistakes?|errors?|faults?)|nothing (?:is )?wrong|not wrong)\b",
    re.I,
)
_NAMED_STEP = re.compile(r"\bstep\s+(\d{1,3})\b", re.I)


def corrective(texts: Iterable[Candidate], agreed: Iterable[Sequence[float | None]]) -> list[list[float | None]]:
    """Label the critique lines of texts that hold an attempt, a critique and the next solution.

    Args:
        texts: Plain solutions get no label here.
        agreed: Labels of the same texts by agreement, which say what the first wrong step of an attempt is.

    Returns:
        Per text and step 1.0, 0.0 or None.
    """
    return [_labels(text, labels) for text, labels in zip(texts, agreed, strict=True)]


def _labels(text: Candidate, agreed: Sequence[float | None]) -> list[float | None]:
    return [
        _of_line(text, text.words(step), agreed) if text.critique_end and text.part(step) == 1 else None
        for step in text.steps
    ]


def _of_line(text: Candidate, line: str, agreed: Sequence[float | None]) -> float | None:
    if text.attempt_correct is None or text.correct is None:
        return None
    if line in (CHECK_WORDS, MEND_WORDS):
        return None
    if not names_fault(line):
        return float(text.attempt_correct) if _SOUND.search(line) else None
    mended = text.correct and not text.attempt_correct
    named = _NAMED_STEP.search(line)
    first_wrong = _first_wrong(text, agreed)
    if mended and named and first_wrong is not None:
        return float(int(named[1]) == first_wrong + 1)
    return float(mended)


def _first_wrong(text: Candidate, agreed: Sequence[float | None]) -> int | None:
    attempt = [label for step, label in zip(text.steps, agreed, strict=True) if text.part(step) == 0]
    return next((index for index, label in enumerate(attempt) if label == 0.0), None)
