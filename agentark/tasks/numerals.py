"""Numbers in running text, each with all that belongs to it.

A number is never cut: sign, currency, groups of digits, fraction, exponent, percent and the calculation it stands in
come with it. What cannot be read as a whole is reported as such, so that no part of it is taken for the number.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from agentark.tasks.denial import DENYING, WRONG
from agentark.tasks.normalising import plain
from agentark.tasks.policy import Policy
from agentark.tasks.quantities import NUMBER_WORDS, quantity


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
    rf"(?:[1-9]\d{{0,2}}(?:{_BLANK}\d{{3}})+(?:\.\d+)?(?!\d|{_BLANK}?[/⁄]|{_BLANK}\d)"
    r"|\d+(?:(?:[.,'’]|\{,\}|,?\\!|\\[,;: ])\d+)*|\.\d+)"
)
_FRACTION: Final = r"\\[dtc]?frac\s*(?:\{\s*-?\d+\s*\}\s*\{\s*\d+\s*\}|\d\s*\d)"
_CURRENCY: Final = r"(?:(?:US)?\\?[$€£₹¥₩₽]|\b(?:USD|EUR|GBP|INR|Rs\.?)(?=\s?\d))"
_NUMBER: Final = (
    rf"(?:{_FRACTION}|{_DIGITS}(?:[eE][-+]?\d{{1,3}}(?![A-Za-z\d]))?"
    rf"(?:\s?{_FRACTION}|(?:\s+and)?\s+\d+\s?[/⁄]\s?\d+(?![\d/])|\s+and\s+(?:a|one|two|three)[\s-](?:half|third|"
    rf"quarter|fourth)s?\b|\s?[{_GLYPHS}]|\s?[/⁄]\s?\d+(?:\.\d+)?)?|[{_GLYPHS}])"
)
_SIGN: Final = (
    r"(?:(?<![A-Za-z0-9)\]}.%])[-−–—‐‑‒﹣](?=[$€£₹¥\d.\\¼½¾⅓⅔])|(?<=[=(:])\s*[-−–](?:\s|\\[,;:! ]){0,3}|"
    r"(?<![\d)]\s)\b(?:[Mm]inus|[Nn]egative)\s+)"
)
_OPERATOR: Final = (
    r"(?:\s?(?:[*×·⋅÷]|\\times|\\cdot|\\div|\^\s?\{?|\*\*)\s?|\s?\+\s?|\s[-−–/]\s|\sx\s|(?<=\d)[-−–](?=\d))"
)
# The operands of a calculation, units of the first ones left out: a calculation with units is not read.
_NUMERAL: Final = re.compile(
    rf"{_SIGN}?(?<!\d:)(?<!\d/)(?:(?<![A-Za-z_\d.^\\√∛₀-₉]){_CURRENCY}\s?[-−–]?|"
    rf"(?<![A-Za-z_\d.^\\√∛₀-₉])(?<!log[₀-₉]\s)){_NUMBER}"
    rf"(?:{_OPERATOR}[-−–]?{_CURRENCY}?{_NUMBER}\}}?)*"
    r"(?:\s?\\?%|\s+(?:percent|per\s?cent|percentage|pct)\b|\s(?:hundred|thousand|million|billion|trillion|dozen)s?\b)?"
)
_COMPOUND: Final = re.compile(r"\s?[^\W\d_]{1,12}\.?,?\s(?:and\s)?\d+(?:\.\d+)?\s?[^\W\d_]{1,12}")
_ORDINAL: Final = re.compile(r"(?:st|nd|rd|th)\b")
_ATTACHED: Final = re.compile(
    r"[A-Za-z]+(?:\d+|[²³])?|['′″\"](?=[\d\s.]|$)|[⁰¹²³⁴-⁹⁻]|\.\(|\.?\\(?:overline|bar)|/\d|\s\d|[—–]\s?\d|"
    r"\.{2,}\s?\d|[‰‱√∛π]|\s?log[_₀-₉]|[_(\[{^!]|:\d|\\[A-Za-z]+"
)
MAX_SPELLED: Final = 2000
MAX_SEARCHED: Final = 10_000
_NUMBER_WORD: Final = "|".join((*NUMBER_WORDS, "hundred", "thousand", "million"))
_SPELLED_ON: Final = re.compile(
    rf"\b(?:{_NUMBER_WORD})[\s-]+(?:dozen|score|point|times|percent|halves|half|thirds?|quarters?|fourths?|"
    rf"fifths?|tenths?|hundredths?|and\s+a|plus|minus|or|to)\b|"
    r"\b(?:twice|half|double|not|minus)\b",
    re.IGNORECASE,
)
_SPELLED: Final = re.compile(
    rf"\b(?:minus\s+)?(?:{_NUMBER_WORD})\b(?:[\s-]+(?:and\s+)?(?:{_NUMBER_WORD})\b)*", re.IGNORECASE
)
# "8 - 9 days" is a range, while 12 - 5 may be calculated.
_SPACED_DASH: Final = re.compile(r"\d\s-\s\d")
_RANGE_DASH: Final = re.compile(r"\d[-−–]\d|\d\s[–—]\s\d")
_DENIED: Final = re.compile(
    rf"(?:{DENYING}|\bexcept\s+for|\b(?:cannot|can\s?not|never)\s+be|\bno\s+longer)\s+"
    r"(?:(?:the|a|just|only|exactly|equal\s+to|simply|to\s+be|be|by|agent|answer)\s+){0,3}[$\"'(]*$",
    re.IGNORECASE,
)
_JOINED: Final = re.compile(
    r"(?:\s?\\?%|\s[A-Za-z.%]{1,20}){0,3}\$?\s*\(?(?:[,;]?\s*\b(?:or|and|to|through|till|until)\b|,|/|–|\bplus\b)\s*"
    r"(?:(?:maybe|perhaps|possibly|also|even|either|about)\s+)?\\?[$€£₹]?[-−]?[\d.]",
    re.IGNORECASE,
)
_AFTER_ANOTHER: Final = re.compile(
    r"[<>≤≥]\s*$|\\(?:leq?|geq?|lt|gt)\s*$|\d\s?(?:h|hours?|hrs?|minutes?|mins?|feet|foot|ft|pounds?|lbs?|"
    r"dollars?)\s$|\bout\s+of\s+$|\d\s?[–—]\s?$|\bor\s+(?:maybe\s+|perhaps\s+|possibly\s+)?\\?[$€£(]?$|"
    r"[\d%](?:\s[A-Za-z.%]{1,20}){0,2}\s*(?:,?\s*\b(?:and|to|through|y|et|und|и|e)\b|,|;|和|と|"
    r"와)\s*(?:[A-Za-z]\s?=\s?)?\\?[$€£]?$",
    re.IGNORECASE,
)
_PRECISION: Final = re.compile(
    r"\s*(?:[A-Za-z]+\s){0,3}to\s+(?:the\s+nearest\b|(?:\d+|one|two|three)\s+(?:decimal|significant|d\.?p|s\.?f|"
    r"places))",
    re.IGNORECASE,
)
# What stands in front of a number that is then only a bound, or a part of a calculation.
_BOUND: Final = re.compile(
    r"(?:\bat\s+(?:least|most)|\b(?:less|more|greater|fewer|larger|smaller|higher|lower)\s+than|\b(?:under|below|"
    r"above|exceeds?|exceeding|almost|nearly|divisible\s+by)|\bup\s+to|"
    r"\b(?:minus|plus|times|(?:multiplied|divided)\s+by|over|of|twice|double|triple|half|mod|off|choose|"
    r"than\s+or\s+equal\s+to|"
    r"other\s+than|anything\s+but|other)|"
    r"[πA-Za-z)]\s*[-+*/^×]|[−⁻➖˗]|(?:\bpi|π)\s*/?|"
    r"[<>≤≥±√≠]|!=|\\(?:neq?|[lg]eq?|[lg]t|pm|sqrt|log|ln|sin|cos|tan|pi)|\b(?:sqrt|log|ln|sin|cos|tan)|%|"
    r"\\[A-Za-z]+\s*\{|[_^]\{?|\{\.\}|\.\()[\s({$]*$",
    re.IGNORECASE,
)
_CALCULATED: Final = re.compile(
    r"\s*(?:[±√]|\\(?:pm|sqrt|pi|cdot|times|div)\b|(?:over(?=\s+\d)|times|plus|minus|divided|multiplied|less|"
    r"percent\s+less|"
    r"raised|per\s?cent\s+of|%\s+of|%\s+off|squared|cubed)\b|per\s+(?:mille|million|billion|thousand)\b)",
    re.IGNORECASE,
)
_LIST_NUMBER: Final = re.compile(r"[.)]\s+[^\W\d_]")
_WRONG: Final = re.compile(rf"\s+(?:is|was)\s+(?:not|{WRONG})\b", re.IGNORECASE)
_TAIL_END: Final = re.compile(
    r"[.,;:!?()\n—=<>≤≥→|/\[\]{}\\]|\s(?:for|per|in|from|at|with|after|on|because|since|which|so|as|each|every|"
    r"when|where|that|this|and|or|to|is|"
    r"are|was|were|if|while|than|of|over|during|before|until|instead|rather|not|but|he|she|they|it|we|"
    r"I(?=\s\w))\b|[^\x00-\x7f\s]|$"
)
_QUESTION: Final = re.compile(r"[^.!?\n]{0,40}\?")
_ELSEWHERE: Final = re.compile(
    r"\b(?:for|per|in|from|at|with|after|on|over|during|because|since|which|so|as|each|every|when|where|that|out)\b|"
    r",\s|[(:]|;(?=\s+[A-Za-z])|—(?!\s*\d)",
    re.IGNORECASE,
)
_HEDGED: Final = re.compile(
    r"\band\s+(?:a|one|three)\s+(?:half|quarters?)\b|\b(?:otherwise|or\s+else|also\s+possible|maybe|perhaps|"
    r"possibly|give\s+or\s+take)\b",
    re.IGNORECASE,
)
_BETWEEN: Final = re.compile(r"\b(?:between|from|anywhere)\s*\\?[$€£]?$", re.IGNORECASE)


def _stands(text: str, match: re.Match[str]) -> bool:
    """Whether a number is not denied: "not 8", "8 is wrong"."""
    line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
    if (
        not line.strip("#*> \t")
        and (line.startswith("#") or match.start() > len(line))
        and _LIST_NUMBER.match(text, match.end())
    ):
        return False
    before = _DENIED.search(text, max(0, match.start() - 50), match.start())
    return not (before or _WRONG.match(text, match.end()))


def _names_unit(text: str, end: int, policy: Policy) -> bool:
    """Whether what follows a number is at most a unit, up to the next comma or preposition: not "5 pi"."""
    boundary = _TAIL_END.search(text, end)
    tail = text[end : boundary.start() if boundary else len(text)].strip(" $*_\"'”’")
    return not tail or quantity(plain(f"1 {tail}"), replace(policy, kind="number", units="Ignore")) is not None


def numerals(text: str, policy: Policy) -> Iterator[Numeral]:
    """Find the numbers of a text in order; those that the text denies ("not 8") are left out."""
    position = 0
    while match := _NUMERAL.search(text, position):
        position = max(match.end(), match.start() + 1)
        if _stands(text, match):
            yield _numeral(text, match, policy)


def last_numeral(text: str, policy: Policy) -> Numeral | None:
    """Find the last number of a text that it does not deny.

    Returns:
        Its offsets count from the last `MAX_SEARCHED` characters of the text. None without any, or where it is one of
        several, asked for, a bound, or a part of a calculation that is not read.
    """
    last = before = None
    text = text[-MAX_SEARCHED:]
    for match in _NUMERAL.finditer(text):
        if _stands(text, match):
            before, last = last, match
    if last and before and last.start() - before.end() <= 20:
        # "1 hour 30 minutes" is one.
        whole = _numeral(text, before, policy)
        if whole.end > last.start():
            return whole
    if last is None or _QUESTION.match(text, last.end()) or _CALCULATED.match(text, last.end()):
        return None
    if _BOUND.search(text, max(0, last.start() - 20), last.start()):
        return None
    if _AFTER_ANOTHER.search(text, max(0, last.start() - 60), last.start()):
        return None
    return _numeral(text, last, policy)


def last_spelled(text: str) -> str | None:
    """Find the one number that a text without digits has in words; None without any or with several."""
    if len(text) > MAX_SPELLED or any(character.isdigit() for character in text):
        return None
    spelled = [match[0] for match in _SPELLED.finditer(text) if match[0].casefold() != "one"]
    if _SPELLED_ON.search(text):
        return None
    return spelled[0] if len(spelled) == 1 else None


def is_one_of_several(text: str, numeral: Numeral) -> bool:
    """Whether a number stands in a list, a range or between alternatives: `8 or 9`, `5 to 7 days`, `3 apples and 2`."""
    if _PRECISION.match(text, numeral.end):
        return False
    hedge = _HEDGED.search(text)
    if hedge and (hedge[0].startswith("and") or len(_NUMERAL.findall(text)) > 1):
        return True
    if _CALCULATED.match(text, numeral.end) or _BOUND.search(text, max(0, numeral.start - 20), numeral.start):
        return True
    following = _NUMERAL.search(text, numeral.end)
    if following and not _ELSEWHERE.search(text, numeral.end, following.start()):
        return True
    return bool(_JOINED.match(text, numeral.end) or _BETWEEN.search(text, max(0, numeral.start - 12), numeral.start))


def _numeral(text: str, match: re.Match[str], policy: Policy) -> Numeral:
    end = match.end()
    compound = _COMPOUND.match(text, end)
    if compound and quantity(plain(text[match.start() : compound.end()]), policy) is not None:
        return Numeral(text[match.start() : compound.end()].strip(), match.start(), compound.end(), True)
    written = match[0].strip()
    attached = _ATTACHED.match(text, end)
    whole = written
    if _BOUND.search(text, max(0, match.start() - 20), match.start()):
        return Numeral(written, match.start(), end, False)
    if attached and _ORDINAL.match(text, end):
        # "5th" is a number to count with, but a date or a place is none.
        return Numeral(written, match.start(), end, policy.kind == "number")
    if attached:
        if attached[0] == "!" or text[end - 1].isspace():
            attached = None
        else:
            whole = written + attached[0]
            if not attached[0][0].isalpha():
                # An exponent or another sign belongs to the number, where a unit does not.
                written, end = whole, end + len(attached[0])
    if policy.kind == "number" or not attached:
        end_of_number = end + (len(attached[0]) if attached and attached[0][0].isalpha() else 0)
        if not _names_unit(text, end_of_number, policy):
            return Numeral(written, match.start(), end, False)
    if _SPACED_DASH.search(written) and text[end : end + 2].strip():
        return Numeral(written, match.start(), end, False)
    readable = not _RANGE_DASH.search(written) and quantity(plain(whole), policy) is not None
    return Numeral(written, match.start(), end, readable)
