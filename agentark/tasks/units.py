"""Units of measure and money: what converts into what.

A unit is a product of powers of bases. Bases that are not in the tables are nouns ("duck egg"), which convert into
nothing else.
"""

import re
from fractions import Fraction
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple

from agentark.tasks.policy import Policy


class Unit(NamedTuple):
    """A unit that converts into others of the same dimension."""

    dimension: tuple[tuple[str, int], ...]
    """Base and power, sorted; the base of money is its currency, that of other things their noun."""
    factor: Fraction
    """How many of the base units it is."""

    @property
    def is_money(self) -> bool:
        """Whether it is an amount of one currency and nothing else."""
        return len(self.dimension) == 1 and self.dimension[0] in ((currency, 1) for currency in _CURRENCIES)

    @property
    def is_measure(self) -> bool:
        """Whether every base is in the tables."""
        return all(base in _BASES for base, _ in self.dimension)


def _table(dimension: str, **factors: str) -> dict[str, Unit]:
    return {
        name.replace("_", " "): Unit(((dimension, 1),), Fraction(factor)) if dimension else Unit((), Fraction(factor))
        for name, factor in factors.items()
    }


_CURRENCIES: Final = frozenset(("USD", "EUR", "GBP", "INR", "JPY", "CNY", "KRW", "RUB"))
_TIME: Final = {
    **_table("time", second="1", sec="1", s="1", minute="60", min="60", hour="3600", hr="3600", h="3600"),
    **_table("time", day="86400", week="604800", millisecond="1/1000", ms="1/1000"),
    **_table("months", month="1", year="12", yr="12", decade="120", century="1200"),
}
_OTHERS: Final = {
    **_table("USD", **{"$": "1"}, dollar="1", usd="1", cent="1/100", **{"¢": "1/100"}, us_dollar="1", buck="1"),
    **_table("USD", quarter_dollar="1/4"),
    **_table("EUR", **{"€": "1"}, euro="1", eur="1"),
    **_table("GBP", **{"£": "1"}, gbp="1", pound_sterling="1", pence="1/100"),
    **_table("INR", **{"₹": "1"}, rupee="1", inr="1", rs="1"),
    **_table("JPY", **{"¥": "1"}, yen="1", jpy="1"),
    **_table("CNY", yuan="1", rmb="1", cny="1", 元="1"),
    **_table("KRW", krw="1", **{"₩": "1", "원": "1"}),
    **_table("RUB", rub="1", ruble="1", rouble="1", **{"₽": "1"}),
    **_table("length", mm="1/1000", millimeter="1/1000", cm="1/100", centimeter="1/100", m="1", meter="1"),
    **_table("length", km="1000", kilometer="1000", inch="254/10000", foot="3048/10000", ft="3048/10000"),
    **_table("length", yard="9144/10000", yd="9144/10000", mile="1609344/1000", mi="1609344/1000", metre="1"),
    **_table("length", kilometre="1000", centimetre="1/100", millimetre="1/1000", **{"in": "254/10000"}),
    **_table("mass", mg="1/1000", milligram="1/1000", g="1", gram="1", kg="1000", kilogram="1000", tonne="1000000"),
    **_table("mass", ounce="45359237/1600000", oz="45359237/1600000", lb="45359237/100000"),
    **_table("volume", ml="1/1000", milliliter="1/1000", l="1", liter="1", litre="1", millilitre="1/1000"),
    **_table("angle", degree="1"),
    **_table("celsius", celsius="1", **{"degree c": "1", "degree celsius": "1"}),
    **_table("fahrenheit", fahrenheit="1", **{"degree f": "1", "degree fahrenheit": "1"}),
    # "12 square units" names no unit.
    **_table("", unit="1"),
}
_METRIC_SYMBOLS: Final = "N J W V A K C F T H S Pa Hz eV Wb mol Bq Gy Sv lm lx cd bar cal Ω pc AU ly Å dB rad B Ci atm"
_METRIC: Final = {
    **{symbol: Unit(((symbol, 1),), Fraction(1)) for symbol in _METRIC_SYMBOLS.split()},
    "m": Unit((("length", 1),), Fraction(1)),
    "g": Unit((("mass", 1),), Fraction(1)),
    "s": Unit((("time", 1),), Fraction(1)),
    "L": Unit((("volume", 1),), Fraction(1)),
}
_PREFIXES: Final = MappingProxyType(
    {"p": -12, "n": -9, "μ": -6, "µ": -6, "u": -6, "m": -3, "c": -2, "d": -1, "k": 3, "M": 6, "G": 9, "T": 12}
)
_KNOWN: Final = MappingProxyType(_TIME | _OTHERS)
_BASES: Final = frozenset(base for unit in _KNOWN.values() for base, _ in unit.dimension)
_ALIASES: Final = MappingProxyType(
    {"deg": "degree", "degs": "degree", "mph": "mile per hour", "kph": "km per hour", "kmph": "km per hour"}
)
_IRREGULAR: Final = MappingProxyType(
    {"feet": "foot", "inches": "inch", "pennies": "cent", "penny": "cent", "centuries": "century", "people": "person"}
)
_POWER_WORDS: Final = MappingProxyType({"square": 2, "sq": 2, "cubic": 3, "cu": 3})
_RAISED_WORDS: Final = MappingProxyType({"squared": 2, "cubed": 3})
_TOKEN: Final = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*\.?|[$€£₹¥¢₩₽]|\^\s*\{?\s*(-?\d)\s*\}?|[/*]|\S")
# Words after a number that are part of the mathematics or of a sentence, not a unit of it.
_NOT_UNIT_WORDS: Final = """
    mil millionen millones milhões mln млн миллион миллиона миллионов тысяч тысячи mille tausend
    alpha beta gamma delta epsilon theta lambda mu nu rho sigma tau phi psi omega
    a.m above added am and are at base below between billion billionth billionths bps but by choose cos cot crore
    csc cubed divided doubled dozen e eight eighth eighths eleven except exp factorial fewer fifth fifths for four
    fourth fourths grand half halves hundred hundredth hundredths i if incorrect inf infinity infty is lakh less
    lg ln log maybe mille million millionth millionths minus mod modulo multiplied nan nd negative nine ninth
    ninths nor not off one or out p.m perhaps pi plus pm point possibly power ppb ppm probably quarter
    quarters raised rd rejected remainder root roots score scores seven seventh sevenths sin six sixth sixths
    sqrt squared st subtracted tan ten tenth tenths th than third thirds thousand thousandth thousandths three
    through times to tripled twelve twenty two under versus vs where wrong x y z zero
"""
_NOT_UNITS: Final = frozenset(_NOT_UNIT_WORDS.split())


@lru_cache(maxsize=4096)
def read_unit(text: str, policy: Policy, *, attached: bool) -> Unit | None:
    """Read what stands behind a number.

    Args:
        text: Words, signs and powers: `dollars`, `cm^2`, `m/s`, `square units`, `duck eggs`.
        policy: Says whether times convert, and how strict maths is with words.
        attached: No blank stands between the number and the text.

    Returns:
        The unit; None if the text is no unit, as in `5x` or `5 and 6`.
    """
    words = text.split()
    metric = _metric(text.strip().rstrip(".")) if policy.kind == "math" and not (attached and len(text) == 1) else None
    # mm is a millimetre and Mm a megametre, while CM is a centimetre written loudly.
    if metric is not None and (text != text.casefold() or _lookup(_singular(text), policy) is None):
        return metric
    if not text or len(text) > 80 or len(words) > (12 if policy.kind == "number" else 5):
        return None
    lowered = [part.strip(".-/'") for word in words for part in (word.casefold(), *word.casefold().split("-"))]
    if any(word in _NOT_UNITS and not (word in _RAISED_WORDS and at) for at, word in enumerate(lowered)) or (
        "in" in lowered and len(lowered) > 1
    ):
        return None
    written = text
    text = " ".join(_ALIASES.get(word, word) for word in text.casefold().split())
    known = _lookup(_singular(text.rstrip(".")), policy)
    if known is not None:
        # 5m may be five times m; 5 m, 5cm and 5$ are not.
        is_symbol = policy.kind == "math" and attached and len(text) == 1 and text.isalpha() and text.isascii()
        return None if is_symbol else known
    if policy.kind == "number" and len(text) == 1 and text.isascii():
        return None
    return _product(
        written if policy.kind == "math" and text == written.casefold() else text, policy, attached=attached
    )


@lru_cache(maxsize=1024)
def _metric(symbol: str) -> Unit | None:
    """Read a symbol of the metric system, capitals told apart: `N`, `kJ`, `MHz`, `μm`."""
    base = _METRIC.get(symbol)
    if base is None and len(symbol) > 1 and symbol[0] in _PREFIXES:
        base = _METRIC.get(symbol[1:])
        return Unit(base.dimension, base.factor * Fraction(10) ** _PREFIXES[symbol[0]]) if base else None
    return base


def _lookup(name: str, policy: Policy) -> Unit | None:
    if name in _TIME and policy.time_units == "Literal":
        return None
    return _KNOWN.get(name)


def _product(text: str, policy: Policy, *, attached: bool) -> Unit | None:
    powers: dict[str, int] = {}
    factor, sign, prefix = Fraction(1), 1, 1
    nouns: list[str] = []
    last: Unit | None = None
    for token in _TOKEN.finditer(text):
        word = _singular(token[0].casefold().rstrip("."))
        if word in ("a", "an", "the", "(", ")"):
            continue
        raised = int(token[1]) if token[1] else _RAISED_WORDS.get(word, 0)
        if raised:
            if last is None or nouns:
                return None
            # The base was counted once already.
            factor *= _multiply(powers, last, sign * (raised - 1))
            continue
        if token[0] in ("/", "*") or word == "per":
            nouns = _counted(nouns, powers, sign)
            sign, prefix, last = 1 if token[0] == "*" else -1, 1, None
            continue
        if word in _POWER_WORDS:
            prefix = _POWER_WORDS[word]
            continue
        unit = _lookup(word, policy) or (_metric(token[0]) if policy.kind == "math" else None)
        if unit is None:
            if not _is_noun(token[0], policy, attached=attached):
                return None
            nouns = [*nouns, word]
            continue
        last = unit
        factor *= _multiply(powers, last, sign * prefix)
        last, prefix = last if prefix == 1 else None, 1
    if not (sign > 0 and any(base in _BASES for base in powers)):
        # "5 cm of rope" are 5 cm.
        _counted(nouns, powers, sign)
    currencies = {base: power for base, power in powers.items() if base in _CURRENCIES}
    # "18 dollars per day": what an amount is paid for does not change its unit.
    powers = currencies or powers
    return Unit(tuple(sorted((base, power) for base, power in powers.items() if power)), factor)


def _multiply(powers: dict[str, int], unit: Unit, times: int) -> Fraction:
    for base, power in unit.dimension:
        powers[base] = powers.get(base, 0) + power * times
    return unit.factor**times


def _counted(nouns: list[str], powers: dict[str, int], sign: int) -> list[str]:
    """Add the nouns read so far as one base, and begin anew."""
    if nouns:
        name = " ".join(nouns)
        powers[name] = powers.get(name, 0) + sign
    return []


def _is_noun(word: str, policy: Policy, *, attached: bool) -> bool:
    if not word[0].isalpha():
        return False
    if policy.kind == "number" or not word.isascii():
        return True
    return not attached and (len(word) > 2 or word == "of")


def _singular(text: str) -> str:
    return " ".join(map(_singular_word, text.split()))


def _singular_word(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    return word[:-1] if len(word) > 2 and word.endswith("s") and not word.endswith("ss") else word
