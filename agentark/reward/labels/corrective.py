r"""Step labels from corrective points: what an agent said of its own solution, judged by what came of it.

- A line that names a fault in a right solution is a false alarm: bad.
- A line that names a fault in a wrong solution is good if the next solution is right. Where it names a step ("step 2 is
  wrong"), that must be the first one that agreement with verified traces calls wrong; another step makes it bad, and
  where agreement does not know the named step, nothing is known of the line either.
- If the next solution is no better the check was idle: bad, except where it named the right step, which is no fault of
  the line. It is not rewarded either, and has no label.
- A line that finds the solution right is good if it was and bad if it was not.
- Other lines claim nothing of the solution and get no label; the solution that follows is labelled like any other.
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
_OWN_NUMBER = re.compile(r"[\s#*>-]{0,8}(?:step\s{1,2})?(\d{1,3})[.):]", re.I)


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
    if text.attempt_correct is None or text.correct is None or line in (CHECK_WORDS, MEND_WORDS):
        return None
    if not names_fault(line):
        return float(text.attempt_correct) if _SOUND.search(line) else None
    if text.attempt_correct:
        return 0.0
    named = _NAMED_STEP.search(line)
    if not named:
        return float(text.correct)
    found = _is_first_wrong(text, int(named[1]), agreed)
    if found and not text.correct:
        return None
    return None if found is None else float(found)


def _is_first_wrong(text: Candidate, number: int, agreed: Sequence[float | None]) -> bool | None:
    """Whether the step of an attempt with this number is its first wrong one; None where that is not known."""
    attempt = [step for step in text.steps if text.part(step) == 0]
    numbers = [_OWN_NUMBER.match(text.words(step)) for step in attempt]
    written = {int(found[1]): index for index, found in reversed(list(enumerate(numbers))) if found}
    place = written.get(number, number - 1)
    if not 0 <= place < len(attempt):
        return False  # There is no such step.
    first = next((index for index, label in enumerate(agreed[: len(attempt)]) if label == 0.0), None)
    if first is not None and place >= first:
        return place == first
    return False if agreed[place] == 1.0 else None
