"""Intervals and tests against enumeration, textbook values and simulation."""

import itertools
import math
import random
import time

import pytest

from agentark.errors import InvalidInput
from agentark.evaluate import mcnemar_exact, mean_interval, paired_bootstrap, wilson


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),  # Brown, Cai, DasGupta (2001): z²/(n+z²)
        (10, 10, 0.7225, 1.0),
        (8, 10, 0.4902, 0.9433),
        (81, 263, 0.2553, 0.3662),  # Newcombe (1998), method 3
        (15, 148, 0.0624, 0.1605),
        (1, 29, 0.0061, 0.1718),
        (0, 20, 0.0, 0.1611),
    ],
)
def test_wilson_gives_the_published_intervals(correct: int, n: int, low: float, high: float) -> None:
    interval = wilson(correct, n)
    assert interval.low == pytest.approx(low, abs=6e-5)
    assert interval.high == pytest.approx(high, abs=6e-5)


def test_wilson_solves_the_score_equation_at_both_ends() -> None:
    z = 1.959963984540054
    for n in (1, 7, 500):
        for correct in range(0, n + 1, max(1, n // 7)):
            for end in wilson(correct, n):
                spread = z * math.sqrt(end * (1 - end) / n)
                assert abs(correct / n - end) == pytest.approx(spread, abs=1e-9)


def test_wilson_is_symmetric_and_never_leaves_the_unit_interval() -> None:
    for n in (1, 2, 50, 4183):
        for correct in (0, 1, n // 2, n):
            interval, mirrored = wilson(correct, n), wilson(n - correct, n)
            assert 0 <= interval.low <= correct / n <= interval.high <= 1
            assert interval.low == pytest.approx(1 - mirrored.high)


@pytest.mark.parametrize(("correct", "n", "confidence"), [(1, 0, 0.95), (-1, 5, 0.95), (6, 5, 0.95), (1, 5, 1.0)])
def test_wilson_refuses_what_is_no_proportion(correct: int, n: int, confidence: float) -> None:
    with pytest.raises(InvalidInput):
        wilson(correct, n, confidence)


def test_mcnemar_equals_the_enumeration_of_all_outcomes() -> None:
    for n in range(1, 11):
        outcomes = [sum(coins) for coins in itertools.product((0, 1), repeat=n)]
        for b in range(n + 1):
            extreme = sum(abs(heads - n / 2) >= abs(b - n / 2) for heads in outcomes)
            assert mcnemar_exact(b, n - b) == pytest.approx(extreme / 2**n, abs=1e-15)


def test_mcnemar_knows_the_edges_and_does_not_overflow() -> None:
    assert mcnemar_exact(0, 0) == 1.0
    assert mcnemar_exact(0, 5) == mcnemar_exact(5, 0) == 0.0625
    assert mcnemar_exact(2500, 2500) == 1.0
    assert mcnemar_exact(0, 5000) == 0.0  # 2^-4999 is below the smallest float
    # Normal approximation with continuity correction, good at these counts.
    z = (abs(2600 - 2400) - 1) / math.sqrt(5000)
    assert mcnemar_exact(2400, 2600) == pytest.approx(math.erfc(z / math.sqrt(2)), rel=2e-3)
    with pytest.raises(InvalidInput):
        mcnemar_exact(-1, 3)


def test_bootstrap_equals_the_enumeration_of_all_resamples() -> None:
    a, b = [1.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.5, 0.0]
    differences = [x - y for x, y in zip(a, b, strict=True)]
    means = sorted(sum(draw) / 4 for draw in itertools.product(differences, repeat=4))
    interval = paired_bootstrap(a, b, resamples=40_000, seed=1)
    assert interval.low == pytest.approx(means[round(0.025 * 255)], abs=0.126)
    assert interval.high == pytest.approx(means[round(0.975 * 255)], abs=0.126)
    narrow = paired_bootstrap(a, b, resamples=40_000, seed=1, confidence=0.5)
    assert narrow == pytest.approx((means[64], means[191]), abs=1e-9)


def test_bootstrap_agrees_with_the_normal_interval_on_many_questions() -> None:
    rng = random.Random(3)
    a = [float(rng.random() < 0.8) for _ in range(2000)]
    b = [float(rng.random() < 0.6) for _ in range(2000)]
    differences = [x - y for x, y in zip(a, b, strict=True)]
    mean = sum(differences) / 2000
    half = 1.96 * math.sqrt(sum((d - mean) ** 2 for d in differences)) / 2000
    started = time.perf_counter()
    interval = paired_bootstrap(a, b, resamples=2000, seed=5)
    assert time.perf_counter() - started < 10  # about 0.3 s alone on a core; the bound is for a crowded machine
    assert interval == pytest.approx((mean - half, mean + half), abs=half / 8)
    assert interval == paired_bootstrap(a, b, resamples=2000, seed=5)
    assert interval != paired_bootstrap(a, b, resamples=2000, seed=6)


def test_bootstrap_of_equal_subjects_is_exactly_zero_and_sides_swap() -> None:
    a = [1.0, 0.0, 1.0]
    assert paired_bootstrap(a, a, seed=0) == (0.0, 0.0)
    low, high = paired_bootstrap([1.0] * 5 + [0.0] * 5, [0.0] * 10, seed=0)
    assert paired_bootstrap([0.0] * 10, [1.0] * 5 + [0.0] * 5, seed=0) == pytest.approx((-high, -low))
    with pytest.raises(InvalidInput, match="same questions"):
        paired_bootstrap([1.0], [1.0, 0.0], seed=0)


def test_mean_interval_is_wilson_for_zeros_and_ones() -> None:
    values = [1.0] * 37 + [0.0] * 13
    assert mean_interval(values) == pytest.approx(wilson(37, 50))
    assert mean_interval([1.0] * 9) == pytest.approx(wilson(9, 9))
    assert mean_interval([0.0] * 9, samples=1) == pytest.approx(wilson(0, 9))


def test_mean_interval_lies_between_questions_and_answers_as_independent_units() -> None:
    rng = random.Random(11)
    values = [sum(rng.random() < p for _ in range(5)) / 5 for p in (rng.random() for _ in range(400))]
    interval = mean_interval(values, samples=5)
    width = interval.high - interval.low
    right = round(sum(values) * 5)
    pooled = wilson(right, 2000)
    by_question = wilson(right // 5, 400)
    assert pooled.high - pooled.low < width < by_question.high - by_question.low
    assert mean_interval([0.4] * 100, samples=5) == pytest.approx(wilson(200, 500))


def test_mean_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = random.Random(2)
    covered = 0
    for _ in range(400):
        values = [sum(rng.random() < p for _ in range(3)) / 3 for p in (rng.betavariate(4, 1) for _ in range(60))]
        low, high = mean_interval(values, samples=3)
        covered += low <= 0.8 <= high
    assert 0.92 <= covered / 400 <= 0.985


@pytest.mark.parametrize("values", [[], [0.5, 1.2]])
def test_mean_interval_refuses_what_are_no_scores(values: list[float]) -> None:
    with pytest.raises(InvalidInput):
        mean_interval(values)
