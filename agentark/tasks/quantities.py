"""Numbers with what stands around them: sign, currency, percent, scale words, units."""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple

from agentark.tasks.arithmetic import MAX_LENGTH, grouped_digits, value
from agentark.tasks.policy import Policy


class Unit(NamedTuple):
    """A unit that converts into others."""

    dimension: str
    factor: Fraction


@dataclass(frozen=True, slots=True)
class Quantity:
    """An exact number and its mark."""

    value: Fraction
    percent: bool = False
    unit: str = ""
    """Singular, lower case; empty: none."""


def _table(dimension: str, **factors: str) -> dict[str, Unit]:
    return {name.replace("_", " "): Unit(dimension, Fraction(factor)) for name, factor in factors.items()}


_TIME: Final = {
    **_table("time", second="1", sec="1", s="1", minute="60", min="60", hour="3600", hr="3600", h="3600"),
    **_table("time", day="86400", week="604800", millisecond="1/1000", ms="1/1000"),
    **_table("months", month="1", year="12", yr="12", decade="120", century="1200"),
}
_MONEY: Final = {
    **_table("USD", **{"$": "1"}, dollar="1", usd="1", cent="1/100", **{"¢": "1/100"}, us_dollar="1", buck="1"),
    **_table("EUR", **{"€": "1"}, euro="1", eur="1"),
    **_table("GBP", **{"£": "1"}, gbp="1", pound_sterling="1", pence="1/100"),
    **_table("INR", **{"₹": "1"}, rupee="1", inr="1"),
    **_table("JPY", **{"¥": "1"}, yen="1", jpy="1"),
}
_MEASURES: Final = {
    **_table("length", mm="1/1000", millimeter="1/1000", cm="1/100", centimeter="1/100", m="1", meter="1"),
    **_table("length", km="1000", kilometer="1000", inch="254/10000", foot="3048/10000", ft="3048/10000"),
    **_table("length", yard="9144/10000", mile="1609344/1000", metre="1", kilometre="1000", centimetre="1/100"),
    **_table("mass", mg="1/1000", milligram="1/1000", g="1", gram="1", kg="1000", kilogram="1000"),
    **_table("mass", ounce="45359237/1600000", oz="45359237/1600000", lb="45359237/100000"),
    **_table("volume", ml="1/1000", milliliter="1/1000", l="1", liter="1", litre="1"),
    **_table("angle", degree="1"),
}
_SCALES: Final = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_IRREGULAR: Final = {"feet": "foot", "inches": "inch", "pennies": "cent", "centuries": "century", "people": "person"}
# fmt: off
_ONES: Final = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)
# fmt: on
_TENS: Final = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDS: Final = {
    **{word: n for n, word in enumerate(_ONES)},
    **{word: 10 * n for n, word in enumerate(_TENS, start=2)},
}
# Words after a number that are part of the mathematics, not a unit of it.
# fmt: off
_NOT_UNITS: Final = frozenset((
    "and", "or", "to", "sqrt", "sin", "cos", "tan", "cot", "sec", "csc", "log", "ln", "lg", "exp", "pi", "mod",
    "plus", "minus", "times", "over", "divided", "squared", "cubed", "choose", "infinity", "infty", "inf", "nan",
    "if", "where", "for", "is", "are", "x", "y", "z",
))
# fmt: on
_CURRENCY: Final = re.compile(r"^([-+]?)\s*(?:US\s?)?([$€£₹¥])\s*(?=[-+.\d\\])")
_NUMBER_AND_UNIT: Final = re.compile(
    r"(?P<number>.*[\d)}.])(?P<gap>\s*)"
    r"(?:(?P<percent>%|percent\b|per cent\b)\s*)?(?P<unit>[A-Za-z$€£₹¥¢][A-Za-z .\-/']*(?:\^\s*\{?[23]\}?)?)?$"
)
_TIME_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)\.?\s*(?:,|and\b)?\s*(?:and\b\s*)?")
_LEAD: Final = re.compile(r"^(?:\\approx(?![A-Za-z])|≈|~|about\b|approximately\b|exactly\b|only\b)\s*", re.IGNORECASE)


def quantity(text: str, policy: Policy) -> Quantity | None:
    """Read one number with its unit.

    Args:
        text: An answer, typography removed (`normalising.plain`).
        policy: Says which thousands separators and units count.

    Returns:
        The exact quantity, or None if the text is not exactly one number with at most a unit.
    """
    if not text or len(text) > MAX_LENGTH:
        return None
    text = _LEAD.sub("", grouped_digits(text, policy.thousands))
    if not any(c.isdigit() for c in text):
        return _spelled(text, policy)
    exact = value(text)
    if exact is not None:
        return Quantity(exact)
    currency = ""
    if match := _CURRENCY.match(text):
        currency, text = match[2], match[1] + text[match.end() :]
        if text.startswith("--"):
            return None
    parts = _NUMBER_AND_UNIT.fullmatch(text)
    if parts is None:
        return None
    number, unit = value(parts["number"]), (parts["unit"] or "").strip()
    if number is None:
        return _compound_time(text) if policy.time_units == "Convert" else None
    return _with_unit(number, unit, currency, parts, policy)


def _with_unit(number: Fraction, unit: str, currency: str, parts: re.Match[str], policy: Policy) -> Quantity | None:
    scale, unit = _scale(unit)
    if currency and unit and canonical(unit) not in _MONEY:
        # "$18 per day", "$5 each": the amount counts, what it is paid for does not change the unit.
        unit = ""
    if unit and not _is_unit(unit, attached=not parts["gap"] and not parts["percent"], policy=policy):
        return None
    if currency and unit and _MONEY[canonical(unit)].dimension != _MONEY[currency].dimension:
        return None
    return Quantity(number * scale, bool(parts["percent"]), canonical(unit) or currency)


def equal_quantities(a: Quantity, b: Quantity, policy: Policy) -> bool:
    """Whether two quantities are the same under a policy."""
    left, right = _convertible(a.unit, policy), _convertible(b.unit, policy)
    if left and right and left.dimension == right.dimension:
        return _close(a.value * left.factor, b.value * right.factor, policy)
    if a.unit and b.unit and a.unit != b.unit:
        money = a.unit in _MONEY and b.unit in _MONEY
        if (policy.currency if money else policy.units) == "Match":
            return False
    if a.percent == b.percent:
        return _close(a.value, b.value, policy)
    percent, bare = (a, b) if a.percent else (b, a)
    as_fraction = policy.percent != "Points" and _close(percent.value / 100, bare.value, policy)
    return as_fraction or (policy.percent != "Fraction" and _close(percent.value, bare.value, policy))


def split_unit(text: str, policy: Policy) -> tuple[str, str]:
    """Separate a trailing unit from an expression that is no plain number, as in `2\\sqrt{3} cm`.

    Returns:
        The expression and the unit's canonical name; the whole text and "" where there is no unit.
    """
    parts = _NUMBER_AND_UNIT.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if parts is None or not parts["unit"] or not parts["gap"] or parts["percent"]:
        return text, ""
    unit = parts["unit"].strip()
    return (parts["number"], canonical(unit)) if _is_unit(unit, attached=False, policy=policy) else (text, "")


def canonical(unit: str) -> str:
    """Bring a unit to one spelling: lower case, singular, `cm^2` for square centimetres."""
    text = " ".join(re.sub(r"[.{}]", "", unit.casefold()).replace("/", " per ").split())
    power = re.search(r"\s*\^\s*([23])$", text)
    text, suffix = (text[: power.start()], "^" + power[1]) if power else (text, "")
    for word, mark in (("square ", "^2"), ("sq ", "^2"), ("cubic ", "^3")):
        if text.startswith(word):
            text, suffix = text[len(word) :], mark
    return " ".join(_singular(word) for word in text.split()) + suffix


def _singular(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    return word[:-1] if len(word) > 2 and word.endswith("s") and not word.endswith("ss") else word


def _convertible(unit: str, policy: Policy) -> Unit | None:
    base, _, power = unit.partition("^")
    if base in _TIME and policy.time_units == "Literal":
        return None
    found = _TIME.get(base) or _MONEY.get(base) or _MEASURES.get(base)
    if found is None or not power:
        return found
    return Unit(f"{found.dimension}^{power}", found.factor ** int(power))


def _is_unit(unit: str, *, attached: bool, policy: Policy) -> bool:
    if _convertible(canonical(unit), policy) is not None:
        # 5m may be five times m; 5 m, 5cm and 5$ are not.
        return policy.kind != "math" or not attached or len(unit) > 1 or not unit.isalpha()
    names = unit.split()
    if len(unit) > 80 or len(names) > (12 if policy.kind == "number" else 4):
        return False
    if any(name.casefold().strip(".-/'") in _NOT_UNITS for name in names):
        return False
    if policy.kind == "number":
        return len(unit) > 1
    return not attached and all(len(name) > 2 or canonical(name) in _MEASURES or name == "of" for name in names)


def _scale(unit: str) -> tuple[int, str]:
    head, _, rest = unit.partition(" ")
    factor = _SCALES.get(head.casefold().rstrip("s"))
    return (factor, rest.strip()) if factor else (1, unit)


def _spelled(text: str, policy: Policy) -> Quantity | None:
    names = text.casefold().replace("-", " ").split()
    negative = names[:1] in (["minus"], ["negative"])
    names = names[1:] if negative else names
    total, group, used = 0, 0, 0
    for name in names[:12]:
        if name in _WORDS:
            group += _WORDS[name]
        elif name == "hundred" and group:
            group *= 100
        elif name in _SCALES and group:
            total, group = total + group * _SCALES[name], 0
        elif not (name == "and" and used and names[used - 1] == "hundred"):
            break
        used += 1
    if not used:
        return None
    number = Fraction(-(total + group) if negative else total + group)
    unit = " ".join(text.split()[used + negative :]) if "-" not in text else " ".join(names[used:])
    if unit and not _is_unit(unit, attached=False, policy=policy):
        return None
    return Quantity(number, unit=canonical(unit))


def _compound_time(text: str) -> Quantity | None:
    seconds, position, dimension = Fraction(0), 0, ""
    while position < len(text):
        part = _TIME_PART.match(text, position)
        unit = _TIME.get(canonical(part[2])) if part else None
        if part is None or unit is None or dimension not in ("", unit.dimension):
            return None
        dimension = unit.dimension
        seconds, position = seconds + Fraction(part[1]) * unit.factor, part.end()
    return Quantity(seconds, unit="second" if dimension == "time" else "month")


def _close(a: Fraction, b: Fraction, policy: Policy) -> bool:
    allowed = max(policy.absolute_tolerance, policy.relative_tolerance * max(abs(a), abs(b)))
    return a == b or abs(a - b) <= allowed
