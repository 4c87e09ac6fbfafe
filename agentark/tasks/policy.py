"""What counts as the same answer, said explicitly.

A policy is data: the grader reads nothing else, so labels, rewards, votes and evaluation that share a policy agree.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal


@dataclass(frozen=True, slots=True)
class Policy:
    """How answers of one task are found in a text and compared."""

    kind: Literal["number", "math", "choice", "text"]
    """number: one quantity, else the last number of the text. math: numbers, expressions, sets, intervals, short
    words. choice: one of `letters`. text: words, without regard to case, punctuation and articles."""
    percent: Literal["Either", "Fraction", "Points"] = "Either"
    """Against a bare number `50%` equals 0.5 (Fraction), 50 (Points) or both (Either). 50 never equals 0.5."""
    units: Literal["Match", "Ignore"] = "Match"
    """Match: two different units differ, a missing one does not matter. Ignore: only the numbers count, except where
    both units are known and convertible."""
    currency: Literal["Match", "Ignore"] = "Match"
    """Match: $18 differs from €18; 18 equals both."""
    time_units: Literal["Convert", "Literal"] = "Convert"
    """Convert: 90 minutes equal 1.5 hours. Literal: `minutes` and `hours` are plain unit words."""
    thousands: str = ",' "
    """Characters that may separate groups of three digits; empty: none."""
    absolute_tolerance: Fraction = Fraction(0)
    """Numbers this far apart, in units of the answer, are equal; at least 0."""
    relative_tolerance: Fraction = Fraction(0)
    """Numbers this far apart, as a part of the larger one, are equal; at least 0."""
    intervals: Literal["ExactEnds", "AnyEnds"] = "ExactEnds"
    """ExactEnds: [1,2) differs from (1,2). AnyEnds: the kind of bracket does not matter."""
    lists: Literal["Ordered", "Unordered"] = "Ordered"
    """Whether 2,3 differs from 3,2. Sets in braces and alternatives joined by 'or' never have an order."""
    symbolic: bool = True
    """math only: ask the symbolic checker when the exact rules cannot tell."""
    letters: str = "ABCDEFGHIJ"
    """choice only: the letters that may be chosen, upper case."""


NUMBER = Policy(kind="number", units="Ignore", symbolic=False)
"""Grade-school word problems: the gold answer is a bare number."""
MATH = Policy(kind="math")
"""Any short mathematical or verbal answer; the policy of plain JSONL rows."""
CHOICE = Policy(kind="choice")
"""Multiple choice, A to J."""
TEXT = Policy(kind="text")
"""Short answers in words."""
