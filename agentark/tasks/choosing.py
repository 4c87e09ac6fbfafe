"""Which letter of a multiple-choice question a text settles on.

A lone letter is a choice only where the text says so: the words "a" and "I", "vitamin D" and "hepatitis B" are not.
What counts is the conclusion, not the option that is discussed last; what is denied is not chosen, and two letters in
one statement are no choice.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from agentark.tasks.markers import DENIAL, HASHES, TAGGED, TAKEN_BACK, WITHDRAWN, answer_markers
from agentark.tasks.normalising import plain, unwrap

MAX_STATEMENT: Final = 300
"""Characters behind a marker in which its letter stands."""

_BOX: Final = re.compile(r"\\(?:boxed|fbox)\s*\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}?")
_NOUN_MARKER: Final = re.compile(
    r"\b(?:option|choice|alternative|letter)\b\s*(?:\([a-z ]{1,20}\)\s*)?"
    r"(?:(?:is|was|would\s+be|must\s+be|should\s+be|will\s+be)\b\s*:?|[:=])\s*",
    re.IGNORECASE,
)
_FILLER: Final = re.compile(
    r"(?:\s|[*_`$\"'{:,]|\\[(\[]|\\begin\s*\{[a-z*]{1,12}\}|\\(?:text|mathrm|textbf|mathbf|boxed|fbox)\s*\{|"
    r"(?:the\s+)?(?:correct\s+|right\s+|best\s+)?(?:option|choice|letter|answer)\b(?:\s+is\b)?|"
    r"(?:therefore|clearly|definitely|for\s+sure|surely|certainly|of\s+course|exactly|only|obviously|indeed|simply|most\s+likely|probably|likely|definitively|thus|then|to\s+choose)\b)*",
    re.IGNORECASE,
)
_BOTH: Final = re.compile(r"(?:both|either|neither|all|none)\b", re.IGNORECASE)
_DENIED_AFTER: Final = (
    r"(?!\W{0,3}\s(?:(?:is|was|are|were|can|could|would|should|may|might|will|does|do|did|has|seems?|looks?|must|as)\s*(?:n['’]t|not)\b|cannot\b|"
    r"(?:is|was|are|were|seems|looks|would\s+be|can\s+be|must\s+be|could\s+be|may\s+be|should\s+be|as)\s+(?:(?!right|correct|best|the\b)\w+\s+){0,2}?"
    r"(?:wrong|incorrect|false|not|never|excluded|eliminated|unlikely|ruled|rejected|implausible|impossible|out|less|too|also)\b|"
    r"(?:has|have)\s+been\s+(?:excluded|eliminated|ruled)))"
)
_DENIED_BEFORE: Final = re.compile(
    r"(?:\bnot|n['’]t(?:\s+be)?|\brather\s+than|\binstead\s+of|\bunlike|\bexcept|\bneither|\bnor|\bexclud\w+|\beliminat\w+|"
    r"\brul\w+\s+out|\breject\w*|\bdiscard\w*|\bdismiss\w*|\bnever|\bthan|\bwithout)\s+(?:the\s+)?(?:answer\s+|option\s+|choice\s+|by\s+)?[*_($]*$",
    re.IGNORECASE,
)
_RIGHT: Final = (
    r"(?:is|was|must\s+be|would\s+be|should\s+be|has\s+to\s+be|seems(?:\s+to\s+be)?|looks|appears(?:\s+to\s+be)?|remains)\s+"
    r"(?:(?:clearly|therefore|thus|obviously|indeed|definitely|the\s+only|the|our|my|only|most|a)\s+)*"
    r"(?:(?:single|one|most|more|only)\s+)?(?:right|correct|best|true|likely|accurate|appropriate|plausible|suitable|answer|choice|option\s+that\s+fits)\b"
    r"|(?:fits|matches|answers|works|satisfies|holds)\b(?:\s+(?:best|the|all|well|perfectly|every|better)\b)?"
)
_LEAD: Final = (
    r"\b(?:so|thus|hence|therefore|consequently|accordingly|finally|(?:no|rather|actually|instead)(?=,)|i\s+(?:would\s+)?(?:choose|chose|pick|select|answer|say)|"
    r"(?:we\s+)?(?:choose|chose|pick|select)|go(?:es|ing)?\s+(?:for|with)|it\s+is|it['’]s|that\s+is|that['’]s|this\s+is|"
    r"it\s+(?:must|has\s+to|should|would|can\s+only)\s+be|this\s+(?:must|has\s+to)\s+be|leav(?:es|ing)|settl\w+\s+on|point\w*\s+to|conclu\w+(?:\s+that)?)"
    r"(?:[,:\s]+(?:it\s+(?:must\s+be|has\s+to\s+be|is)|it['’]s|only|just|us\s+with|us|clearly|indeed|the\s+answer\s+is))*"
)


# Behind a lead such as "so": what is told of the option is no choice of it.
_TOLD_OF: Final = (
    r"(?!\s+(?:is|was|causes?|has|does|can|may|would|will|leads?|treats?|increases?)\b"
    r"(?!\s+(?:the|right|correct|best|clearly|indeed|therefore|most|more|true)\b))"
)
# What an option's letter may follow when it begins a clause.
_BEFORE_OPTION: Final = re.compile(
    r"(?:^|[.,;:!?()\[\]\n\"'*_`-]|\b(?:so|thus|hence|therefore|that|because|since|and|but|while|though|only|think|believe|say|"
    r"conclude|then|or|as|clearly|whereas|which\s+means|if|however|is|see))\s*[(*\[_]*$",
    re.IGNORECASE,
)


class _Letters(NamedTuple):
    """What may be chosen, compiled once for a set of letters."""

    alone: re.Pattern[str]
    listed: re.Pattern[str]
    another_listed: re.Pattern[str]
    wrapped: re.Pattern[str]
    bare: re.Pattern[str]
    small: re.Pattern[str]
    leading: re.Pattern[str]
    more: re.Pattern[str]
    bracketed: re.Pattern[str]
    verdict: re.Pattern[str]
    conclusion: re.Pattern[str]


@lru_cache
def _patterns(letters: str) -> _Letters:
    # What may follow the letter when it is a choice and not the article "A" or the pronoun "I".
    word = (
        r"(?!\s+(?!(?:because|as|since|which|due|for|based|given|with|is|was|and|or|but|if|not|fits|matches|remains|has|"
        r"seems|must|would|should|works)\b)[a-z])"
    )
    verb = (
        r"(?!['’\s]+(?:am|m|have|ve|think|get|got|believe|would|will|ll|can|found|see|agree|know|choose|pick|say|was|did|"
        r"do|conclude|select|went|go|need|must|should)\b)"
    )
    one = f"[{letters}]"
    any_case = f"[{letters}{letters.lower()}]"
    lone = rf"(?:(?![AI]\b){one}|(?!I){one}{word}|(?!A){one}{verb})(?![A-Za-z0-9_'’+-]|\.[A-Za-z0-9])"
    return _Letters(
        alone=re.compile(rf"(?:option|choice|answer)?\s*[(\[]?\s*({one})\s*[)\]]?", re.IGNORECASE),
        listed=re.compile(rf"(?:\(({one})\)|({one})\s?[.):,])\s*(?!{one}\b)\S[^\n]*"),
        another_listed=re.compile(rf"(?:^|\s)\(?{one}[).:]"),
        wrapped=re.compile(rf"[(\[]\s*({any_case})\s*[)\]]"),
        bare=re.compile(rf"({lone})"),
        # In scripts that have no capitals nothing else begins so.
        leading=re.compile(rf"\s*\(?({one})\)?\s*[。，]?\s*(?=[^\x00-\x7f])"),
        small=re.compile(rf"({one.lower()})(?:\)|[.\s*_]*$)"),
        more=re.compile(
            rf"\s*[)\]*_}}]*\s*(?:,\s*(?:and|or)?|/|&|\band\b|\bor\b|\bas\s+well\s+as\b)\s*(?i:option\s+|choice\s+)?\(?({one})(?![A-Za-z0-9_'’])(?!\s+(?:is|was|are)\b)"
        ),
        bracketed=re.compile(rf"\(({one})\)|\b(?i:option|choice|letter)\s+\(?({one})(?![A-Za-z0-9_'’])"),
        verdict=re.compile(
            rf"(?P<before>\b(?i:option|choice|answer|alternative|statement)\s+)?[(\[*]*(?P<letter>{lone})[)\]*.:]*\s*"
            rf"(?:,\s*)?(?:\([^()\n]{{1,80}}\)\s*)?(?P<verdict>{_RIGHT})(?!\s+(?:not|incorrect|wrong|neither)\b)",
        ),
        conclusion=re.compile(
            rf"(?P<lead>(?i:{_LEAD})[,:\s]*(?i:the\s+)?(?i:(?:correct|best|right|only|final)\s+)*(?i:answer|option|choice|letter)?\s*"
            rf"(?i:(?:is|must\s+be|has\s+to\s+be)\s+)?)[*_$]*\(?(?P<letter>{lone})\)?(?![A-Za-z0-9_'’]){_DENIED_AFTER}{_TOLD_OF}"
        ),
    )


def letter(text: str, letters: str) -> str | None:
    """Find the letter a text chooses.

    Args:
        text: A model's text as its reader sees it (`cleaning.visible`).
        letters: The letters that may be chosen, upper case.

    Returns:
        One upper-case letter, or None if the text makes no choice or more than one.
    """
    alone = stated(text, letters)
    if alone:
        return alone
    patterns = _patterns(letters)
    if leading := patterns.leading.match(text):
        return leading[1]
    for fragments in (_BOX.findall(text), TAGGED.findall(text), HASHES.findall(text)):
        for fragment in reversed(fragments):
            chosen = _at_start(unwrap(fragment), patterns) or _bracketed(fragment, patterns)
            if chosen:
                return chosen if len(chosen) == 1 else None
    marked = _marked(text, patterns)
    if marked is not None:
        return marked or None
    return _judged(text, patterns) or _line_alone(text, letters)


def stated(text: str, letters: str) -> str | None:
    """Read a text that is nothing but a choice: `B`, `(b)`, `B.`, `B) aspirin`."""
    text = plain(text[:600]) if "\\" in text else unwrap(text)
    if len(text) > 500:
        return None
    patterns = _patterns(letters)
    whole = patterns.alone.fullmatch(text)
    if whole:
        return whole[1].upper()
    listed = patterns.listed.fullmatch(text)
    if listed is None or patterns.another_listed.search(listed[0][3:]) or _verdict_in(listed[0][1:]):
        return None
    return listed[1] or listed[2]


def _verdict_in(text: str) -> bool:
    """Whether what follows the first letter judges it or others rather than being its text."""
    return bool(re.match(r"\W*\s(?:is|was|cannot|can['’]t)\b", text))


def _marked(text: str, patterns: _Letters) -> str | None:
    """Letter behind the last marker that has one; "" where it names several; None without any."""
    markers = sorted([*answer_markers(text), *_NOUN_MARKER.finditer(text)], key=lambda match: match.end())
    for marker in reversed(markers):
        fragment = text[marker.end() : marker.end() + MAX_STATEMENT].lstrip().removeprefix("- ")
        line, _, rest = fragment.partition("\n")
        if DENIAL.match(line):
            line = _after_denial(line)
        chosen = _at_start(line, patterns) or _bracketed(line, patterns)
        if not chosen and rest and not _FILLER.sub("", line).strip(" -"):
            chosen = _at_start(rest.lstrip(" \t-*\n"), patterns)
        if chosen:
            if _is_taken_back(line):
                continue
            return chosen if len(chosen) == 1 else ""
        if _BOTH.match(line):
            return ""
    return None


def _after_denial(line: str) -> str:
    """What a statement turns to after a denial: `not A but B`; empty where it turns to nothing."""
    turned = re.search(r"\bbut\s+(?:rather\s+)?|[;,]\s*(?:it\s+is|it['’]s|rather)\s+", line)
    return line[turned.end() :] if turned else ""


def _is_taken_back(line: str) -> bool:
    """Whether a statement is only asked, or withdrawn in the same breath."""
    end = re.search(r"[.!?](?=\s|$)", line)
    if end and (end[0] == "?" or TAKEN_BACK.match(line, end.start())):
        return True
    return bool(WITHDRAWN.search(line, 0, end.start() if end else len(line)))


def _at_start(fragment: str, patterns: _Letters) -> str:
    """Letters with which a statement begins; more than one where it names several, "" where it names none."""
    fragment = fragment[_FILLER.match(fragment).end() :]  # type: ignore[union-attr]
    first = patterns.wrapped.match(fragment) or patterns.bare.match(fragment) or patterns.small.match(fragment)
    if first is None:
        return ""
    more = patterns.more.match(fragment, first.end())
    return first[1].upper() + (more[1] if more and more[1] != first[1].upper() else "")


def _bracketed(fragment: str, patterns: _Letters) -> str:
    """Letters in brackets or after the word 'option' inside a statement, denied ones left out."""
    chosen = [
        match[1] or match[2]
        for match in patterns.bracketed.finditer(fragment)
        if not _DENIED_BEFORE.search(fragment, max(0, match.start() - 60), match.start())
        and re.match(_DENIED_AFTER, fragment[match.end() : match.end() + 80])
    ]
    return "".join(dict.fromkeys(chosen))


def _judged(text: str, patterns: _Letters) -> str | None:
    """Letter that a sentence concludes on or calls right; a conclusion counts before a verdict."""
    verdicts = [match for match in patterns.verdict.finditer(text) if _stands(text, match)]
    named = {match["letter"] for match in verdicts if re.search(r"\b(?:answer|choice|option)\b", match["verdict"])}
    if len(named) == 1:
        return named.pop()
    concluded: list[str] = []
    for match in patterns.conclusion.finditer(text):
        several = patterns.more.match(text, match.end("letter"))
        if several and several[1] != match["letter"]:
            continue
        if _DENIED_BEFORE.search(text, max(0, match.start() - 60), match.start("letter")):
            continue
        if not _is_taken_back(text[match.end() : match.end() + MAX_STATEMENT].partition("\n")[0]):
            concluded.append(match["letter"])
    if concluded:
        return concluded[-1]
    right = {match["letter"] for match in verdicts}
    if right:
        return right.pop() if len(right) == 1 else None
    bracketed = _bracketed(text, patterns)
    return bracketed if len(bracketed) == 1 and len(text) <= 1000 else None


def _stands(text: str, verdict: re.Match[str]) -> bool:
    """Whether a verdict is about one option: not "Vitamin E is", "not B is", "A and B is"."""
    before = text[max(0, verdict.start() - 60) : verdict.start()]
    if _DENIED_BEFORE.search(before) or re.search(r"\b[A-J]\W{0,2}\s*(?:\band|\bor|&)\s*$", before):
        return False
    return bool(verdict["before"] or _BEFORE_OPTION.search(before))


def _line_alone(text: str, letters: str) -> str | None:
    """Letter that the last line states, else the first one."""
    lines = [line for line in text.splitlines() if line.strip()]
    return (stated(lines[-1], letters) or stated(lines[0], letters)) if len(lines) > 1 else None
