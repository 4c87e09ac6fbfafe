"""What a text says at some place: the rest of the sentence, a display, or a list on the next lines."""

import re
from typing import Final

from agentark.tasks.markers import DENIAL, REDONE, TAKEN_BACK, WITHDRAWN
from agentark.tasks.normalisation import MAX_ANSWER, unwrap

_SENTENCE_END: Final = re.compile(
    r"(?<!\bNo)(?<!\bRs)(?<!\bapprox)(?<!\bSt)(?<!\bDr)(?<!\bMr)(?<!\bMs)(?<!\bMrs)(?<!\bvs)(?<!\be\.g)(?<!\bi\.e)(?<!\bca)(?<!\bNr)\.(?=\s|$)"
    r"|(?<!\\)[!?](?=\s|$)|(?<!\\);(?=\s+(?!or\b|and\b)[^\W\d_]{2}|\s*$)|[。！？]|\n|\s(?:because|since|"
    r"as\s+(?:required|wanted|desired|expected|claimed))(?:\s|$)",
    re.IGNORECASE,
)
DISPLAY: Final = re.compile(
    r"\$\$((?:(?!\$\$)[\s\S]){1,2000})\$\$|\\\[((?:(?!\\\])[\s\S]){1,2000})\\\]"
    r"|(\\begin\{(?P<name>align\*?|equation\*?|gather\*?|aligned|[pbvB]?matrix|"
    r"cases)\}[\s\S]{1,2000}?\\end\{(?P=name)\})"
)
# What Japanese, Korean and Hindi put behind the answer.
_PARTICLE: Final = re.compile(
    r"\s*(?:です|でした|である|となります|となる|になります|だ|입니다|이다|이에요|예요|है|است)\s*$"
)
_BULLET: Final = re.compile(r"^[ \t]*(?:[-*•]|\d{1,2}[.)])[ \t]+(?=\S)")
# "8... no, 9": what is said last counts.
_CORRECTED: Final = re.compile(
    r"[^.!?\n]{1,40}?(?:\.{2,}|…|,|\s[—–-])\s*(?:no|wait)\b[\s,]*(?:wait|no|actually|it['’]s|"
    r"it\s+is)?[\s,]*(?=[-$\d(])",
    re.IGNORECASE,
)
TURN: Final = re.compile(
    r"^(?:not|isn['’]t|never)\s[^.;\n]{1,60}?(?:,|;)?\s*(?:\bbut\s+(?:rather\s+)?|;\s*it(?:['’]s|\s+is)\s+)",
    re.IGNORECASE,
)


def statement_at(body: str, start: int) -> tuple[str, int]:
    """What a marker is followed by, and its end: the rest of its sentence, a display, or the next line.

    Returns:
        An empty statement where it is denied, asked or withdrawn.
    """
    rest = body[start : start + MAX_ANSWER].lstrip(" \t*_:")
    start += len(body[start : start + MAX_ANSWER]) - len(rest)
    whole = rest
    if rest.startswith("\n"):
        rest = rest.lstrip()
        rest = rest.lstrip("#> \t")
        if items := bullets(rest):
            return items, start + len(whole)
    display = DISPLAY.match(rest)
    if display and not rest[display.end() :].lstrip(" .,").startswith(("and", "or", "=")):
        return content_of(display), start + len(whole) - len(rest) + display.end()
    if corrected := _CORRECTED.match(rest):
        rest = rest[corrected.end() :]
    if turn := TURN.match(rest):
        rest = rest[turn.end() :]
    elif DENIAL.match(rest):
        return "", start + len(whole) - len(rest) + end_of_sentence(rest)
    end = end_of_sentence(rest)
    if not rest.isascii():
        rest = _PARTICLE.sub("", rest[:end]) + rest[end:]
        end = end_of_sentence(rest)
    is_open = rest[end : end + 1] == "?" or WITHDRAWN.search(rest, 0, end)
    is_open = is_open or TAKEN_BACK.match(rest, end) or REDONE.match(rest, end)
    return "" if is_open else unwrap(rest[:end]), start + len(whole) - len(rest) + end


def bullets(rest: str) -> str:
    """Join the items of a list at the start of a text by commas; empty where there is no list."""
    items: list[str] = []
    for line in rest.split("\n"):
        bullet = _BULLET.match(line)
        if bullet is None:
            break
        items.append(unwrap(line[bullet.end() :]))
    return ", ".join(items)


def end_of_sentence(rest: str) -> int:
    """Offset of the end of the first sentence; brackets and formulas are not cut."""
    for end in _SENTENCE_END.finditer(rest):
        head = rest[: end.start()]
        # [2, 5) is closed as well.
        balanced = sum(map(head.count, "([{")) <= sum(map(head.count, ")]}"))
        if end[0] == "\n" or (balanced and not _inside_formula(head)):
            return end.start()
    return len(rest)


def _inside_formula(head: str) -> bool:
    return head.count("\\(") > head.count("\\)") or bool(
        re.search(r"\$[A-Za-z\\(][^$]*$", head) and head.count("$") % 2
    )


def content_of(display: re.Match[str]) -> str:
    content = display[1] or display[2] or display[3]
    return unwrap(content.strip())
