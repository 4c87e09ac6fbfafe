"""Which answers of several agents are the same: a partition, whatever their order.

Equality under a policy is no equivalence: `18` equals `18 cm` and `18 m`, which differ; `50%` equals `0.5` and `50`,
which differ. So answers that are the same without leniency are grouped first. Then groups are joined where all their
members are equal and no third group could claim one of them as well.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Final

from agentark.tasks.comparison import equal
from agentark.tasks.policy import Policy

Equal = Callable[[str, str, Policy], bool]
_EXACT: Final = Fraction(0)


def partition(answers: Sequence[str], policy: Policy, *, same: Equal = equal) -> tuple[tuple[str, ...], ...]:
    """Group the different spellings of some answers.

    Args:
        answers: Answers as `extract` returns them, repeated ones included; empty ones are left out.
        policy: What counts as equal.
        same: Compares two of them; callers that compare the same answers often pass one that remembers.

    Returns:
        Each spelling once. In a group the most frequent spelling comes first, then the shortest; the groups are in no
        particular order.
    """
    counts = Counter(answer for answer in answers if answer)
    spellings = sorted(counts, key=lambda text: (-counts[text], len(text), text))
    groups: list[tuple[str, ...]] = [(spelling,) for spelling in spellings]
    for level in (_strict(policy), policy):
        groups = _joined(groups, level, same)
    return tuple(tuple(sorted(group, key=spellings.index)) for group in groups)


def _strict(policy: Policy) -> Policy:
    """The policy without what makes equality lenient: numbers are exact, and a percentage is a part of one."""
    percent = "Fraction" if policy.percent == "Either" else policy.percent
    return replace(
        policy, percent=percent, absolute_tolerance=_EXACT, relative_tolerance=_EXACT, lists="Ordered", units="Match"
    )


def _joined(groups: list[tuple[str, ...]], policy: Policy, same: Equal) -> list[tuple[str, ...]]:
    """Join the groups that agree with each other, and with nobody who disagrees with one of them."""
    count = len(groups)
    near = [{i} for i in range(count)]
    for i in range(count):
        for j in range(i):
            if all(same(a, b, policy) for a in groups[i] for b in groups[j]):
                near[i].add(j)
                near[j].add(i)
    joined: dict[frozenset[int], list[int]] = {}
    for i in range(count):
        # Whoever agrees with two that disagree stays alone; all others share their neighbours with them.
        is_between = any(b not in near[a] for a in near[i] for b in near[i])
        key = frozenset((i,)) if is_between else frozenset(near[i])
        joined.setdefault(key, []).append(i)
    return [tuple(text for i in members for text in groups[i]) for members in joined.values()]
