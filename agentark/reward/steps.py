r"""Where the steps of a solution begin and end, by characters of its text.

Text offsets, never token ids: the model that scores steps and the model that writes them need not share a tokenizer,
and a separator that a tokenizer merges with its neighbours (".\n\n") is found all the same.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple, get_args

SplitRule = Literal["Numbered", "BlankLine", "Newline", "Sentence"]
"""Numbered: a step begins where a line begins with "Step 2:", "2." or "2)"; BlankLine: paragraphs; Newline: lines;
Sentence: sentences."""


class Step(NamedTuple):
    """One step: characters ``text[start:end]`` of a solution, without white space around them."""

    start: int
    end: int


# A number that opens a line, with the word "step" or with a sign behind it; "3.5 apples" opens no step.
_NUMBERED = re.compile(
    r"^[ \t]{0,8}(?:[#*>-]{1,4}[ \t]{0,2}){0,2}\**(?:step[ \t]{1,2}\d{1,3}\b|\d{1,3}[.):](?!\d))", re.I | re.M
)
_FINAL = re.compile(r"^[ \t]{0,8}\**(?:the |so,? the |final )?(?:final )?answer\b", re.I | re.M)
_BLANK = re.compile(r"\n[ \t\r\f\v]*\n\s*")
_LINE = re.compile(r"[\r\n]+")
# The mark that ends a sentence, closing quotes and brackets, then white space or the end; East Asian marks need none.
_SENTENCE = re.compile(r"(?<![.!?])[.!?]++[\"'”’)\]*]{0,3}(?=\s|$)|[。！？]+[」』”’）]?|\n[ \t\r]*\n")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|approx|no|fig|eq|mr|mrs|ms|dr|st|[a-z])|(?:^|\s)\d{1,3})$", re.I
)
_FENCE = re.compile(r"^[ \t]{0,3}(?:```|~~~)", re.M)
_MATHS = (("$$", "$$"), (r"\[", r"\]"), (r"\begin{", r"\end{"))


def split_steps(text: str, rule: SplitRule) -> tuple[Step, ...]:
    """Find the steps of a solution.

    Works on any text, finished or not, in time linear in its length. What stands before the first numbered step belongs
    to it, and a line that gives the final answer is a step of its own. Code between fences and displayed formulas are
    never torn.

    Args:
        text: A solution.
        rule: What separates its steps.

    Returns:
        Steps in order, disjoint, each with at least one visible character; together they hold all visible characters.
    """
    whole = _protected(text)
    cuts = [cut for cut in _cuts(text, rule) if not _inside(cut, whole)]
    edges = [0, *cuts, len(text)]
    found = (_stripped(text, start, end) for start, end in pairwise(edges))
    return tuple(step for step in found if step is not None)


def choose_rule(texts: Iterable[str]) -> SplitRule:
    """Choose how to split a set of solutions that are written alike.

    Returns:
        The first of Numbered, BlankLine, Newline and Sentence that finds two steps or more, the final answer not
        counted, in most of the texts; Newline where none does.
    """
    wanted = list(texts)
    for rule in get_args(SplitRule):
        several = sum(_steps_but_answer(text, rule) > 1 for text in wanted)
        if 2 * several > len(wanted):
            chosen: SplitRule = rule
            return chosen
    return "Newline"


def last_tokens(offsets: Sequence[tuple[int, int]], steps: Sequence[Step]) -> list[int]:
    """Find the token that holds each step's last character.

    Args:
        offsets: Start and end character of each token, as fast tokenizers give them; empty ones (special tokens)
            are passed over.
        steps: Steps of the same text.

    Returns:
        One index into `offsets` per step.

    Raises:
        ValueError: If no token holds a step's last character, because the text was cut.
    """
    real = [(start, end, index) for index, (start, end) in enumerate(offsets) if end > start]
    starts = [start for start, _, _ in real]
    found = []
    for step in steps:
        # Several tokens may share a character (one emoji in four byte tokens): the last of them has read all of it.
        place = bisect_right(starts, step.end - 1) - 1
        if place < 0 or real[place][1] < step.end:
            raise ValueError(f"no token holds character {step.end - 1}; the text was cut before its last step")
        found.append(real[place][2])
    return found


def _steps_but_answer(text: str, rule: SplitRule) -> int:
    if rule == "Numbered":
        return sum(1 for _ in _NUMBERED.finditer(text))
    return sum(not _FINAL.match(text, step.start) for step in split_steps(text, rule))


def _cuts(text: str, rule: SplitRule) -> Iterator[int]:
    if rule == "Numbered":
        openings = [match.start() for match in _NUMBERED.finditer(text)]
        finals = [match.start() for match in _FINAL.finditer(text)]
        yield from sorted({*openings[1:], *(final for final in finals if openings and final > openings[0])})
    elif rule == "BlankLine":
        yield from (match.end() for match in _BLANK.finditer(text))
    elif rule == "Newline":
        yield from (match.end() for match in _LINE.finditer(text))
    else:
        yield from (match.end() for match in _SENTENCE.finditer(text) if not _abbreviates(text, match))


def _abbreviates(text: str, match: re.Match[str]) -> bool:
    """Whether a full stop belongs to a word or a list number; only the few characters before it are looked at."""
    return match.group().startswith(".") and bool(_ABBREVIATION.search(text[max(0, match.start() - 8) : match.start()]))


def _protected(text: str) -> list[tuple[int, int]]:
    """Spans that are never cut: fenced code and displayed formulas; an unfinished one protects nothing."""
    fences = list(_FENCE.finditer(text))
    spans = [(first.start(), last.end()) for first, last in zip(fences[::2], fences[1::2], strict=False)]
    for opening, closing in _MATHS:
        place = text.find(opening)
        while place >= 0:
            end = text.find(closing, place + len(opening))
            if end < 0:
                break
            spans.append((place, end + len(closing)))
            place = text.find(opening, end + len(closing))
    return _merged(spans)


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _inside(cut: int, spans: Sequence[tuple[int, int]]) -> bool:
    place = bisect_right(spans, (cut, -1)) - 1
    return place >= 0 and spans[place][0] < cut < spans[place][1]


def _stripped(text: str, start: int, end: int) -> Step | None:
    piece = text[start:end]
    left = len(piece) - len(piece.lstrip())
    right = len(piece.rstrip())
    return Step(start + left, start + right) if right > left else None
