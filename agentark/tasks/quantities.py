"""Numbers with what stands around them: sign, currency, percent, scale words, units."""

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from agentark.tasks.arithmetic import MAX_LENGTH, grouped_digits, value
from agentark.tasks.policy import Policy
from agentark.tasks.units import Unit, read_unit


@dataclass(frozen=True, slots=True)
class Quantity:
    """An exact number and its mark."""

    value: Fraction
    percent: bool = False
    unit: Unit | None = None


_SCALES: Final = {
    "hundred": 100,
    "thousand": 1000,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "dozen": 12,
    "lakh": 10**5,
    "crore": 10**7,
    "百万": 10**6,
    "百": 100,
    "千": 1000,
    "万": 10**4,
    "萬": 10**4,
    "亿": 10**8,
    "億": 10**8,
    "만": 10**4,
    "억": 10**8,
}
_PARTS: Final = {
    "half": 2,
    "halve": 2,
    "third": 3,
    "quarter": 4,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "seventh": 7,
    "eighth": 8,
    "ninth": 9,
    "tenth": 10,
    "hundredth": 100,
    "thousandth": 1000,
}
# fmt: off
_ONES: Final = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)
# fmt: on
_TENS: Final = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
NUMBER_WORDS: Final = {
    **{word: n for n, word in enumerate(_ONES)},
    **{word: 10 * n for n, word in enumerate(_TENS, start=2)},
}
_CURRENCY_SIGN: Final = re.compile(r"^([-+]?)\s*(?:US\s?)?([$€£₹¥₩₽])\s*(?=[-+.\d\\])")
_CURRENCY_CODE: Final = re.compile(r"^([-+]?)\s*(USD|EUR|GBP|INR|JPY|CNY|RMB|Rs\.?)\s*(?=[-+.\d\\])", re.IGNORECASE)
_WORD: Final = r"(?:[^\W\d_][^\W\d_.'-]*(?:[.'-][^\W\d_]+)*\.?|[$€£₹¥¢₩₽])(?:\^\s*\{?\s*-?\d\s*\}?)?"
_UNIT: Final = rf"{_WORD}(?:\s*[/*]\s*{_WORD}|\s+{_WORD})*"
_NUMBER_AND_UNIT: Final = re.compile(
    r"(?P<number>[^%]*?[\d)}.!])(?P<gap>\s*)"
    rf"(?:(?P<percent>%|(?:percent|per\s?cent|percentage|pct)\b)\s*)?(?P<unit>(?<![A-Za-z\\]){_UNIT})?$"
)
# An expression may end in a constant or a letter, as in 12\pi cm: there a blank before the unit is needed.
_EXPRESSION_AND_UNIT: Final = re.compile(rf"(?P<number>.*?[\w)}}])\s+(?P<unit>{_UNIT})$")
# 1,2 are two numbers and 1,234 is one of thousands; these can only be decimals.
_DECIMAL_COMMA: Final = re.compile(r"-?(?:0,\d+|[1-9]\d{0,15},(?:\d{2}|\d{4,12}))")
_PART: Final = re.compile(r"(?:\$(?=\d+\s+and\s))?(\d+(?:\.\d+)?)\s*([^\W\d_]+)\.?\s*(?:,|and\b)?\s*(?:and\b\s*)?")
_SIGN_WORD: Final = re.compile(r"^(?:minus|negative)\s+(?=[\d$€£.\\])", re.IGNORECASE)
_TIMES: Final = re.compile(r"(?<=\d)\s[xX]\s(?=\d)")
_AND_FRACTION: Final = re.compile(r"(?<=\d)\s+and\s+(?=\d+\s?/\s?\d+(?![\d/]))")
_SUFFIXES: Final = {"k": 1000, "m": 10**6, "mn": 10**6, "mio": 10**6, "b": 10**9, "bn": 10**9, "t": 10**12}
_COUNTED_PARTS: Final = re.compile(rf"(\d+)[\s-]({'|'.join(_PARTS)})s?$", re.IGNORECASE)
_DIFFERENCE: Final = re.compile(r"\d\s*-\s*\d")
_DATE: Final = re.compile(r"\d+-\d+-\d+(?:-\d+)*|\d{3}-\d{4}|\d{4}-\d{1,2}-\d{1,2}|\d{1,2}([-/])\d{1,2}\1\d{2,4}")
_AND_PART: Final = re.compile(
    r"(?<=\d)\s+and\s+(a|one|two|three|four|five)[\s-](half|third|quarter|fourth|fifth|sixth|eighth|tenth)s?\b", re.I
)
_OUT_OF: Final = re.compile(r"(?<=\d)\s+out\s+of\s+(?=\d+$)")
_LEAD: Final = re.compile(
    r"^(?:an?(?=\s\d)|\\approx(?![A-Za-z])|≈|~|(?:about|approximately|exactly|only|just|roughly|a\s+total\s+of|"
    r"precisely)\b)\s*",
    re.IGNORECASE,
)


def quantity(text: str, policy: Policy) -> Quantity | None:
    """Read one number with its unit.

    Args:
        text: An answer, typography removed (`normalisation.plain`).
        policy: Says which thousands separators and units count.

    Returns:
        The exact quantity, or None if the text is not exactly one number with at most a unit.
    """
    if not text or len(text) > MAX_LENGTH:
        return None
    if text.isdecimal() and text.isascii():
        return Quantity(Fraction(int(text)))
    text = _SIGN_WORD.sub("-", _LEAD.sub("", grouped_digits(text, policy.thousands)))
    if " " in text:
        text = _AND_PART.sub(_part_of_one, text)
        text = _OUT_OF.sub("/", _TIMES.sub(" * ", _AND_FRACTION.sub(" ", text)))
    if not any(c.isdigit() for c in text):
        return _chinese(text, policy) if not text.isascii() else _spelled(text, policy)
    if is_date(text):
        return None
    if parts_of_one := _COUNTED_PARTS.fullmatch(text):
        return Quantity(Fraction(int(parts_of_one[1]), _PARTS[parts_of_one[2].casefold()]))
    exact = value(text)
    if exact is None and "," in policy.thousands and _DECIMAL_COMMA.fullmatch(text):
        exact = value(text.replace(",", "."))
    if exact is not None:
        return Quantity(exact)
    currency = None
    if match := _CURRENCY_SIGN.match(text) or _CURRENCY_CODE.match(text):
        currency, text = read_unit(match[2], policy, attached=False), match[1] + text[match.end() :]
        if text.startswith("--"):
            return None
    parts = _NUMBER_AND_UNIT.fullmatch(text)
    if parts is None:
        return _compound(text, policy)
    number = value(parts["number"])
    if number is None:
        return _compound(text, policy) if currency is None else None
    return _with_unit(number, currency, parts, policy)


def is_date(text: str) -> bool:
    """Whether digits joined by dashes or strokes are a date or another code and nothing to calculate."""
    return _DATE.fullmatch(text) is not None


def _part_of_one(match: re.Match[str]) -> str:
    """Write "and a half" as the fraction of a mixed number."""
    count = 1 if match[1].casefold() == "a" else NUMBER_WORDS[match[1].casefold()]
    return f" {count}/{_PARTS[match[2].casefold()]}"


def _with_unit(number: Fraction, currency: Unit | None, parts: re.Match[str], policy: Policy) -> Quantity | None:
    percent = bool(parts["percent"])
    if parts["unit"] and _DIFFERENCE.search(parts["number"]):
        # "8 - 9 days" is a range.
        return None
    scale, name = _scale(parts["unit"] or "")
    head = name.partition(" ")[0]
    if currency is None and policy.kind == "number" and head in ("K", "k", "M", "B", "bn", "mn", "mio", "gross"):
        # Thousands, millions, or a letter that stands for something else.
        return None
    if currency is not None and head.casefold() in _SUFFIXES:
        # $8M
        suffix, _, name = name.partition(" ")
        scale *= _SUFFIXES[suffix.casefold()]
    unit = read_unit(name, policy, attached=not parts["gap"] and not percent) if name else None
    if name and unit is None:
        return _compound(parts[0], policy) if currency is None else None
    if currency is not None:
        # "$18 each": the amount counts; but not $18 and euros at once.
        if unit is not None and unit.is_money and unit.dimension != currency.dimension:
            return None
        unit = currency
    if percent or (unit is not None and not unit.dimension):
        # "5% per year" and "12 units" name nothing that another unit could be compared with.
        unit = None
    return Quantity(number * scale, percent, unit)


def equal_quantities(a: Quantity, b: Quantity, policy: Policy) -> bool:
    """Whether two quantities are the same under a policy."""
    if a.percent != b.percent:
        percent, bare = (a, b) if a.percent else (b, a)
        if bare.unit is not None:
            return False
        as_fraction = policy.percent != "Points" and _close(percent.value / 100, bare.value, policy)
        return as_fraction or (policy.percent != "Fraction" and _close(percent.value, bare.value, policy))
    if a.unit is not None and b.unit is not None:
        if a.unit.dimension == b.unit.dimension:
            # A tolerance is meant in the unit that was written; of two units in the smaller one.
            unit = min(a.unit.factor, b.unit.factor)
            return _close(a.value * a.unit.factor / unit, b.value * b.unit.factor / unit, policy)
        money = a.unit.is_money and b.unit.is_money
        if (policy.currency if money else policy.units) == "Match":
            return False
    return _close(a.value, b.value, policy)


def split_unit(text: str, policy: Policy) -> tuple[str, Unit | None]:
    """Separate a trailing unit from an expression that is no plain number, as in `2\\sqrt{3} cm`.

    Returns:
        The expression and the unit; the whole text and None where there is no unit.
    """
    parts = _EXPRESSION_AND_UNIT.fullmatch(text) if len(text) <= MAX_LENGTH else None
    unit = read_unit(parts["unit"], policy, attached=False) if parts else None
    if parts is None or unit is None or not re.search(r"[\d\\]", parts["number"]):
        return text, None
    return parts["number"], unit if unit.dimension else None


def _scale(unit: str) -> tuple[int, str]:
    head, _, rest = unit.strip().partition(" ")
    factor = _SCALES.get(head.casefold().rstrip("s"))
    if factor is None and not unit.isascii():
        scale = next((name for name in ("百万", head[:1]) if name in _SCALES and unit.strip().startswith(name)), "")
        factor, rest = _SCALES.get(scale), unit.strip()[len(scale) :]
    return (factor, rest.strip()) if factor else (1, unit.strip())


def _spelled(text: str, policy: Policy) -> Quantity | None:
    text = re.sub(
        r"^an?\s+(?=(?:half|third|quarter|hundred|thousand|million|billion|dozen)\b)", "one ", text, flags=re.IGNORECASE
    )
    text = text.replace(",", "")
    names = text.casefold().replace("-", " ").split()
    negative = names[:1] in (["minus"], ["negative"])
    names = names[1:] if negative else names
    total, group, used = 0, 0, 0
    room = 100
    for name in names[:12]:
        if name in NUMBER_WORDS:
            # "one two three" are three numbers.
            if NUMBER_WORDS[name] >= room or (group % 100 and room == 100):
                return None
            group, room = group + NUMBER_WORDS[name], 10 if 20 <= NUMBER_WORDS[name] < 100 else 1
        elif name in ("hundred", "dozen") and group:
            group, room = group * _SCALES[name], 100
        elif name in _SCALES and group:
            total, group, room = total + group * _SCALES[name], 0, 100
        elif not (name == "and" and used and names[used - 1] in _SCALES and names[used + 1 : used + 2] != []):
            break
        used += 1
    if not used:
        return None
    number = Fraction(-(total + group) if negative else total + group)
    if part := _PARTS.get(names[used].rstrip("s") if used < len(names) and group else ""):
        number, used = number / part, used + 1
    rest = text.split()[used + negative :] if "-" not in text else names[used:]
    percent = rest[:1] in (["percent"], ["%"])
    name = " ".join(rest[1:] if percent else rest)
    unit = read_unit(name, policy, attached=False) if name else None
    if name and unit is None:
        return None
    return Quantity(number, percent, None if percent or (unit and not unit.dimension) else unit)


def _chinese(text: str, policy: Policy) -> Quantity | None:
    """Read a number in Chinese characters, `三百二十` with at most a unit behind."""
    digits = re.match("负?[零〇一二两三四五六七八九十百千万]+", text)
    if digits is None:
        return None
    total = section = digit = 0
    for character in digits[0].lstrip("负"):
        number = 2 if character == "两" else int(unicodedata.numeric(character))
        if number == 10_000:
            total, section, digit = total + (section + digit) * number, 0, 0
        elif number >= 10:
            section, digit = section + (digit or 1) * number, 0
        else:
            digit = number
    unit = read_unit(text[digits.end() :].strip(), policy, attached=True) if text[digits.end() :].strip() else None
    if text[digits.end() :].strip() and unit is None:
        return None
    number = total + section + digit
    return Quantity(Fraction(-number if digits[0].startswith("负") else number), unit=unit)


def _compound(text: str, policy: Policy) -> Quantity | None:
    """Add the parts of `1 hour 30 minutes`, `5 feet 3 inches`, `18 dollars and 50 cents`, in the first part's unit."""
    total, position = Fraction(0), 0
    first = last = None
    while position < len(text):
        part = _PART.match(text, position)
        unit = read_unit(part[2], policy, attached=False) if part else None
        if part is None or unit is None or not unit.is_measure or not unit.dimension:
            return None
        if last is not None and (unit.dimension != last.dimension or unit.factor >= last.factor):
            return None
        first, last = first or unit, unit
        total, position = total + Fraction(part[1]) * unit.factor, part.end()
    return Quantity(total / first.factor, unit=first) if first is not None else None


def _close(a: Fraction, b: Fraction, policy: Policy) -> bool:
    allowed = max(policy.absolute_tolerance, policy.relative_tolerance * max(abs(a), abs(b)))
    return a == b or abs(a - b) <= allowed
