r"""The final answer of a model's text, as written.

Order: the last \boxed{}, the last `####` line, the last line `A:` or "the answer is"; then, for numbers and maths, the
whole text if it is short, or its last number. Hidden thinking is never searched.
"""

import re
from typing import Final

from agentark.tasks.choosing import letter
from agentark.tasks.normalising import MAX_ANSWER, closes_at, plain, unwrap
from agentark.tasks.policy import Policy
from agentark.tasks.quantities import quantity

MAX_TEXT: Final = 200_000
"""Characters searched, counted from the end: a final answer stands there."""

_BOX: Final = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])\s*(\{?)")
_HASHES: Final = re.compile(r"####[ \t]*([^\n]*)")
_MARKER: Final = re.compile(
    r"^[ \t>*_]*A[*_]*[ \t]*:[*_ \t]*"
    r"|\banswer\b[*_ \t]*(?:to\s+(?:the|this)\s+(?:question|problem)\s*)?"
    r"(?:(?:is|was|would\s+be|equals)\b[*_ \t]*:?|[:=])"
    r"[*_ \t]*(?:that\s+)?\n?",
    re.MULTILINE | re.IGNORECASE,
)
_SENTENCE_END: Final = re.compile(r"\.(?=\s|$)|[;!?](?=\s|$)|\n|\s(?:because|since)\s", re.IGNORECASE)
_DIGITS: Final = r"(?:\d{1,3}(?:,\d{3})+(?![\d,]\d)|\d+)(?:\.\d+)?|\.\d+"
_NUMBER: Final = re.compile(
    r"(?:(?<![\w)\]}.])[-−]\s?)?(?:\\?[$€£₹¥]\s?[-−]?)?"
    rf"(?:\d+\s\d+/\d+(?![\d.])|\\d?frac\{{\d+\}}\{{\d+\}}|(?<![A-Za-z_\d.^])(?:{_DIGITS})(?:[eE][-+]?\d{{1,3}})?(?:/\d+(?![\d./]))?)"
    r"(?:\s?\\?%)?"
)
_HEDGE: Final = re.compile(r"\s*(?:,|or\b|and\b|/)\s*\\?[$€£]?\d|[^,.;\d]{0,40}\bor\b\s*\\?[$€£]?\d", re.IGNORECASE)
_INLINE_MATHS: Final = re.compile(r"\$([^$\n]{1,300})\$|\\\(([^\n]{1,300}?)\\\)")
_WORDS: Final = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_PROSE: Final = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")


def extract(text: str, policy: Policy) -> str | None:
    """Find the final answer.

    Args:
        text: A model's whole reply; a `<think>` block is skipped, an unclosed one hides all that follows.
        policy: The kind of answer that is looked for.

    Returns:
        The answer as written, without typography around it (an upper-case letter for choices); None if there is none.
    """
    body = _visible(text)[-MAX_TEXT:]
    if policy.kind == "choice":
        return letter(body, policy.letters)
    marked = _marked(body, policy)
    if marked is not None:
        return marked
    if policy.kind == "text":
        return _one_paragraph(body)
    if policy.kind == "math" and (bare := _bare(body, policy)):
        return bare
    return _last_quantity(body, policy)


def reference(gold: str, policy: Policy) -> str:
    r"""Reduce a gold column to its answer: a worked solution ends in `#### 18`, `A: 18` or \boxed{18}.

    Returns:
        The marked answer, or the whole text where nothing is marked.
    """
    if policy.kind == "choice":
        return gold.strip()
    return _marked(gold[-MAX_TEXT:], policy) or unwrap(gold[:MAX_ANSWER])


def _visible(text: str) -> str:
    # Templates that open the block in the prompt leave only its end in the reply.
    after = text.rpartition("</think>")[2] if "</think>" in text else text
    return after.partition("<think>")[0]


def _marked(body: str, policy: Policy) -> str | None:
    for fragment in (_boxed(body), _after_hashes(body)):
        if fragment:
            return _refined(fragment, policy)
    for marker in reversed(list(_MARKER.finditer(body))):
        rest = body[marker.end() : marker.end() + MAX_ANSWER].lstrip(" \t*_")
        end = _SENTENCE_END.search(rest)
        fragment = unwrap(rest[: end.start()] if end else rest)
        if fragment and _can_answer(fragment, policy):
            return _refined(fragment, policy)
    return None


def _can_answer(fragment: str, policy: Policy) -> bool:
    """Tell prose from a number: small chat models write "The answer is NUMBER", and that must not vote."""
    if policy.kind != "number" or any(character.isdigit() for character in fragment):
        return True
    return quantity(plain(fragment), policy) is not None


def _boxed(body: str) -> str:
    for box in reversed(list(_BOX.finditer(body))):
        rest = body[box.end() : box.end() + MAX_ANSWER]
        if box[1]:
            end = closes_at(rest)
            content = rest[:end] if end is not None else rest.partition("\n")[0].rstrip("$ .")
        else:
            content = re.match(r"[^\s$]*", rest)[0]  # type: ignore[index]
        if content := unwrap(content):
            return content
    return ""


def _after_hashes(body: str) -> str:
    found = [unwrap(line) for line in _HASHES.findall(body)]
    return next((line for line in reversed(found) if line), "")


def _refined(fragment: str, policy: Policy) -> str:
    """Cut a marked statement down to the quantity, where a number is wanted and the statement holds one."""
    fragment = unwrap(fragment)[:MAX_ANSWER]
    if marker := _MARKER.match(fragment) or re.match(
        r"the\s+(?:final\s+)?answer\s+is:?\s+(?=\S)", fragment, re.IGNORECASE
    ):
        fragment = unwrap(fragment[marker.end() :]) or fragment
    if policy.kind == "text" or quantity(plain(fragment), policy) is not None:
        return fragment
    if policy.kind != "number":
        return _refined_maths(fragment, policy)
    right = unwrap(fragment.rpartition("=")[2])
    if right != fragment and right:
        if quantity(plain(right), policy) is not None:
            return right
        fragment = right
    number = _NUMBER.search(fragment)
    if number is None or _HEDGE.match(fragment, number.end()):
        return fragment
    return number[0].strip()


def _refined_maths(fragment: str, policy: Policy) -> str:
    """Take the formula out of a sentence: `$x = 3$ as required` and `18 dollars per day for all eggs`."""
    if not _is_prose(fragment):
        return fragment
    inline = _INLINE_MATHS.findall(fragment)
    if len(inline) == 1:
        return unwrap(inline[0][0] or inline[0][1])
    numbers = [match[0].strip() for match in _NUMBER.finditer(fragment)]
    return numbers[0] if len(numbers) == 1 and len(_PROSE.findall(fragment)) > 2 else fragment


def _bare(body: str, policy: Policy) -> str:
    line = unwrap(body)
    if not line or "\n" in line or len(line) > 300:
        return ""
    return line if len(_WORDS.findall(line)) <= 2 or quantity(plain(line), policy) is not None else ""


def _is_prose(line: str) -> bool:
    return len(_PROSE.findall(re.sub(r"\\text\w*\{[^{}]*\}", "", line))) > 2


def _last_quantity(body: str, policy: Policy) -> str | None:
    inline = list(_INLINE_MATHS.finditer(body)) if policy.kind == "math" else []
    number = None
    for number in _NUMBER.finditer(body):  # noqa: B007 (the last match is wanted)
        pass
    if inline and (number is None or inline[-1].end() >= number.end()):
        return unwrap(inline[-1][1] or inline[-1][2]) or None
    return number[0].strip().rstrip(",") if number else None


def _one_paragraph(body: str) -> str | None:
    line = unwrap(body)
    return line[:MAX_ANSWER] if line and "\n" not in line else None
