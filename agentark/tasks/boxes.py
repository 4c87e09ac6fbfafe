r"""Answers in \boxed{}: the last one, with those that it is joined to, or the formula that it is a part of."""

import re
from typing import Final, NamedTuple

from agentark.tasks.denial import NOT, WRONG
from agentark.tasks.markers import MAX_MARKERS
from agentark.tasks.normalising import MAX_ANSWER, closes_at, unwrap

_BOX: Final = re.compile(r"\\(?:boxed|fbox|framebox)(?![A-Za-z])\s*(\{?)|(?<![A-Za-z\\])boxed\s*(\{)")
# What may stand between two boxes that are one answer.
_GAP: Final = r"(?:[\s$}~]|\\[()\[\],;! ]|\\q?quad|\\text\s*\{)*"
_BOX_AFTER: Final = re.compile(
    r"(?:\b(?:minus|negative)\s*|-\$|(?<![\s$({])\s*[-+*/^_]|(?:=|^|\$)\s*-|\\(?:cdot|times|div|pm|sqrt|log|ln|"
    r"sin|cos|tan)|\\(?:sqrt|"
    r"[dt]?frac)\s*(?:\{[^{}]*\}\s*)?\{)\s*$"
    r"|(?<![A-Za-z])[a-z]$|[0-9)]$"
)
_BOX_BEFORE: Final = re.compile(
    r"[a-z](?![A-Za-z])|\s+(?:hundred|thousand|million|billion|dozen|percent)\b|\s*(?:\\(?:sqrt|pi|cdot|times|"
    r"[dt]?frac)(?![A-Za-z])|[\^_*/!]|,\d{3}|\.?\d|\{|[-+]\s*\d)"
)
_DENIED_BOX: Final = re.compile(
    rf"(?:(?:{NOT})\s+(?:be\s+)?|\b(?:agent|peer)\s*\d+\s+(?:wrote|said|says|gave|got|has|had|boxed)\s+|"
    r"\b(?:format|example|template):\s*)[$\s]*$",
    re.IGNORECASE,
)
_BOX_DENIED: Final = re.compile(
    r"[\s$]*\?|[\s$,]*(?:which\s+)?is\s+what\s+(?:agent|peer|some|others|he|she|they)\b|"
    rf"[\s$,]*(?:which\s+)?(?:is|was)\s+(?:clearly\s+|obviously\s+)?(?:not|{WRONG})\b",
    re.IGNORECASE,
)
_JOINT: Final = re.compile(
    rf"{_GAP}(?P<word>,?{_GAP}\b(?:and|or)\b|,|;|&){_GAP}(?:[A-Za-z](?:_\{{?\w\}}?)?\s*=\s*)?{_GAP}"
)
_HEDGED_JOINT: Final = re.compile(r"^[^.\n]*\b(?:or|maybe|perhaps|possibly|else)\b[^.\n]*$|^[ \t$/|]*$")


class Box(NamedTuple):
    start: int
    end: int
    content: str
    """Without typography around it, never empty."""


def boxes(text: str) -> list[Box]:
    """Find the boxes of a text that hold something, in order: the last `MAX_MARKERS` of them."""
    if "box" not in text:
        return []
    candidates = (Box(box.start(), *_box_content(text, box)) for box in list(_BOX.finditer(text))[-MAX_MARKERS:])
    return [box for box in candidates if box.content]


def boxed(body: str) -> str:
    """Find the boxed answer of a text.

    Returns:
        What the last box holds, joined with the boxes before it where words or commas join them; the whole formula
        where a box is a part of one; two boxes that hedge as one unreadable text. Empty where there is none.
    """
    claimed = [box for box in boxes(body) if not _is_denied(body, box.start, box.end)]
    if not claimed:
        return ""
    start, end, answer = claimed[-1]
    if _BOX_AFTER.search(body, max(0, start - 60), start) or _BOX_BEFORE.match(body, end):
        return _around(body, start, end)
    for earlier_start, earlier_end, content in reversed(claimed[:-1]):
        joint = _JOINT.fullmatch(body, earlier_end, start) if start - earlier_end <= 40 else None
        if joint is None:
            between = body[earlier_end:start]
            if len(between) <= 60 and content != answer and _HEDGED_JOINT.search(between):
                # Two boxes in one breath are no answer.
                return f"{content} | {answer}"
            break
        word = re.search(r"\b(?:and|or)\b", joint["word"])
        answer, start = f"{content}{f' {word[0]} ' if word else ', '}{answer}", earlier_start
    return answer


def _is_denied(body: str, start: int, end: int) -> bool:
    return bool(_DENIED_BOX.search(body, max(0, start - 40), start) or _BOX_DENIED.match(body, end))


def _around(body: str, start: int, end: int) -> str:
    """The formula that a box is a part of, without the box: `x = -8` of `$x = -\\boxed{8}$`."""
    before = re.split(r"[$\n]|\\\(|\\\[", body[max(0, start - 200) : start])[-1]
    after = re.split(r"[$\n]|\\\)|\\\]|\.(?=\s|$)", body[end : end + 200])[0]
    content = _BOX.sub("", body[start:end]).removesuffix("}")
    return unwrap(f"{before}{content if content.isalnum() else f'({content})'}{after}")


def _box_content(body: str, box: re.Match[str]) -> tuple[int, str]:
    """End of a box and what it holds."""
    rest = body[box.end() : box.end() + MAX_ANSWER]
    if box[1] or box[2]:
        close = closes_at(rest)
        content = rest[:close] if close is not None else rest.partition("\n")[0].rstrip("$ .")
        end = box.end() + len(content) + (close is not None)
    else:
        content = re.match(r"[^\s$]*", rest)[0]  # type: ignore[index]
        end = box.end() + len(content)
    return end, unwrap(content)
