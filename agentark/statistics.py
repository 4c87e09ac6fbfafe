"""Intervals and tests for accuracies measured on a few hundred to a few thousand questions.

Pure functions over counts and per-question scores: nothing here knows of models, records or files. Plain Python,
because evaluation must run where neither torch nor numpy is installed.
"""

import math
import random
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

from agentark.errors import InvalidInput


class Interval(NamedTuple):
    """A closed interval of accuracies (0..1) or of differences of accuracies (-1..1)."""

    low: float
    high: float


def wilson(correct: int, n: int, confidence: float = 0.95) -> Interval:
    """Compute Wilson's score interval of a proportion.

    Unlike the textbook ``p ± 1.96·sqrt(p(1-p)/n)`` it stays inside 0..1 and has a sensible width when nothing or
    everything is right.

    Args:
        correct: Number of right answers, 0..n.
        n: Number of questions, at least 1.
        confidence: Coverage, between 0 and 1 (exclusive).

    Raises:
        InvalidInput: If a count or the confidence is out of range.
    """
    if not 0 <= correct <= n or n < 1:
        raise InvalidInput(f"wilson: {correct=} and {n=} are no proportion: give 0 <= correct <= n and n >= 1")
    return _score_interval(correct / n, n, confidence)


def mean_interval(values: Sequence[float], *, samples: int = 1, confidence: float = 0.95) -> Interval:
    """Compute an interval of the mean of per-question scores, each between 0 and 1.

    Questions are the independent units, the answers to one question are not. So the spread of the questions' scores
    is turned into an effective number of answers, ``m = n·p(1-p)/s²``, which goes into Wilson's formula. For scores
    that are all 0 or 1, ``m = n`` and the result is Wilson's interval itself.

    Args:
        values: One score a question: the fraction of its sampled answers that are right.
        samples: Number of answers each score is the mean of; ``m`` is never taken above ``n·samples``, the number of
            answers there are.
        confidence: Coverage, between 0 and 1 (exclusive).

    Raises:
        InvalidInput: If there is no score, one lies outside 0..1, or ``samples`` is below 1.
    """
    if not values or samples < 1:
        raise InvalidInput(f"mean_interval: {len(values)} scores of {samples} samples: at least 1 of each is needed")
    if not all(0 <= value <= 1 for value in values):
        raise InvalidInput("mean_interval: every score must lie between 0 and 1")
    n = len(values)
    mean = math.fsum(values) / n
    variance = math.fsum((value - mean) ** 2 for value in values) / n
    ceiling = float(n * samples)
    # A variance of 0 would claim certainty; the number of answers bounds how much can be known.
    effective = ceiling if variance == 0 else min(ceiling, n * mean * (1 - mean) / variance)
    return _score_interval(mean, effective, confidence)


def ratio_interval(hits: Sequence[float], totals: Sequence[float], *, confidence: float = 0.95) -> Interval:
    """Compute an interval of ``sum(hits) / sum(totals)`` where what is counted comes in groups.

    The agents of one debate, or the steps of one answer, are not independent; the questions are. So the linearised
    variance of the ratio over the questions, ``sum((h - r·t)²) / sum(t)²``, is turned into an effective number of
    counts, at most the number there is, which goes into Wilson's formula.

    Args:
        hits: One number a question, 0 to its total.
        totals: What the hits are counted among, one number a question; questions with 0 have no say.
        confidence: Coverage, between 0 and 1 (exclusive).

    Raises:
        InvalidInput: If there is nothing to count among, or a number of hits is not between 0 and its total.
    """
    whole = math.fsum(totals)
    if len(hits) != len(totals) or whole <= 0 or not all(0 <= h <= t for h, t in zip(hits, totals, strict=True)):
        raise InvalidInput("ratio_interval: give as many hits as totals, each 0 to its total, and one total above 0")
    ratio = math.fsum(hits) / whole
    variance = math.fsum((h - ratio * t) ** 2 for h, t in zip(hits, totals, strict=True)) / whole**2
    effective = whole if variance == 0 else min(whole, ratio * (1 - ratio) / variance)
    return _score_interval(ratio, effective, confidence)


def mcnemar_exact(b: int, c: int) -> float:
    """Compute the two-sided p of McNemar's exact test.

    Under the null hypothesis each question that exactly one of the two subjects gets right is a fair coin, so
    ``p = min(1, 2·P[Binomial(b+c, 1/2) <= min(b, c)])``. Integers throughout: exact for any counts.

    Args:
        b: Questions only the first subject answers right, at least 0.
        c: Questions only the second subject answers right, at least 0.

    Returns:
        p between 0 and 1; 1 if the subjects never differ.

    Raises:
        InvalidInput: If a count is negative.
    """
    if b < 0 or c < 0:
        raise InvalidInput(f"mcnemar_exact: {b=} and {c=} are counts and cannot be negative")
    n = b + c
    term = total = 1
    for i in range(min(b, c)):
        term = term * (n - i) // (i + 1)
        total += term
    return min(1.0, 2 * total / (1 << n))


def paired_bootstrap(
    a: Sequence[float], b: Sequence[float], *, resamples: int = 2000, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """Compute a percentile interval of ``mean(a) - mean(b)`` by resampling questions in pairs.

    Args:
        a: Scores of the first subject, one a question.
        b: Scores of the second subject on the same questions in the same order.
        resamples: Number of resampled question sets, at least 1.
        seed: Seed of the resampling: equal arguments give equal intervals.
        confidence: Coverage, between 0 and 1 (exclusive).

    Raises:
        InvalidInput: If the subjects have different numbers of questions or none, or an argument is out of range.
    """
    if len(a) != len(b) or not a:
        raise InvalidInput(f"paired_bootstrap: {len(a)} and {len(b)} scores: both need the same questions, at least 1")
    if resamples < 1:
        raise InvalidInput(f"paired_bootstrap: {resamples=}: at least 1 is needed")
    tail = (1 - _checked(confidence)) / 2
    differences = [x - y for x, y in zip(a, b, strict=True)]
    n = len(differences)
    rng = random.Random(seed)
    means = sorted(sum(rng.choices(differences, k=n)) / n for _ in range(resamples))
    return Interval(_quantile(means, tail), _quantile(means, 1 - tail))


def _score_interval(p: float, n: float, confidence: float) -> Interval:
    z = NormalDist().inv_cdf((1 + _checked(confidence)) / 2)
    scale = 1 + z * z / n
    centre = (p + z * z / (2 * n)) / scale
    half = z / scale * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # Rounding must not leave 1e-17 where nothing is right, nor 1 - 1e-16 where all is.
    return Interval(0.0 if p == 0 else max(0.0, centre - half), 1.0 if p == 1 else min(1.0, centre + half))


def _checked(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise InvalidInput(f"{confidence=} must lie between 0 and 1, for example 0.95")
    return confidence


def _quantile(ordered: Sequence[float], q: float) -> float:
    position = q * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)
