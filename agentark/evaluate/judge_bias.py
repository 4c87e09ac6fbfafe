"""What a judge's scores are worth: means per subject, agreement of repeats, and the judge's habits.

A score may follow the length of a solution, its place in the list, or the judge's liking for its own texts instead of
the quality. Each of these is measured and reported beside the scores; none is corrected for.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from agentark.evaluate.judging import HIGHEST, LOWEST, QUALITIES, Judged, Verdict
from agentark.statistics import Interval, paired_bootstrap


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over questions."""

    value: float
    interval: Interval
    """95 % bootstrap interval, questions being the independent units."""
    questions: int


@dataclass(frozen=True, slots=True)
class JudgeReport:
    """A judge's scores and its habits."""

    judge: str
    repeats: int
    requests: int
    unparsed: int
    means: dict[str, dict[str, Mean]]
    """Subject -> quality (or "all") -> mean score, 1 to 5."""
    alpha: dict[str, float | None]
    """Quality -> Krippendorff's ordinal alpha between repeats: 1 agreement, 0 chance; None where nothing varies."""
    length: dict[str, float | None]
    """Subject -> Spearman's correlation of a solution's length with its mean score, over questions."""
    length_within: float | None
    """Share of pairs of solutions of one question in which the longer one scored higher, ties as half: 0.5 no bias."""
    position: Mean | None
    """Mean score of a solution in first place minus in last place, the same solution; None with one subject."""
    own: Mean | None
    """Mean score of the judge's own solutions minus the mean of the others', same questions. Not bias alone: its
    solutions may be better, so compare with another judge."""

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""

        def plain(value: Any) -> Any:
            if isinstance(value, Interval):
                return value._asdict()
            if isinstance(value, dict):
                return {key: plain(item) for key, item in value.items()}
            return value

        document: dict[str, Any] = plain(asdict(self))
        return document


def report(judged: Judged, *, judges_own: str = "") -> JudgeReport:
    """Summarise a judge's verdicts.

    Args:
        judged: What it said; at least one reply could be read.
        judges_own: The subject whose solutions the judging model itself wrote; empty for none.
    """
    by_subject: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in judged.verdicts:
        by_subject[verdict.subject].append(verdict)
    means = {}
    for subject, verdicts in by_subject.items():
        means[subject] = {quality: _mean(_per_question(verdicts, quality).values()) for quality in (*QUALITIES, "all")}
    return JudgeReport(
        judge=judged.judge,
        repeats=judged.repeats,
        requests=judged.requests,
        unparsed=judged.unparsed,
        means=means,
        alpha={quality: krippendorff_alpha(_ratings(judged.verdicts, quality)) for quality in QUALITIES},
        length={subject: _length_correlation(verdicts) for subject, verdicts in by_subject.items()},
        length_within=_longer_wins(judged.verdicts),
        position=_position(judged.verdicts),
        own=_own(by_subject, judges_own),
    )


def krippendorff_alpha(units: Iterable[Sequence[int]]) -> float | None:
    """Compute Krippendorff's alpha for ordinal values (Krippendorff 2011, "Computing Krippendorff's alpha").

    Args:
        units: The values that each thing was given, in any order; things with fewer than two values have no say.

    Returns:
        ``1 - observed / expected disagreement``; None where no two values can be compared or all are the same.
    """
    rated = [unit for unit in units if len(unit) > 1]
    values = sorted({value for unit in rated for value in unit})
    pairs: dict[tuple[int, int], float] = defaultdict(float)
    for unit in rated:
        for i, first in enumerate(unit):
            for j, second in enumerate(unit):
                if i != j:
                    pairs[first, second] += 1 / (len(unit) - 1)
    total = {value: math.fsum(pairs[value, other] for other in values) for value in values}
    n = math.fsum(total.values())

    def distance(first: int, second: int) -> float:
        low, high = min(first, second), max(first, second)
        between = math.fsum(total[value] for value in values if low <= value <= high)
        return (between - (total[low] + total[high]) / 2) ** 2

    observed = math.fsum(count * distance(*pair) for pair, count in list(pairs.items()))
    expected = math.fsum(total[a] * total[b] * distance(a, b) for a in values for b in values if a != b)
    return None if not expected else 1 - (n - 1) * observed / expected


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Compute the correlation of ranks, ties sharing their mean rank; None where one side does not vary."""
    a, b = _ranks(first), _ranks(second)
    mean = (len(a) + 1) / 2
    covariance = math.fsum((x - mean) * (y - mean) for x, y in zip(a, b, strict=True))
    spread = math.fsum((x - mean) ** 2 for x in a) * math.fsum((y - mean) ** 2 for y in b)
    return covariance / math.sqrt(spread) if spread else None


def render_judgement(judgement: JudgeReport) -> str:
    """Lay a report out for a terminal."""
    lines = ["".ljust(28) + "".join(subject.rjust(24) for subject in judgement.means) + "alpha".rjust(8)]
    for quality in (*QUALITIES, "all"):
        cells = (_cell(judgement.means[subject][quality]).rjust(24) for subject in judgement.means)
        alpha = judgement.alpha.get(quality)
        lines.append(quality.ljust(28) + "".join(cells) + ("-" if alpha is None else f"{alpha:.2f}").rjust(8))
    lines += [
        "",
        f"Scores from {LOWEST} to {HIGHEST} by {judgement.judge}, 95 % intervals over questions; "
        f"{judgement.repeats} repeats, {judgement.unparsed} of {judgement.requests} replies unreadable.",
        "alpha: agreement of the repeats (Krippendorff, ordinal); 1 is perfect, 0 is chance.",
    ]
    for subject, value in judgement.length.items():
        if value is not None:
            lines.append(f"length: correlation of length and score within {subject}: {value:+.2f}")
    if judgement.length_within is not None:
        lines.append(
            f"length: of two solutions of a question the longer one wins {100 * judgement.length_within:.0f} %"
        )
    if judgement.position is not None:
        lines.append(f"position: first place scores {_cell(judgement.position, sign='+')} above last place")
    if judgement.own is not None:
        lines.append(f"own texts: score {_cell(judgement.own, sign='+')} above the others'; try another judge, too")
    return "\n".join(lines) + "\n"


def _cell(mean: Mean, sign: str = "") -> str:
    low, high = mean.interval
    return f"{mean.value:{sign}.2f} [{low:{sign}.2f} {high:{sign}.2f}]"


def _score(verdict: Verdict, quality: str) -> float:
    if quality == "all":
        return fmean(verdict.scores.values())
    return next(float(score) for name, score in verdict.scores.items() if name == quality)


def _per_question(verdicts: Iterable[Verdict], quality: str = "all") -> dict[str, float]:
    by_question: dict[str, list[float]] = defaultdict(list)
    for verdict in verdicts:
        by_question[verdict.question_id].append(_score(verdict, quality))
    return {question: fmean(values) for question, values in by_question.items()}


def _mean(values: Iterable[float]) -> Mean:
    each = list(values)
    return Mean(fmean(each), paired_bootstrap(each, [0.0] * len(each)), len(each))


def _ratings(verdicts: Iterable[Verdict], quality: str) -> list[list[int]]:
    ratings: dict[tuple[str, str], list[int]] = defaultdict(list)
    for verdict in verdicts:
        ratings[verdict.question_id, verdict.subject].append(int(_score(verdict, quality)))
    return list(ratings.values())


def _length_correlation(verdicts: Sequence[Verdict]) -> float | None:
    scores = _per_question(verdicts)
    lengths = {verdict.question_id: float(verdict.length) for verdict in verdicts}
    return spearman([lengths[question] for question in scores], list(scores.values()))


def _longer_wins(verdicts: Iterable[Verdict]) -> float | None:
    replies: dict[tuple[str, int], list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        replies[verdict.question_id, verdict.repeat].append(verdict)
    wins = []
    for shown in replies.values():
        for longer in shown:
            for shorter in shown:
                if longer.length > shorter.length:
                    gap = _score(longer, "all") - _score(shorter, "all")
                    wins.append(0.5 if gap == 0 else float(gap > 0))
    return fmean(wins) if wins else None


def _position(verdicts: Iterable[Verdict]) -> Mean | None:
    """First place minus last place of one and the same solution, so that who stands where does not matter."""
    places: dict[tuple[str, str], tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for verdict in verdicts:
        if verdict.shown > 1 and verdict.position in (0, verdict.shown - 1):
            places[verdict.question_id, verdict.subject][verdict.position != 0].append(_score(verdict, "all"))
    gaps: dict[str, list[float]] = defaultdict(list)
    for (question, _), (first, last) in places.items():
        if first and last:
            gaps[question].append(fmean(first) - fmean(last))
    return _mean(fmean(values) for values in gaps.values()) if gaps else None


def _own(by_subject: Mapping[str, Sequence[Verdict]], judges_own: str) -> Mean | None:
    own = _per_question(by_subject.get(judges_own, ()))
    others = _per_question(
        verdict for subject, judged in by_subject.items() if subject != judges_own for verdict in judged
    )
    shared = sorted(own.keys() & others.keys())
    return _mean(own[question] - others[question] for question in shared) if shared else None


def _ranks(values: Sequence[float]) -> list[float]:
    ordered = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    while start < len(ordered):
        end = start
        while end < len(ordered) and values[ordered[end]] == values[ordered[start]]:
            end += 1
        for index in ordered[start:end]:
            ranks[index] = (start + end + 1) / 2
        start = end
    return ranks
