"""Figures of a reward model, against plain counts."""

import math
import random

import numpy as np
import pytest

from agentark.reward.metrics import (
    ScoredSolution,
    auroc,
    best_of_n,
    expected_calibration_error,
    first_errors,
    fit_calibration,
    fit_threshold,
    measure,
)


def test_auroc_counts_pairs() -> None:
    rng = random.Random(0)
    scores = [rng.choice((0.1, 0.2, 0.3, 0.4)) for _ in range(60)]
    right = [rng.random() < score + 0.2 for score in scores]
    pairs = [
        (a, b)
        for a, is_a in zip(scores, right, strict=True)
        if is_a
        for b, is_b in zip(scores, right, strict=True)
        if not is_b
    ]
    expected = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs) / len(pairs)
    assert auroc(scores, right) == pytest.approx(expected)
    assert auroc([0.1, 0.2], [True, True]) is None


def test_the_threshold_is_the_best_cut() -> None:
    rng = random.Random(1)
    scores = [rng.random() for _ in range(40)]
    labels = [float(rng.random() < score) for score in scores]
    cut = fit_threshold(scores, labels)
    hits = sum((score >= cut) == (label > 0.5) for score, label in zip(scores, labels, strict=True))
    best = max(
        sum((score >= other) == (label > 0.5) for score, label in zip(scores, labels, strict=True))
        for other in [0.0, *scores, 1.1]
    )
    assert hits == best
    assert fit_threshold([0.2, 0.4], [0.0, 0.0]) > 0.4
    assert fit_threshold([0.2, 0.4], [1.0, 1.0]) <= 0.2


def test_calibration_finds_the_temperature_that_made_the_scores() -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 2, 20_000)
    labels = (rng.random(20_000) < 1 / (1 + np.exp(-(0.5 * logits + 0.7)))).astype(float)
    scores = 1 / (1 + np.exp(-logits))
    scale, offset = fit_calibration(scores, labels)
    assert scale == pytest.approx(0.5, abs=0.05)
    assert offset == pytest.approx(0.7, abs=0.06)
    calibrated = 1 / (1 + np.exp(-(scale * logits + offset)))
    assert expected_calibration_error(calibrated, labels) < 0.02 < expected_calibration_error(scores, labels)


def test_separable_scores_keep_calibration_finite() -> None:
    scale, offset = fit_calibration([0.1, 0.2, 0.8, 0.9], [0.0, 0.0, 1.0, 1.0])
    assert math.isfinite(scale) and math.isfinite(offset) and scale > 0


def test_first_errors_are_found_or_not() -> None:
    def made(scores: tuple[float, ...], labels: tuple[float | None, ...]) -> ScoredSolution:
        return ScoredSolution("q", scores, labels)

    solutions = [
        made((0.9, 0.2, 0.1), (1.0, 0.0, 0.0)),
        made((0.3, 0.2, 0.1), (1.0, 0.0, 0.0)),
        made((0.9, 0.9, 0.9), (1.0, 0.0, 0.0)),
        made((0.1, 0.1), (1.0, None)),
    ]
    assert first_errors(solutions, 0.5) == [True, False, False]


def test_choosing_one_of_several() -> None:
    solutions = [
        ScoredSolution("a", (0.9, 0.8), (None, None), True, "4"),
        ScoredSolution("a", (0.99, 0.1), (None, None), False, "5"),
        ScoredSolution("a", (0.5,), (None,), False, "5"),
        ScoredSolution("b", (0.2,), (None,), True, "7"),
        ScoredSolution("b", (0.2,), (None,), False, "8"),
    ]
    found = best_of_n(solutions)
    assert found is not None
    assert (found.questions, found.solutions) == (2, 2.5)
    assert found.prm == pytest.approx((1 + 0.5) / 2)
    assert found.random == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert found.majority == pytest.approx((0 + 0.5) / 2)
    assert found.oracle == 1.0
    assert best_of_n([ScoredSolution("a", (0.5,), (1.0,))]) is None


def test_thresholds_are_fitted_on_other_questions_than_they_are_measured_on() -> None:
    fitting = [ScoredSolution("a", (0.6, 0.4), (1.0, 0.0), True, "1")]
    rest = [ScoredSolution("b", (0.3, 0.2), (1.0, 0.0), True, "1")]
    found = measure([*fitting, *rest])
    assert found is not None
    assert found.calibration.threshold == pytest.approx(0.5)
    assert (found.steps, found.accuracy, found.auroc) == (2, 0.5, 1.0)
    assert measure(fitting) is None
