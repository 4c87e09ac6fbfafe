"""How different two solutions are, by what they calculate and not by how they word it.

A solution is read as the sequence of its calculations ``a op b = c`` and of the other numbers it names. Addition and
multiplication do not distinguish the order of their operands. The distance of two solutions is the edit distance of
their sequences, as a share of the longer one.
"""

import re
from collections.abc import Sequence

_LONGEST = 300  # tokens compared; the edit distance is quadratic

_SYMBOLS = (
    # A list or step number says nothing about the calculation.
    (re.compile(r"(?im)^[ \t*#>-]{0,8}(?:step )?\d+[.:)]+(?=[\s*]|$)|\bstep \d+\b"), " "),
    (re.compile(r"\*\*|__"), " "),  # bold, far more often than a power
    (re.compile(r"\\times|\\cdot|[×·⋅∗]"), "*"),
    (re.compile(r"\\div|÷"), "/"),
    (re.compile(r"[−–]"), "-"),
    (re.compile(r"\\[,;!$%]|\\text\{|\\left|\\right|\{,\}|[$€£%{}()\[\]]|\\\(|\\\)"), " "),
    (re.compile(r"(?<=\d),(?=\d{3}\b)"), ""),
    (re.compile(r"(?<=\d)\s*x\s*(?=\d)"), " * "),
)
_NUMBER = r"\d+(?:\.\d+)?|\.\d+"
_UNIT = r"(?:[ \t]+[A-Za-z]{1,20}){0,2}[ \t]*"
_CALCULATION = rf"({_NUMBER}){_UNIT}((?:[-+*/][ \t]*(?:{_NUMBER}){_UNIT}){{1,20}})=[ \t]*(-?(?:{_NUMBER}))"
_TOKEN = re.compile(rf"{_CALCULATION}|({_NUMBER})")
_OPERAND = re.compile(rf"([-+*/])[ \t]*({_NUMBER})")
_WORD = re.compile(r"\w+")


def operations(text: str) -> tuple[str, ...]:
    """Read the calculations and other numbers of a solution, in order.

    Returns:
        One string per element: ``"3+5=8"`` with its operands normalised, or ``"8"``. A solution without any number is
        given by its words, lower case.
    """
    plain = text
    for pattern, replacement in _SYMBOLS:
        plain = pattern.sub(replacement, plain)
    elements = tuple(_element(match) for match in _TOKEN.finditer(plain))
    return elements or tuple(_WORD.findall(text.lower()))


def distance(first: Sequence[str], second: Sequence[str]) -> float:
    """Measure how much two sequences differ.

    Args:
        first: Result of `operations`; at most its first 300 elements are compared.
        second: The same of the other solution.

    Returns:
        Levenshtein distance over the longer length, 0 (same) to 1 (nothing in common).
    """
    first, second = first[:_LONGEST], second[:_LONGEST]
    longest = max(len(first), len(second))
    if not longest or first == second:
        return 0.0
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(second, 1):
            cost = diagonal + (a != b)
            diagonal = row[j]
            row[j] = min(cost, row[j] + 1, row[j - 1] + 1)
    return row[-1] / longest


def _element(match: re.Match[str]) -> str:
    first, rest, result, alone = match.groups()
    if alone is not None:
        return _number(alone)
    operands: list[tuple[str, str]] = [(sign, _number(value)) for sign, value in _OPERAND.findall(rest)]
    signs = {sign for sign, _ in operands}
    values = [_number(first), *(value for _, value in operands)]
    if len(signs) == 1 and signs <= {"+", "*"}:
        values.sort()
        return f"{operands[0][0].join(values)}={_number(result)}"
    return f"{values[0]}{''.join(sign + value for sign, value in operands)}={_number(result)}"


def _number(text: str) -> str:
    """Write equal numbers equally: 18.00 as 18."""
    whole, _, fraction = text.removeprefix("-").partition(".")
    sign = "-" if text.startswith("-") else ""
    fraction = fraction.rstrip("0")
    return f"{sign}{whole.lstrip('0') or '0'}{'.' if fraction else ''}{fraction}"
