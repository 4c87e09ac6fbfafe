r"""Exact values of short arithmetic, in plain text or LaTeX.

A recursive-descent reader over a fixed grammar: nothing is evaluated but + - * / ^ and \frac of rational numbers, and
depth, length and size of the numbers are bounded, so any text gives an answer or None at once.
"""

import re
from fractions import Fraction
from functools import lru_cache
from typing import Final

MAX_LENGTH: Final = 400
MAX_DEPTH: Final = 24
MAX_BITS: Final = 4096

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3}(?!\d))?)"
    r"|(?P<command>\\frac|\\cdot|\\times|\\div)(?![A-Za-z])|(?P<mark>\*\*|[-+*/^(){}]))"
)
_MIXED: Final = re.compile(r"(?<![\d.}/^])(\d+)\s+(\d+)\s*/\s*(\d+)(?![\d.])")
_MIXED_LATEX: Final = re.compile(r"(?<![\d.}/^])(\d+)\s*(\\frac\s*(?:\d\s*\d|\{\s*\d+\s*\}\s*\{\s*\d+\s*\}))")
# Three digits after the comma could as well be a second number.
_EUROPEAN: Final = re.compile(
    r"(?<![\d.,])\d{1,3}(?:\.\d{3})+,(?!\d{3}(?!\d))\d+(?![\d.,])|(?<![\d.,])\d{1,3}(?:\.\d{3}){2,}(?![\d.,]\d)"
)
_INDIAN: Final = re.compile(r"(?<![\d.,])\d{1,2}(?:,\d{2})+,\d{3}(?![\d,])")
_REPEATING: Final = re.compile(r"(?<![\d.])(\d{0,20})\.(\d{0,20})\\(?:overline|bar|dot)\s*(?:\{(\d{1,20})\}|(\d))")
_PRODUCT: Final = {"*": "*", "/": "/", "\\cdot": "*", "\\times": "*", "\\div": "/"}


class _Unreadable(Exception):
    """The text is not arithmetic within the bounds."""


def grouped_digits(text: str, separators: str) -> str:
    """Join groups of three digits: `1,234,567` becomes `1234567`.

    Args:
        text: Any text.
        separators: Characters that may separate the groups; the same one within a number. Where there is any, numbers
            that can only be European are read too: `1.234,50` becomes `1234.50`.
    """
    for separator in separators:
        if separator in text:
            text = _grouped(separator).sub(lambda match, sep=separator: match[0].replace(sep, ""), text)  # type: ignore[misc]
    if "," in separators and text.count(",") > 1:
        # 10,00,000 in India.
        text = _INDIAN.sub(lambda match: match[0].replace(",", ""), text)
    if separators and text.count(".") + text.count(",") > 1:
        text = _EUROPEAN.sub(lambda match: match[0].replace(".", "").replace(",", "."), text)
    return text


@lru_cache
def _grouped(separator: str) -> re.Pattern[str]:
    mark = re.escape(separator)
    if separator == " ":
        # 2 100/3 is a mixed number, 1 000 1 is nothing.
        return re.compile(r"(?<![\d.,^_])(?<!\d )[1-9]\d{0,2}(?: \d{3})+(?!\d| ?[\d/]| ?\\frac)")
    return re.compile(rf"(?<![\d.{mark}])[1-9]\d{{0,2}}(?:{mark}\d{{3}})+(?!\d|{mark}\d)")


@lru_cache(maxsize=8192)
def value(text: str) -> Fraction | None:
    """Compute arithmetic exactly.

    Args:
        text: Plain text without units; thousands separators already removed.

    Returns:
        The value, or None if the text is anything else than arithmetic or exceeds the bounds.
    """
    try:
        return _read(text)
    except (_Unreadable, ZeroDivisionError):
        return None


def divides_by_zero(text: str) -> bool:
    """Whether a text is arithmetic that has no value because it divides by zero."""
    if "0" not in text or not ("/" in text or "\\" in text):
        return False
    try:
        _read(text)
    except _Unreadable:
        return False
    except ZeroDivisionError:
        return True
    return False


def _read(text: str) -> Fraction:
    if not text or len(text) > MAX_LENGTH or not any(c.isdigit() for c in text):
        raise _Unreadable
    if ".(" in text:
        # 3.(3) repeats its 3, it is no product.
        raise _Unreadable
    if "\\" in text:
        text = _REPEATING.sub(_repeating, text)
    text = _MIXED.sub(r"(\1+\2/\3)", text)
    text = _MIXED_LATEX.sub(r"(\1+\2)", text)
    return _Reader(_tokens(text)).read()


def _repeating(match: re.Match[str]) -> str:
    """Write a decimal whose last digits repeat for ever as a fraction."""
    whole, fixed, period = match[1], match[2], match[3] or match[4]
    numerator = int(whole + fixed + period) - int(whole + fixed or "0")
    return f"({numerator}/{10 ** len(fixed) * (10 ** len(period) - 1)})"


def _tokens(text: str) -> list[str]:
    tokens = []
    position = 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or not match[0]:
            raise _Unreadable
        tokens.append(match[0].strip())
        position = match.end()
    return tokens


class _Reader:
    """One pass over the tokens."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._position = 0

    def read(self) -> Fraction:
        result = self._sum(0)
        if self._position != len(self._tokens):
            raise _Unreadable
        return result

    def _peek(self) -> str:
        return self._tokens[self._position] if self._position < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        self._position += 1
        return token

    def _sum(self, depth: int) -> Fraction:
        if depth > MAX_DEPTH:
            raise _Unreadable
        total = self._product(depth)
        while (sign := self._peek()) in ("+", "-") and sign:
            self._take()
            term = self._product(depth)
            total = _bounded(total + term if sign == "+" else total - term)
        return total

    def _product(self, depth: int) -> Fraction:
        result = self._signed(depth)
        while True:
            token = self._peek()
            if token in _PRODUCT:
                self._take()
                factor = self._signed(depth)
                result = _bounded(result * factor if _PRODUCT[token] == "*" else result / factor)
            elif token == "(":
                result = _bounded(result * self._power(depth))
            else:
                return result

    def _signed(self, depth: int) -> Fraction:
        negative = False
        for _ in range(MAX_DEPTH):
            if self._peek() not in ("+", "-") or not self._peek():
                break
            negative ^= self._take() == "-"
        result = self._power(depth)
        return -result if negative else result

    def _power(self, depth: int) -> Fraction:
        if depth > MAX_DEPTH:
            raise _Unreadable
        base = self._atom(depth)
        if self._peek() not in ("^", "**"):
            return base
        self._take()
        exponent = self._signed(depth + 1)
        size = max(base.numerator.bit_length(), base.denominator.bit_length())
        if exponent.denominator != 1 or abs(exponent) * size > MAX_BITS or (base == 0 and exponent <= 0):
            raise _Unreadable
        return Fraction(base ** int(exponent))

    def _atom(self, depth: int) -> Fraction:
        token = self._take()
        if token in ("(", "{"):
            result = self._sum(depth + 1)
            if self._take() != (")" if token == "(" else "}"):
                raise _Unreadable
            return result
        if token == "\\frac":
            numerator = self._argument(depth)
            return _bounded(numerator / self._argument(depth))
        if token and (token[0].isdigit() or token[0] == "."):
            return _bounded(Fraction(token))
        raise _Unreadable

    def _argument(self, depth: int) -> Fraction:
        token = self._peek()
        if token.isdigit() and len(token) > 1:
            # \frac12 means 1/2: without braces an argument is one digit.
            self._tokens[self._position : self._position + 1] = list(token)
        return self._atom(depth + 1)


def _bounded(number: Fraction) -> Fraction:
    if max(number.numerator.bit_length(), number.denominator.bit_length()) > MAX_BITS:
        raise _Unreadable
    return number
