"""Numbers in running text, each with all that belongs to it.

A number is never cut: sign, currency, groups of digits, fraction, exponent, percent and the calculation it stands in
come with it. What cannot be read as a whole is reported as such, so that no part of it is taken for the number.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from agentark.tasks.normalising import plain
from agentark.tasks.policy import Policy
from agentark.tasks.quantities import quantity


@dataclass(frozen=True, slots=True)
class Numeral:
    """A number as written."""

    text: str
    start: int
    """Offset in the text it was found in."""
    end: int
    readable: bool
    """It is one quantity under the policy."""


_GLYPHS: Final = "¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
_BLANK: Final = "[ \u00a0\u2009\u202f]"
_DIGITS: Final = (
    rf"(?:[1-9]\d{{0,2}}(?:{_BLANK}\d{{3}})+(?!\d|{_BLANK}?[/⁄]|{_BLANK}\d)"
    r"|\d+(?:(?:[.,'’]|\{,\}|,?\\!|\\,)\d+)*|\.\d+)"
)
_FRACTION: Final = r"\\[dtc]?frac\s*(?:\{\s*-?\d+\s*\}\s*\{\s*\d+\s*\}|\d\s*\d)"
_CURRENCY: Final = r"(?:(?:US)?\\?[$€£₹¥₩₽]|\b(?:USD|EUR|GBP|INR|Rs\.?)(?=\s?\d))"
_NUMBER: Final = (
    rf"(?:{_FRACTION}|{_DIGITS}(?:[eE][-+]?\d{{1,3}}(?![A-Za-z\d]))?"
    rf"(?:\s?{_FRACTION}|(?:\s+and)?\s+\d+\s?[/⁄]\s?\d+(?![\d/])|\s?[{_GLYPHS}]|\s?[/⁄]\s?\d+(?:\.\d+)?)?|[{_GLYPHS}])"
)
_SIGN: Final = (
    r"(?:(?<![A-Za-z0-9)\]}.%])[-−–—‐‑‒﹣](?=[$€£₹¥\d.\\])|(?<=[=(:])\s*[-−–]\s|\b(?:[Mm]inus|[Nn]egative)\s+)"
)
_OPERATOR: Final = (
    r"(?:\s?(?:[*×·⋅÷]|\\times|\\cdot|\\div|\^\s?\{?|\*\*)\s?|\s?\+\s?|\s[-−–/]\s|\sx\s|(?<=\d)[-−–](?=\d))"
)
# The operands of a calculation, units of the first ones left out: a calculation with units is not read.
_NUMERAL: Final = re.compile(
    rf"{_SIGN}?(?<!\d:)(?:(?<![A-Za-z_\d.^\\]){_CURRENCY}\s?[-−–]?|(?<![A-Za-z_\d.^\\])){_NUMBER}"
    rf"(?:{_OPERATOR}[-−–]?{_CURRENCY}?{_NUMBER}\}}?)*"
    r"(?:\s?\\?%|\s+(?:percent|per\s?cent|percentage|pct)\b|\s(?:hundred|thousand|million|billion|trillion|dozen)s?\b)?"
)
_COMPOUND: Final = re.compile(r"\s?[^\W\d_]{1,12}\.?,?\s(?:and\s)?\d+(?:\.\d+)?\s?[^\W\d_]{1,12}")
_ORDINAL: Final = re.compile(r"(?:st|nd|rd|th)\b")
_ATTACHED: Final = re.compile(r"[A-Za-z]+[²³]?|[_(\[{^!]|:\d|\\[A-Za-z]+")
_RANGE_DASH: Final = re.compile(r"\d[-−–]\d|\d\s[–—]\s\d")
_DENIED: Final = re.compile(
    r"(?:\bnot|n['’]t\s+(?:be\s+)?|\brather\s+than|\binstead\s+of|\bunlike|\bnor|\bneither|\bno\s+longer)\s+"
    r"(?:(?:the|a|just|only|exactly|equal\s+to|simply|to\s+be|be|by|agent|answer)\s+){0,3}[$\"'(]*$",
    re.IGNORECASE,
)
_JOINED: Final = re.compile(
    r"(?:\s?\\?%|\s[A-Za-z.%]{1,20}){0,3}\s*(?:,?\s*\b(?:or|and|to|through|till|until)\b|,|/|–|\bplus\b)\s*"
    r"(?:(?:maybe|perhaps|possibly|also|even|either|about)\s+)?\\?[$€£₹]?[-−]?[\d.]",
    re.IGNORECASE,
)
_AFTER_ANOTHER: Final = re.compile(
    r"\bor\s+(?:maybe\s+|perhaps\s+|possibly\s+)?\\?[$€£(]?$|[\d%](?:\s[A-Za-z.%]{1,20}){0,2}\s*(?:,?\s*\b(?:and|to|through)\b|,)\s*\\?[$€£]?$",
    re.IGNORECASE,
)
_PRECISION: Final = re.compile(
    r"\s*(?:[A-Za-z]+\s){0,3}to\s+(?:the\s+nearest\b|(?:\d+|one|two|three)\s+(?:decimal|significant|d\.?p|s\.?f|places))",
    re.IGNORECASE,
)
_BETWEEN: Final = re.compile(r"\b(?:between|from|anywhere)\s*\\?[$€£]?$", re.IGNORECASE)


def numerals(text: str, policy: Policy) -> Iterator[Numeral]:
    """Find the numbers of a text in order; those that the text denies ("not 8") are left out."""
    position = 0
    while match := _NUMERAL.search(text, position):
        position = max(match.end(), match.start() + 1)
        if _DENIED.search(text, max(0, match.start() - 50), match.start()):
            continue
        yield _numeral(text, match, policy)


def last_numeral(text: str, policy: Policy) -> Numeral | None:
    """Find the last number of a text that it does not deny; None without any, or where it is one of several."""
    last = before = None
    for match in _NUMERAL.finditer(text):
        if not _DENIED.search(text, max(0, match.start() - 50), match.start()):
            before, last = last, match
    if last and before and last.start() - before.end() <= 20:
        # "1 hour 30 minutes" is one.
        whole = _numeral(text, before, policy)
        if whole.end > last.start():
            return whole
    if last is None or _AFTER_ANOTHER.search(text, max(0, last.start() - 60), last.start()):
        return None
    return _numeral(text, last, policy)


def is_one_of_several(text: str, numeral: Numeral) -> bool:
    """Whether a number stands in a list, a range or between alternatives: `8 or 9`, `5 to 7 days`, `3 apples and 2`."""
    if _PRECISION.match(text, numeral.end):
        return False
    return bool(_JOINED.match(text, numeral.end) or _BETWEEN.search(text, max(0, numeral.start - 12), numeral.start))


def _numeral(text: str, match: re.Match[str], policy: Policy) -> Numeral:
    end = match.end()
    compound = _COMPOUND.match(text, end)
    if compound and quantity(plain(text[match.start() : compound.end()]), policy) is not None:
        return Numeral(text[match.start() : compound.end()].strip(), match.start(), compound.end(), True)
    written = match[0].strip()
    attached = _ATTACHED.match(text, end)
    whole = written
    if attached and not _ORDINAL.match(text, end):
        if attached[0] == "!" or text[end - 1].isspace():
            attached = None
        else:
            whole = written + attached[0]
    readable = not _RANGE_DASH.search(written) and quantity(plain(whole), policy) is not None
    return Numeral(written, match.start(), end, readable)
