"""How well scores tell right steps from wrong ones, and right solutions from wrong ones; numpy only."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class ScoredSolution:
    """A solution with the scores of its steps and what is known about them."""

    question: str
    scores: tuple[float, ...]
    """Per step, in (0, 1); may be empty."""
    labels: tuple[float | None, ...]
    """Per step, in [0, 1] or None."""
    correct: bool | None = None
    answer: str = ""
    """Its final answer, for the majority vote; empty for none."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """From a score to a probability, and the score from which a step counts as right."""

    scale: float = 1.0
    """Inverse temperature: factor of the score's logit."""
    offset: float = 0.0
    threshold: float = 0.5

    def probability(self, score: float) -> float:
        """The calibrated probability that a step with this score is right."""
        return float(_sigmoid(self.scale * _logit(np.array([score])) + self.offset)[0])


@dataclass(frozen=True, slots=True)
class Metrics:
    """Held-out figures: threshold and calibration are fitted on one half of the questions, the rest is the other's."""

    steps: int
    """Labelled steps in the measured half."""
    base_rate: float
    """Share of right ones among them."""
    auroc: float | None
    """Probability that a right step scores above a wrong one; None where all are alike."""
    accuracy: float
    """Share of steps on the right side of the fitted threshold."""
    ece: float
    """Expected calibration error of the raw score, 10 bins of equal width."""
    ece_calibrated: float
    """The same after calibration."""
    first_errors: int
    """Solutions with a wrong step."""
    first_error_found: float | None
    """Share of them in which the first step below the threshold is the first wrong one."""
    best_of_n: "BestOfN | None"
    calibration: Calibration

    def as_json(self) -> dict[str, Any]:
        """The figures as they are written."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class BestOfN:
    """Choosing one of the solutions of a question, over questions that have both right and wrong ones or not."""

    questions: int
    solutions: float
    """Mean number per question."""
    prm: float
    """Accuracy of the solution whose weakest step scores highest."""
    random: float
    majority: float | None
    """Of the most frequent answer; None where answers are not known."""
    oracle: float


def measure(solutions: Sequence[ScoredSolution]) -> Metrics | None:
    """Fit threshold and calibration on one half of the questions, measure on the other.

    Questions are split by their order of appearance, every second one.

    Returns:
        None where either half holds no labelled step.
    """
    names = list(dict.fromkeys(one.question for one in solutions))
    fitting = set(names[::2])
    fit = [one for one in solutions if one.question in fitting]
    rest = [one for one in solutions if one.question not in fitting]
    fit_scores, fit_labels = _labelled(fit)
    scores, labels = _labelled(rest)
    if not len(fit_scores) or not len(scores):
        return None
    scale, offset = fit_calibration(fit_scores, fit_labels)
    calibration = Calibration(scale, offset, fit_threshold(fit_scores, fit_labels))
    right = labels > 0.5
    probabilities = _sigmoid(scale * _logit(scores) + offset)
    found = first_errors(rest, calibration.threshold)
    return Metrics(
        steps=len(scores),
        base_rate=float(right.mean()),
        auroc=auroc(scores, right),
        accuracy=float(((scores >= calibration.threshold) == right).mean()),
        ece=expected_calibration_error(scores, labels),
        ece_calibrated=expected_calibration_error(probabilities, labels),
        first_errors=len(found),
        first_error_found=sum(found) / len(found) if found else None,
        best_of_n=best_of_n(rest),
        calibration=calibration,
    )


def auroc(scores: ArrayLike, right: ArrayLike) -> float | None:
    """Area under the ROC curve: P(score of a right one > of a wrong one) + half of ties; None where all are alike."""
    values, truth = np.asarray(scores, dtype=float), np.asarray(right, dtype=bool)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        return None
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[places]
    return float((ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def fit_threshold(scores: ArrayLike, labels: ArrayLike) -> float:
    """The score from which "right" gives most hits; midway between neighbouring scores."""
    values = np.asarray(scores, dtype=float)
    order = np.argsort(values, kind="stable")
    ordered, right = values[order], (np.asarray(labels, dtype=float) > 0.5)[order]
    # hits[k]: the first k are called wrong, the others right.
    hits = np.concatenate([[0], np.cumsum(~right)]) + np.concatenate([np.cumsum(right[::-1])[::-1], [0]])
    possible = np.concatenate([[True], ordered[1:] > ordered[:-1], [True]])
    cut = int(np.argmax(np.where(possible, hits, -1)))
    if cut == 0:
        return float(ordered[0])
    if cut == len(ordered):
        return float(np.nextafter(ordered[-1], np.inf))
    return float((ordered[cut - 1] + ordered[cut]) / 2)


def fit_calibration(scores: ArrayLike, labels: ArrayLike) -> tuple[float, float]:
    """Temperature scaling with an offset (Platt): scale and offset of the logit by maximum likelihood.

    A small penalty keeps both finite where scores separate the labels completely.
    """
    x = _logit(np.asarray(scores, dtype=float))
    y = np.asarray(labels, dtype=float)
    design = np.stack([x, np.ones_like(x)], axis=1)
    theta = np.array([1.0, 0.0])
    penalty = 1e-3 * np.eye(2)
    for _ in range(50):
        p = _sigmoid(design @ theta)
        gradient = design.T @ (p - y) / len(y) + penalty @ (theta - [1.0, 0.0])
        curvature = (design * (p * (1 - p))[:, None]).T @ design / len(y) + penalty
        step = np.linalg.solve(curvature, gradient)
        theta = theta - step * min(1.0, 10.0 / max(1e-12, float(np.abs(step).max())))
        if np.abs(step).max() < 1e-9:
            break
    return float(theta[0]), float(theta[1])


def expected_calibration_error(probabilities: ArrayLike, labels: ArrayLike, bins: int = 10) -> float:
    """Mean distance of stated probability and observed share over bins of equal width, weighted by their size."""
    p, y = np.asarray(probabilities, dtype=float), np.asarray(labels, dtype=float)
    place = np.minimum((p * bins).astype(int), bins - 1)
    gaps = [abs(p[place == k].mean() - y[place == k].mean()) * (place == k).sum() for k in np.unique(place)]
    return float(sum(gaps) / len(p)) if len(p) else 0.0


def first_errors(solutions: Iterable[ScoredSolution], threshold: float) -> list[bool]:
    """Per solution with a wrong step: is the first step that scores below the threshold the first wrong one?"""
    found = []
    for one in solutions:
        wrong = next((index for index, label in enumerate(one.labels) if label is not None and label <= 0.5), None)
        if wrong is not None:
            called = next((index for index, score in enumerate(one.scores) if score < threshold), None)
            found.append(called == wrong)
    return found


def best_of_n(solutions: Iterable[ScoredSolution]) -> BestOfN | None:
    """Compare ways to choose one solution per question; None where no question has a graded solution.

    The PRM chooses by the weakest step; ties and draws of the majority share the credit evenly.
    """
    graded = [one for one in solutions if one.correct is not None]
    groups = [
        list(group) for _, group in groupby(sorted(graded, key=lambda one: one.question), lambda one: one.question)
    ]
    if not groups:
        return None
    known = all(one.answer for one in graded if one.correct)
    return BestOfN(
        questions=len(groups),
        solutions=len(graded) / len(groups),
        prm=_mean(_credit(group, [min(one.scores, default=0.0) for one in group]) for group in groups),
        random=_mean(_credit(group, [0.0] * len(group)) for group in groups),
        majority=_mean(_credit(group, _votes(group)) for group in groups) if known else None,
        oracle=_mean(float(any(one.correct for one in group)) for group in groups),
    )


def _credit(group: Sequence[ScoredSolution], preference: Sequence[float]) -> float:
    best = max(preference)
    chosen = [bool(one.correct) for one, value in zip(group, preference, strict=True) if value == best]
    return sum(chosen) / len(chosen)


def _votes(group: Sequence[ScoredSolution]) -> list[float]:
    # All right answers are one answer, however they are written.
    names = ["\0right" if one.correct else one.answer for one in group]
    return [float(names.count(name)) if name else 0.0 for name in names]


def _labelled(solutions: Iterable[ScoredSolution]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    pairs = [
        (score, label)
        for one in solutions
        for score, label in zip(one.scores, one.labels, strict=True)
        if label is not None
    ]
    values = np.array(pairs, dtype=float).reshape(-1, 2)
    return values[:, 0], values[:, 1]


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _logit(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped: NDArray[np.float64] = np.clip(scores, 1e-7, 1 - 1e-7)
    return np.log(clipped) - np.log1p(-clipped)


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-np.clip(values, -60, 60)))
