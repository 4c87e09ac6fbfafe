"""The calculations that a text writes out, ``a op b = c``, each with its place and whether it is true.

Chains (``2 * 3 + 1 = 6 + 1 = 7``) are calculations link by link. Units, currency signs, thousands separators and the
usual LaTeX operators are read; brackets, powers and roots are not, so what uses them is no calculation here.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final

_SIGNS: Final = {"+": "+", "-": "-", "−": "-", "–": "-", "*": "*", "×": "*", "·": "*", "⋅": "*", "x": "*", "/": "/"}
_SIGNS_TEX: Final = {"÷": "/", r"\times": "*", r"\cdot": "*", r"\div": "/"}
_NUMBER: Final = r"[$€£]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?%?|[$€£]?\.\d+%?"
_UNIT: Final = r"(?:[ \t]+(?!x\b)[A-Za-z]{1,20}){0,2}"
_OPERATOR: Final = r"[ \t]*(?:[-+*/−–×·⋅÷]|x(?=[ \t]*[$\d])|\\times|\\cdot|\\div)[ \t]*"
_TERM: Final = rf"(?:{_NUMBER}){_UNIT}"
_SIGNED: Final = rf"(?:(?<![\w)%])[-−])?{_TERM}"
_EXPRESSION: Final = rf"{_SIGNED}(?:{_OPERATOR}{_TERM}){{0,20}}"
_CHAIN: Final = re.compile(rf"(?<![\w.,/^]){_EXPRESSION}(?:[ \t]*(?:=|\\approx|≈)[ \t]*{_EXPRESSION}){{1,20}}")
_LINK: Final = re.compile(r"[ \t]*(?:=|\\approx|≈)[ \t]*")
_PART: Final = re.compile(rf"(?P<number>{_NUMBER})|(?P<sign>\\times|\\cdot|\\div|[-+*/−–×·⋅÷]|x(?=[ \t]*[$\d]))")


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it stands in a text."""

    start: int
    end: int
    value: Fraction


@dataclass(frozen=True, slots=True)
class Calculation:
    """One link ``left = claimed``; ``start`` and ``end`` are characters of the text."""

    start: int
    end: int
    operands: tuple[Number, ...]
    """At least two."""
    signs: tuple[str, ...]
    """``+ - * /`` between them, one fewer than operands."""
    claimed: Number
    value: Fraction | None
    """What the left side is; None for a division by zero."""
    right: bool
    """The claim is the value, or the value rounded to the decimals (one at least) that the claim has."""

    @property
    def left(self) -> str:
        """The left side, the same for equal calculations; operands of a pure sum or product have no order."""
        values = [str(operand.value) for operand in self.operands]
        if set(self.signs) in ({"+"}, {"*"}):
            return self.signs[0].join(sorted(values))
        return values[0] + "".join(sign + value for sign, value in zip(self.signs, values[1:], strict=True))


def calculations(text: str) -> tuple[Calculation, ...]:
    """Read the calculations of a text in order."""
    judged = []
    for chain in _CHAIN.finditer(text):
        links, position = [], chain.start()
        for link in _LINK.finditer(text, chain.start(), chain.end()):
            links.append((position, link.start()))
            position = link.end()
        links.append((position, chain.end()))
        for (start, end), (next_start, next_end) in pairwise(links):
            operands, signs = _read(text, start, end)
            claims, more = _read(text, next_start, next_end)
            if signs:
                judged.append(_judged(text, start, operands, signs, claims, more))
    return tuple(judged)


def evaluate(values: list[Fraction], signs: tuple[str, ...] | list[str]) -> Fraction | None:
    """Compute an expression, products before sums; None for a division by zero."""
    terms = [values[0]]
    for sign, value in zip(signs, values[1:], strict=True):
        if sign == "*":
            terms[-1] *= value
        elif sign == "/":
            if not value:
                return None
            terms[-1] /= value
        else:
            terms.append(value if sign == "+" else -value)
    return sum(terms, Fraction(0))


def _read(text: str, start: int, end: int) -> tuple[list[Number], list[str]]:
    numbers: list[Number] = []
    signs: list[str] = []
    negative = False
    for part in _PART.finditer(text, start, end):
        if part["sign"]:
            if not numbers:
                negative = True
            elif len(signs) < len(numbers):
                signs.append(_SIGNS.get(part["sign"]) or _SIGNS_TEX[part["sign"]])
            continue
        plain = part["number"].strip("$€£").replace(",", "")
        value = Fraction(plain.rstrip("%")) / (100 if plain.endswith("%") else 1)
        if negative and not numbers:
            value = -value
        numbers.append(Number(part.start(), part.end(), value))
    return numbers, signs[: len(numbers) - 1]


def _judged(
    text: str, start: int, operands: list[Number], signs: list[str], claims: list[Number], more: list[str]
) -> Calculation:
    value = evaluate([operand.value for operand in operands], signs)
    claimed = claims[0]
    # "5 * 3 = 15 + 2 = 17" is bad style for a right sum: the link may claim its first number or the whole.
    accepted = [claimed.value, evaluate([claim.value for claim in claims], more)] if more else [claimed.value]
    right = value is not None and (value in accepted or _rounded(text, claimed, value))
    return Calculation(start, claimed.end, tuple(operands), tuple(signs), claimed, value, right)


def _rounded(text: str, claimed: Number, value: Fraction) -> bool:
    written = text[claimed.start : claimed.end].rstrip("%")
    decimals = len(written.partition(".")[2]) + (2 if text[claimed.end - 1] == "%" else 0)
    return "." in written and abs(value - claimed.value) <= Fraction(1, 2 * 10**decimals)
