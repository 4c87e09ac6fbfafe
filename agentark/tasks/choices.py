"""Which letter of a multiple-choice question a text settles on.

A lone letter is a choice only where the text says so: the words "a" and "I", "vitamin D" and "hepatitis B" are not.
What counts is the conclusion, not the option that is discussed last; what is denied is not chosen, and two letters in
one statement are no choice.
"""

import re
from typing import Final

from agentark.tasks import option_patterns
from agentark.tasks.boxes import boxes
from agentark.tasks.markers import (
    DENIAL,
    HASHES,
    MAX_MARKERS,
    TAKEN_BACK,
    WITHDRAWN,
    answer_markers,
    is_claimed,
    tagged_answers,
)
from agentark.tasks.normalisation import plain, unwrap
from agentark.tasks.option_patterns import Letters, patterns_of

MAX_STATEMENT: Final = 300
"""Characters behind a marker in which its letter stands."""


def letter(text: str, letters: str) -> str | None:
    """Find the letter a text chooses.

    Args:
        text: A model's text as its reader sees it (`replies.visible`).
        letters: The letters that may be chosen, upper case.

    Returns:
        One upper-case letter, or None if the text makes no choice or more than one.
    """
    alone = stated(text, letters)
    if alone:
        return alone
    patterns = patterns_of(letters)
    if leading := patterns.leading.match(text):
        return leading[1]
    if judged := _judged_line_by_line(text, letters):
        return judged
    if _several_boxes(text, patterns):
        return None
    for fragments in ([box.content for box in boxes(text)], tagged_answers(text), HASHES.findall(text)):
        for fragment in reversed(fragments[-MAX_MARKERS:]):
            fragment = plain(fragment[:MAX_STATEMENT]) if "\\" in fragment else fragment
            chosen = _at_start(unwrap(fragment), patterns) or _bracketed(fragment, patterns)
            if chosen:
                return chosen if len(chosen) == 1 else None
    marked = _marked(text, patterns)
    if marked is not None:
        return marked or None
    return _judged(text, patterns) or _line_alone(text, letters) or _only_bracketed(text, patterns)


def _several_boxes(text: str, patterns: Letters) -> bool:
    """Whether the last two boxes stand side by side and hold different letters."""
    last = boxes(text)[-2:]
    if len(last) < 2 or re.search(r"[.\n]", text[last[0].end : last[1].start]):
        return False
    first, second = (_at_start(box.content, patterns) for box in last)
    return last[1].start - last[0].end <= 60 and first != second


def stated(text: str, letters: str) -> str | None:
    """Read a text that is nothing but a choice: `B`, `(b)`, `B.`, `B) aspirin`."""
    text = plain(text[:600]) if "\\" in text else unwrap(text)
    if len(text) > 500:
        return None
    text = unwrap(option_patterns.MARKS.sub("", text).rstrip("!"))
    patterns = patterns_of(letters)
    whole = patterns.alone.fullmatch(text)
    if whole:
        return whole[1].upper()
    listed = patterns.listed.fullmatch(text)
    if listed is None or patterns.another_listed.search(listed[0][3:]):
        return None
    rest = text[listed.end(1) if listed[1] else listed.end(2) :]
    if _verdict_in(rest) or option_patterns.WRONG_AFTER.match(rest):
        return None
    return listed[1] or listed[2]


def _verdict_in(text: str) -> bool:
    """Whether what follows the first letter judges it or others rather than being its text."""
    return bool(
        re.match(
            r"\W*(?:(?:is|was|cannot|can['’]t)\b|(?:incorrect|wrong|false|no|not\s+\w+)\b\W*$)", text, re.IGNORECASE
        )
    )


def _marked(text: str, patterns: Letters) -> str | None:
    """Letter behind the last marker that has one; "" where it names several; None without any."""
    markers = [
        marker
        for marker in answer_markers(text)
        if is_claimed(text, marker)
        and not (option_patterns.LABEL_OF_A.fullmatch(marker[0]) and option_patterns.LABEL_OF_B.search(text))
    ]
    for pattern in (
        option_patterns.NOUN_MARKER,
        option_patterns.OTHER_NOUN_MARKER,
        option_patterns.LABELLED,
        option_patterns.LISTED_AFTER,
    ):
        markers += list(pattern.finditer(text))[-MAX_MARKERS:]
    markers.sort(key=lambda match: match.end())
    named = {_at_start(text[marker.end() : marker.end() + 40].partition("\n")[0], patterns) for marker in markers} - {
        ""
    }
    if len(named) > 2:
        # A text that says of every option that it is the answer says nothing.
        return ""
    for marker in reversed(markers):
        fragment = text[marker.end() : marker.end() + MAX_STATEMENT].lstrip().removeprefix("- ")
        line, _, rest = fragment.partition("\n")
        if DENIAL.match(line):
            line = _after_denial(line)
        chosen = _at_start(line, patterns) or _bracketed(line, patterns)
        if not chosen and rest and not option_patterns.FILLER.sub("", line).strip(" -"):
            chosen = _at_start(rest.lstrip(" \t-*\n"), patterns)
        if chosen:
            if _is_taken_back(line) or option_patterns.OTHER_DENIED.match(line, line.find(chosen[0]) + 1):
                continue
            if later := patterns.rather.search(text, marker.end()):
                return later[1]
            return chosen if len(chosen) == 1 else ""
        if option_patterns.BOTH.match(line):
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


def _at_start(fragment: str, patterns: Letters) -> str:
    """Letters with which a statement begins; more than one where it names several, "" where it names none."""
    fragment = fragment[option_patterns.FILLER.match(fragment).end() :]  # type: ignore[union-attr]
    first = patterns.wrapped.match(fragment) or patterns.bare.match(fragment) or patterns.small.match(fragment)
    if first is None or option_patterns.WRONG_AFTER.match(fragment, first.end()):
        return ""
    more = patterns.more.match(fragment, first.end())
    return first[1].upper() + (more[1] if more and more[1] != first[1].upper() else "")


def _bracketed(fragment: str, patterns: Letters) -> str:
    """Letters in brackets or after the word 'option' inside a statement, denied ones left out."""
    chosen = [
        match[1] or match[2]
        for match in patterns.bracketed.finditer(fragment)
        if not option_patterns.DENIED_BEFORE.search(fragment, max(0, match.start() - 60), match.start())
        and re.match(option_patterns.DENIED_AFTER, fragment[match.end() : match.end() + 80])
    ]
    return "".join(dict.fromkeys(chosen))


def _judged(text: str, patterns: Letters) -> str | None:
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
        if option_patterns.DENIED_BEFORE.search(text, max(0, match.start() - 60), match.start("letter")):
            continue
        if option_patterns.REFUSED.search(text, max(0, match.start() - 20), match.start()):
            continue
        if not _is_taken_back(text[match.end() : match.end() + MAX_STATEMENT].partition("\n")[0]):
            concluded.append(match["letter"])
    if concluded:
        return concluded[-1]
    right = {match["letter"] for match in verdicts}
    if right:
        return right.pop() if len(right) == 1 else None
    other = {match["letter"] for match in patterns.other_verdict.finditer(text)}
    return other.pop() if len(other) == 1 else None


def _only_bracketed(text: str, patterns: Letters) -> str | None:
    """The letter in brackets that a sentence arrives at: "The diagnosis is (B) lymphoma"."""
    if len(text) > 2000:
        return None
    chosen = {match[1] for match in option_patterns.ARRIVES.finditer(text) if match[1] in patterns.letters}
    return chosen.pop() if len(chosen) == 1 else None


def _judged_line_by_line(text: str, letters: str) -> str | None:
    """The one option that a list of verdicts calls right: a line for each option, all others called wrong."""
    lines = [(line[1].upper(), line[0]) for line in option_patterns.LINE.finditer(text) if line[1].upper() in letters]
    wrong = {letter for letter, line in lines if option_patterns.WRONG_MARK.search(line)}
    right = {letter for letter, line in lines if option_patterns.RIGHT_MARK.search(line)} - wrong
    return right.pop() if len(right) == 1 and len(wrong) >= 2 else None


def _stands(text: str, verdict: re.Match[str]) -> bool:
    """Whether a verdict is about one option: not "Vitamin E is", "not B is", "A and B is"."""
    before = text[max(0, verdict.start() - 60) : verdict.start()]
    has_condition = re.match(r"\s+(?:only\s+)?if\b|,?\s+but\b", text[verdict.end() : verdict.end() + 10])
    if has_condition or option_patterns.NOT_THOUGHT.search(before):
        return False
    if option_patterns.DENIED_BEFORE.search(before) or re.search(r"\b[A-J]\W{0,2}\s*(?:\band|\bor|&)\s*$", before):
        return False
    return bool(verdict["before"] or verdict[0][0] in "([" or option_patterns.BEFORE_OPTION.search(before))


def _line_alone(text: str, letters: str) -> str | None:
    """Letter that the last line states, else the first one."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2 or len({letter for letter in (stated(line, letters) for line in lines[-12:]) if letter}) > 1:
        # A list of the options states none of them.
        return None
    last = stated(lines[-1], letters)
    if last and not re.search(r"\b(?:is|are|was|would|can|cannot|does)\b", lines[-1]):
        return last
    return stated(lines[0], letters)
