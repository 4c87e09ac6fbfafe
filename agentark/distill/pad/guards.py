"""When a run games its reward: statistics of each batch of roll-outs, and thresholds on their course.

Pure; knows neither trainer nor model. Every guard compares the mean over the last batches with the first batch (which
the start itself has sampled) or with a fixed threshold, so a single odd batch stops nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agentark.api import PADGuards


@dataclass(frozen=True, slots=True)
class BatchStatistics:
    """What the guards look at, of one batch of roll-outs."""

    length: float
    """Mean tokens per answer."""
    step_count: float | None = None
    """Mean steps per answer; None without step scores."""
    pairs: int = 0
    """Pairs of a right and a wrong answer to one question, both with step scores."""
    discordant: float = 0.0
    """Pairs in which the wrong answer's process reward is the higher one; ties count half."""
    contested: int = 0
    """Questions whose answers were not all of one verdict (without gold: not all the same)."""
    spread: float | None = None
    """Mean over those of the standard deviation of the process reward."""
    kl: float | None = None
    """Mean divergence from the start per token, in nats."""


_FEWEST_PAIRS = 30  # Of chance alone, fewer would pass the threshold now and then.
_FEWEST_CONTESTED = 3


def breach(history: Sequence[BatchStatistics], guards: PADGuards) -> str:
    """Say why the run has to stop now.

    Args:
        history: BatchStatistics of all batches so far, the first one sampled by the start.
        guards: The thresholds; 0 switches one off.

    Returns:
        A sentence with figure and threshold; empty if nothing is wrong.
    """
    if len(history) < guards.window:
        return ""
    recent = history[-guards.window :]
    reasons = (
        _drift("steps per answer", history, recent, lambda one: one.step_count, guards.step_drift),
        _drift("tokens per answer", history, recent, lambda one: one.length, guards.length_drift),
        _disagreement(recent, guards.disagreement),
        _spread(recent, guards.spread),
        _kl(recent, guards.kl),
    )
    return next((reason for reason in reasons if reason), "")


def _spread(recent: Sequence[BatchStatistics], threshold: float) -> str:
    contested = sum(one.contested for one in recent if one.spread is not None)
    if not threshold or contested < _FEWEST_CONTESTED:
        return ""
    found = sum(one.contested * one.spread for one in recent if one.spread is not None) / contested
    if found >= threshold:
        return ""
    return (
        f"reward variance collapse: the process reward differs by {found:.2g} among answers that do not agree "
        f"(threshold {threshold:g}), so it says nothing about them; train a better process reward model"
    )


def _disagreement(recent: Sequence[BatchStatistics], threshold: float) -> str:
    pairs = sum(one.pairs for one in recent)
    if not threshold or pairs < _FEWEST_PAIRS:
        return ""
    found = sum(one.discordant for one in recent) / pairs
    if found <= threshold:
        return ""
    return (
        f"PRM-verifier disagreement: in {found:.0%} of {pairs} pairs the wrong answer's steps score higher than the "
        f"right one's (threshold {threshold:.0%}); check the process reward model and its labels, or switch this guard "
        "off if it is the verifier that is fooled: where right answers are lucky, a good reward model blames them"
    )


def _drift(
    what: str,
    history: Sequence[BatchStatistics],
    recent: Sequence[BatchStatistics],
    of: Callable[[BatchStatistics], float | None],
    threshold: float,
) -> str:
    first = of(history[0])
    values = [value for value in map(of, recent) if value is not None]
    if not threshold or not first or not values:
        return ""
    now = sum(values) / len(values)
    if first / threshold <= now <= first * threshold:
        return ""
    kind = "step count drift" if what.startswith("steps") else "length drift"
    return (
        f"{kind}: {now:.3g} {what} where the start has {first:.3g} (threshold: a factor of {threshold:g}); the reward "
        "may favour length rather than right steps"
    )


def _kl(recent: Sequence[BatchStatistics], threshold: float) -> str:
    values = [one.kl for one in recent if one.kl is not None]
    if not threshold or not values or sum(values) / len(values) <= threshold:
        return ""
    return (
        f"KL: {sum(values) / len(values):.3g} nats per token from the start (threshold {threshold:g}); lower the "
        "learning rate or raise kl"
    )
