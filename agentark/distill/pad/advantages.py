"""From rewards to one advantage per token; numpy only.

An answer's outcome reward is compared within its group (paper, eq. 5). Its process reward is the aggregate of its step
rewards, in PURE's min-form or as their mean; the same comparison is made for it, but each token is credited only with
the steps that end at or after it, so that a good beginning does not pay for a wrong end's words, nor the other way
round. At the first token the process part is exactly (R - mean) / std of the aggregates R.

Shapes: ``N`` answers, group after group of ``G``; an answer has ``K`` steps (its own number) and ``T`` tokens.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

OUTCOME_EPSILON = 1e-4
"""Added to the standard deviation of outcome rewards, as TRL does."""
PROCESS_EPSILON = 0.1
"""Added to that of process rewards, on the scale of -1 to 1: differences below it are noise of the scores."""


def step_rewards(scores: Sequence[float]) -> Array:
    """Scores in [0, 1] as rewards in [-1, 1]: p(good) - p(bad)."""
    return 2 * np.asarray(scores, dtype=np.float64) - 1


def soft_min_rewards(rewards: Array, temperature: float) -> Array:
    """PURE's min-form: ``w_k r_k`` with ``w = softmax(-r / temperature)``; their sum is a soft minimum.

    Args:
        rewards: Shape ``(K,)``; K may be 0.
        temperature: > 0.
    """
    if not len(rewards):
        return rewards
    weights = np.exp(-(rewards - rewards.min()) / temperature)
    return np.asarray(rewards * weights / weights.sum())


def mean_rewards(rewards: Array) -> Array:
    """``r_k / K``; their sum is the mean. Shape ``(K,)``; K may be 0."""
    return rewards / max(1, len(rewards))


def group_advantages(rewards: Array, group: int, *, epsilon: float = OUTCOME_EPSILON) -> Array:
    """``(r - mean) / (std + epsilon)`` inside each group (paper, eq. 5), with the unbiased standard deviation.

    Args:
        rewards: Shape ``(N,)``; NaN: not known, left out of mean and deviation.
        group: ``G``, a divisor of N.
        epsilon: Keeps equal rewards at 0.

    Returns:
        Shape ``(N,)``; 0 where the reward is NaN or alone in its group.
    """
    grouped = rewards.reshape(-1, group)
    deviations, spread = _deviations(grouped)
    return np.asarray(np.nan_to_num(deviations / (spread + epsilon)).reshape(-1))


def leave_one_out(rewards: Array, group: int) -> Array:
    """``r - mean of the others`` inside each group (RLOO); arguments and result as in `group_advantages`."""
    grouped = rewards.reshape(-1, group)
    known = np.sum(~np.isnan(grouped), axis=1, keepdims=True)
    deviations, _ = _deviations(grouped)
    # The mean without r lies as much further from r as the mean with it is weighed by n / (n - 1).
    return np.asarray(np.nan_to_num(deviations * known / np.maximum(known - 1, 1)).reshape(-1))


def _deviations(grouped: Array) -> tuple[Array, Array]:
    """Deviation from the group's mean, shape ``(N/G, G)``, and unbiased standard deviation, shape ``(N/G, 1)``."""
    known = ~np.isnan(grouped)
    count = known.sum(axis=1, keepdims=True)
    mean = np.where(known, grouped, 0.0).sum(axis=1, keepdims=True) / np.maximum(count, 1)
    deviations = np.where(known, grouped - mean, np.nan)
    squares = np.where(known, deviations, 0.0) ** 2
    return deviations, np.sqrt(squares.sum(axis=1, keepdims=True) / np.maximum(count - 1, 1))


def step_advantages(
    rewards: Sequence[Array],
    group: int,
    baseline: Literal["Group", "LeaveOneOut"],
    *,
    epsilon: float = PROCESS_EPSILON,
) -> list[Array]:
    """Spread each answer's process advantage over its steps.

    With R the sum of an answer's step rewards and b the baseline, step k gets ``(r_k - b / K) / scale``: over all steps
    that is ``(R - b) / scale``, whatever their number, so an answer gains nothing by having more or fewer steps.

    Args:
        rewards: One array of shape ``(K,)`` per answer, aggregated by `soft_min_rewards` or `mean_rewards`.
        group: ``G``.
        baseline: Group: b is the group's mean of R, the scale its standard deviation plus epsilon; LeaveOneOut: b is
            the mean of the others' R, the scale 1.
        epsilon: As in `group_advantages`.

    Returns:
        The same shapes; zeros where fewer than two answers of a group have steps.
    """
    totals = np.array([one.sum() if len(one) else np.nan for one in rewards])
    grouped = totals.reshape(-1, group)
    known = np.repeat((~np.isnan(grouped)).sum(axis=1), group)
    deviations, spread = _deviations(grouped)
    if baseline == "Group":
        mine, scales = deviations.reshape(-1), np.repeat(spread[:, 0] + epsilon, group)
    else:
        mine, scales = leave_one_out(totals, group), np.ones(len(totals))
    return [
        (one - (total - above) / max(1, len(one))) / scale if count > 1 else np.zeros_like(one)
        for one, total, above, scale, count in zip(rewards, totals, mine, scales, known, strict=True)
    ]


def credit(values: Array, ends: Sequence[int], tokens: int) -> Array:
    """Give each token the sum of the values of the steps that end at or after it.

    Args:
        values: One per step, shape ``(K,)``.
        ends: Token that holds each step's last character, not falling, each in 0 .. tokens - 1. What follows the last
            step, its end-of-turn token included, belongs to it.
        tokens: ``T``.

    Returns:
        Shape ``(T,)``; zeros if there is no step.
    """
    if not len(values) or not tokens:
        return np.zeros(tokens)
    remaining = np.cumsum(values[::-1])[::-1]
    following = np.searchsorted(np.asarray(ends), np.arange(tokens), side="left")
    return np.asarray(remaining[np.minimum(following, len(values) - 1)])
