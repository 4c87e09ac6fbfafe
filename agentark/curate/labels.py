"""Labels without gold answers: what the agents of a debate agree on, and how often that turns out right.

A question's label is the answer that most agents ended with, if their share of the team reaches a threshold. Gold
answers, where a data set has them, are read here only to measure labels that were found without them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from agentark.debate.protocol import vote
from agentark.debate.transcript import Record
from agentark.statistics import Interval, wilson
from agentark.tasks import Policy, equal, reference


class Leading(NamedTuple):
    """The answer that most agents of a debate ended with."""

    answer: str
    """Empty if no agent gave a complete answer, or two answers have equally many votes."""
    share: float
    """Part of the team that gave it, 0 to 1; agents that were cut off or gave no answer agree with nobody."""

    def label(self, threshold: float) -> str:
        """The answer if its share reaches the threshold, else an empty text."""
        return self.answer if self.share >= threshold else ""


def leading(record: Record, policy: Policy) -> Leading:
    """Find the answer that most agents gave in the last round that was held."""
    turns = record.last_turns()
    groups = vote(turns, policy)
    if not groups or (len(groups) > 1 and len(groups[0]) == len(groups[1])):
        return Leading("", 0.0)
    return Leading(groups[0][0].vote, len(groups[0]) / len(turns))


@dataclass(frozen=True, slots=True)
class LabelScore:
    """What labels at one threshold are worth."""

    threshold: float
    """Least share of the team that agrees."""
    questions: int
    """All questions that were debated."""
    labelled: int
    """Those with a label."""
    with_gold: int
    """Labelled ones whose gold answer the data set gives."""
    right: int
    """Those of them where label and gold answer are equal."""

    @property
    def coverage(self) -> float:
        """Part of the questions that get a label, 0 to 1."""
        return self.labelled / self.questions

    @property
    def precision(self) -> float | None:
        """Part of the labels that are right, 0 to 1; None where no gold answer is known."""
        return self.right / self.with_gold if self.with_gold else None

    @property
    def interval(self) -> Interval | None:
        """Wilson's 95 % interval of the precision."""
        return wilson(self.right, self.with_gold) if self.with_gold else None

    def as_json(self) -> dict[str, Any]:
        """Return the score as JSON values."""
        interval = self.interval
        return {
            "threshold": self.threshold,
            "questions": self.questions,
            "labelled": self.labelled,
            "coverage": self.coverage,
            "with_gold": self.with_gold,
            "right": self.right,
            "precision": self.precision,
            "interval": interval._asdict() if interval else None,
        }


class _Labelled(NamedTuple):
    share: float
    right: bool | None


@dataclass(slots=True)
class LabelTally:
    """Measures the labels of a data set at every threshold that makes a difference."""

    policy: Policy
    _questions: int = 0
    _labels: list[_Labelled] = field(default_factory=list)

    def add(self, found: Leading, gold: str) -> None:
        """Count one question; `gold` is empty where the data set gives none."""
        self._questions += 1
        if found.answer:
            right = equal(found.answer, reference(gold, self.policy), self.policy) if gold.strip() else None
            self._labels.append(_Labelled(found.share, right))

    def scores(self, threshold: float) -> tuple[LabelScore, ...]:
        """Return a score for each share of agreement that occurred and for `threshold`, in ascending order."""
        if not self._questions:
            return ()
        thresholds = sorted({threshold, *(label.share for label in self._labels)})
        return tuple(self._score(least) for least in thresholds)

    def _score(self, threshold: float) -> LabelScore:
        taken = [label.right for label in self._labels if label.share >= threshold]
        known = [right for right in taken if right is not None]
        return LabelScore(threshold, self._questions, len(taken), len(known), sum(known))


def render_labels(scores: Sequence[LabelScore], chosen: float) -> str:
    """Lay label scores out as a Markdown table; the chosen threshold is bold."""
    lines = [
        "| agreement | labels | coverage | right, of those with gold | precision (95 %) |",
        "|---:|---:|---:|---:|---:|",
    ]
    for score in scores:
        agreement = f"{score.threshold:.0%}"
        precision, interval = score.precision, score.interval
        measured = "-"
        if precision is not None and interval is not None:
            measured = f"{precision:.1%} [{interval.low:.1%} {interval.high:.1%}]"
        cells = (
            f"**{agreement}**" if score.threshold == chosen else agreement,
            f"{score.labelled:,}",
            f"{score.coverage:.1%}",
            f"{score.right:,} of {score.with_gold:,}" if score.with_gold else "-",
            measured,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
