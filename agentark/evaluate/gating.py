"""Whether a student takes the place of the one before it."""

from collections.abc import Sequence
from dataclasses import dataclass

from agentark.errors import InvalidInput
from agentark.statistics import mcnemar_exact


@dataclass(frozen=True, slots=True)
class Verdict:
    """Two students on the same questions."""

    questions: int
    before: float
    """Accuracy of the earlier one, 0 to 1."""
    after: float
    """Accuracy of the later one."""
    lost: int
    """Questions that only the earlier one answers right."""
    gained: int
    """Questions that only the later one answers right."""
    p: float
    """How often two equally good students would differ this much (McNemar's exact test, two-sided)."""
    accepted: bool
    """Whether the later one is at least as good. What differs by chance passes too: a gate keeps harm out, and the test
    suites say whether anything was gained."""


def decide(before: Sequence[bool], after: Sequence[bool]) -> Verdict:
    """Compare two students question by question.

    Args:
        before: Whether the earlier one answers each question right.
        after: The same of the later one.

    Raises:
        InvalidInput: There are no questions, or not as many of one as of the other.
    """
    if not before or len(before) != len(after):
        raise InvalidInput(f"a gate needs the same questions of both students; found {len(before)} and {len(after)}")
    lost = sum(was_right and not other for was_right, other in zip(before, after, strict=True))
    gained = sum(other and not was_right for was_right, other in zip(before, after, strict=True))
    return Verdict(
        questions=len(before),
        before=sum(before) / len(before),
        after=sum(after) / len(after),
        lost=lost,
        gained=gained,
        p=mcnemar_exact(lost, gained),
        accepted=gained >= lost,
    )
