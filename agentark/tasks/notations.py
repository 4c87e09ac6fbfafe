"""Answers that look like numbers and have rules of their own: times of day, ratios, numbers in a base, letters."""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal

from agentark.tasks.arithmetic import value

_CLOCK: Final = re.compile(
    r"(?P<hour>\d{1,2})(?::(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d))?)?\s*(?P<half>[ap])?(?(half)\.?\s?m\.?)"
    r"(?:\s*o'?clock)?",
    re.IGNORECASE,
)
_BASED: Final = re.compile(r"\(?([0-9A-Fa-f]{1,64}(?:\.[0-9A-Fa-f]+)?)\)?\s*_\s*(?:\{\s*(\w{1,12})\s*\}|(\d))")
_BASES: Final = {"two": "2", "three": "3", "five": "5", "eight": "8", "ten": "10", "twelve": "12", "sixteen": "16"}
_LETTER: Final = re.compile(r"[(\[]?([A-J])[)\]]?")
_LISTED: Final = re.compile(
    r"(?:(?:option|choice|answer)\s+)?(?:[(\[]([A-J])[)\]]|([A-J])\s?[.):])(?:\s+\S.*)?|(?:option|choice)\s+([A-J])"
)


@dataclass(frozen=True, slots=True)
class Clock:
    """A time of day."""

    hour: int
    """1 to 12."""
    minute: int
    second: int
    half: Literal["am", "pm"] | None
    """None: not said."""
    is_24_hours: bool
    """The half is said by an hour of 0 or above 12."""


def clock(text: str) -> Clock | None:
    """Read `9:30`, `15:00`, `9:30 a.m.`, `8 pm`; None for anything else."""
    match = _CLOCK.fullmatch(text.strip())
    if match is None or (match["minute"] is None and match["half"] is None):
        return None
    hour, minute, second = (int(match[part] or 0) for part in ("hour", "minute", "second"))
    if hour > 24 or (match["half"] and not 1 <= hour <= 12):
        return None
    is_24_hours = hour == 0 or hour > 12
    half: Literal["am", "pm"] | None = None
    if match["half"]:
        half = "am" if match["half"].casefold() == "a" else "pm"
    elif is_24_hours:
        half = "pm" if 12 < hour < 24 else "am"
    return Clock(hour % 12 or 12, minute, second, half, is_24_hours)


def same_clock(a: Clock, b: Clock) -> bool:
    """Whether two times are the same; a missing half of the day fits a.m. and p.m., but 3:00 is not 15:00."""
    if (a.hour, a.minute, a.second) != (b.hour, b.minute, b.second):
        return False
    if a.half is None or b.half is None:
        return a.half == b.half or not (a.is_24_hours or b.is_24_hours)
    return a.half == b.half


def ratio(text: str) -> tuple[Fraction, ...] | None:
    """Read `3:4`, `3 to 4`, `1:2:3` as multiples of their last part; None for a time of day or anything else."""
    parts = re.split(r":|(?<=\d)\s+to\s+(?=\d)", text)
    if not 2 <= len(parts) <= 8 or clock(text) is not None:
        return None
    values = [value(part.strip()) for part in parts]
    if any(part is None or part == 0 for part in values):
        return None
    numbers = [part for part in values if part is not None]
    return tuple(number / numbers[-1] for number in numbers[:-1])


def based(text: str) -> tuple[str, str] | None:
    """Read `1011_2` as digits and base; None for anything else."""
    match = _BASED.fullmatch(text.strip())
    if match is None:
        return None
    base = (match[2] or match[3]).casefold()
    return match[1].lstrip("0") or "0", _BASES.get(base, base)


def choice_letter(text: str) -> str | None:
    """Read a lone capital letter A to J, bare or in brackets; None for anything else."""
    match = _LETTER.fullmatch(text.strip())
    return match[1] if match else None


def listed_letter(text: str) -> str | None:
    """Read the letter before an option's text: `C. Vitamin D`, `(B) 5`, `option C`; None for anything else."""
    match = _LISTED.fullmatch(text.strip())
    return match[1] or match[2] or match[3] if match else None
