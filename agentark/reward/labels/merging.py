"""Labels of several sources into training rows, and a report of what each gave and how far they agree."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from agentark.reward.labels.agreement import agreement
from agentark.reward.labels.corrective import corrective
from agentark.reward.labels.discussions import Candidate, Discussion, candidates
from agentark.reward.rows import LabelledStep, PRMRow, PromptMessage, Source
from agentark.reward.steps import SplitRule

Labels = Sequence[Sequence[float | None]]
"""Per text and step a label in [0, 1], or None."""

WEIGHTS: Mapping[Source, float] = {"Agreement": 1.0, "Corrective": 1.0, "MonteCarlo": 1.0, "Judge": 0.5}
"""How much a label of each source counts; a judge's is an opinion."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often two sources that both label a step say the same (both above 0.5, or both not)."""

    first: Source
    second: Source
    steps: int
    agreed: int


@dataclass(frozen=True, slots=True)
class LabelReport:
    """What step labelling did."""

    questions: int
    solutions: int
    steps: int
    labelled: dict[str, int]
    """Labels given, by source, before one was chosen per step."""
    used: dict[str, int]
    """Labels in the rows, by source."""
    good: int
    """Labels in the rows above 0.5."""
    agreements: tuple[Agreement, ...]

    def as_json(self) -> dict[str, Any]:
        """The report as it is written."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Labelled:
    """Rows and what was counted on the way."""

    rows: list[PRMRow]
    report: LabelReport


def label_discussions(
    discussions: Sequence[Discussion],
    *,
    rule: SplitRule,
    sources: Sequence[Source],
    further: Mapping[Source, Mapping[str, Labels]] | None = None,
) -> Labelled:
    """Make training rows of debates.

    Args:
        discussions: Debates with verified turns.
        rule: How their solutions are split.
        sources: In order of trust: a step takes the label of the first source that has one.
        further: Labels of sources that ask models (`MonteCarlo`, `Judge`): source -> id of the discussion -> labels of
            its `texts_of`, in their order.

    Returns:
        One row per text; texts without any label are left out.
    """
    count: Counter[str] = Counter()
    given: Counter[str] = Counter()
    used: Counter[str] = Counter()
    pairs: Counter[tuple[Source, Source]] = Counter()
    same: Counter[tuple[Source, Source]] = Counter()
    rows: list[PRMRow] = []
    for discussion in discussions:
        texts = texts_of(discussion, rule=rule, sources=sources)
        found = _by_source(discussion, texts, sources, further or {})
        for number, text in enumerate(texts):
            labels = {source: labels[number] for source, labels in found.items()}
            given.update(source for source, one in labels.items() for label in one if label is not None)
            _compare(labels, pairs, same)
            row = _row(text, labels)
            count.update(solutions=1, steps=len(text.steps))
            if any(step.label is not None for step in row.steps):
                rows.append(row)
                used.update(step.source for step in row.steps if step.label is not None)
                count["good"] += sum(step.label is not None and step.label > 0.5 for step in row.steps)
    report = LabelReport(
        questions=len(discussions),
        solutions=count["solutions"],
        steps=count["steps"],
        labelled=dict(given),
        used=dict(used),
        good=count["good"],
        agreements=tuple(Agreement(*pair, steps=pairs[pair], agreed=same[pair]) for pair in sorted(pairs)),
    )
    return Labelled(rows, report)


def texts_of(discussion: Discussion, *, rule: SplitRule, sources: Sequence[Source]) -> list[Candidate]:
    """The texts of a discussion that get labels; critiques are among them where corrective points are a source."""
    return candidates(discussion, rule=rule, corrections="Corrective" in sources)


def _by_source(
    discussion: Discussion,
    texts: Sequence[Candidate],
    sources: Sequence[Source],
    further: Mapping[Source, Mapping[str, Labels]],
) -> dict[Source, Labels]:
    agreed = agreement(discussion, texts)
    found: dict[Source, Labels] = {}
    for source in sources:
        if source == "Agreement":
            found[source] = agreed
        elif source == "Corrective":
            found[source] = corrective(texts, agreed)
        else:
            found[source] = further[source][discussion.id]
    return found


def _compare(
    labels: Mapping[Source, Sequence[float | None]],
    pairs: Counter[tuple[Source, Source]],
    same: Counter[tuple[Source, Source]],
) -> None:
    for first, second in combinations(sorted(labels), 2):
        for one, other in zip(labels[first], labels[second], strict=True):
            if one is not None and other is not None:
                pairs[first, second] += 1
                same[first, second] += (one > 0.5) == (other > 0.5)


def _row(text: Candidate, labels: Mapping[Source, Sequence[float | None]]) -> PRMRow:
    steps = []
    for index, step in enumerate(text.steps):
        source: Source = next((source for source, one in labels.items() if one[index] is not None), "")
        label = labels[source][index] if source else None
        steps.append(
            LabelledStep(start=step.start, end=step.end, label=label, weight=WEIGHTS.get(source, 0.0), source=source)
        )
    return PRMRow(
        question=text.question,
        prompt=tuple(PromptMessage(role=message.role, content=message.content) for message in text.prompt),
        solution=text.text,
        rule=text.rule,
        steps=tuple(steps),
        correct=text.correct,
        answer=text.answer,
        held_out=text.held_out,
    )
