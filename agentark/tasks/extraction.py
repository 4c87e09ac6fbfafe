r"""The final answer of a model's text, as written.

Order: the last \boxed{}, `<answer>`, the last `####` line, the last "the answer is" or `A:`; then, for numbers and
maths, what a short reply states, or the last formula or number. Hidden thinking is never searched. A marker that no
answer follows is no marker, and of a number that cannot be read as a whole no part is taken.
"""

import re
from typing import Final

from agentark.tasks.choosing import letter
from agentark.tasks.cleaning import visible
from agentark.tasks.markers import DENIAL, HASHES, TAGGED, TAKEN_BACK, WITHDRAWN, answer_markers, one_reply
from agentark.tasks.normalising import MAX_ANSWER, closes_at, plain, unwrap
from agentark.tasks.numerals import Numeral, is_one_of_several, last_numeral, numerals
from agentark.tasks.policy import Policy
from agentark.tasks.quantities import quantity
from agentark.tasks.relations import statement

_BOX: Final = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])\s*(\{?)")
# What may stand between two boxes that are one answer.
_GAP: Final = r"(?:[\s$}~]|\\[()\[\],;! ]|\\q?quad|\\text\s*\{)*"
_JOINT: Final = re.compile(
    rf"{_GAP}(?P<word>,?{_GAP}\b(?:and|or)\b|,|;|&){_GAP}(?:[A-Za-z](?:_\{{?\w\}}?)?\s*=\s*)?{_GAP}"
)
_SENTENCE_END: Final = re.compile(
    r"(?<!\bNo)(?<!\bRs)(?<!\bapprox)(?<!\bSt)(?<!\bDr)(?<!\bMr)(?<!\bMs)(?<!\bMrs)(?<!\bvs)(?<!\be\.g)(?<!\bi\.e)(?<!\bca)(?<!\bNr)\.(?=\s|$)"
    r"|(?<!\\)[;!?](?=\s|$)|[。！？]|\n|\s(?:because|since|as\s+(?:required|wanted|desired|expected|claimed))(?:\s|$)",
    re.IGNORECASE,
)
_DISPLAY: Final = re.compile(
    r"\$\$((?:(?!\$\$)[\s\S]){1,2000})\$\$|\\\[((?:(?!\\\])[\s\S]){1,2000})\\\]"
    r"|(\\begin\{(?P<name>align\*?|equation\*?|gather\*?|aligned|[pbvB]?matrix|cases)\}[\s\S]{1,2000}?\\end\{(?P=name)\})"
)
_INLINE: Final = re.compile(
    r"(?<![\\$\w])\$(?:(?=[^\s$])([^$\n]{0,298}?[^\s$\\])|\s(?![^$\n]*(?<![\\{A-Za-z])[A-Za-z]{2})([^$\n]{1,300}?)\s)\$(?![\d$])"
    r"|\\\(([^\n]{1,300}?)\\\)"
)
_LONE_NAME: Final = re.compile(r"[A-Za-z](?:_\{?\w{1,3}\}?)?|\\[a-z]+")
_WORDS: Final = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_PROSE: Final = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")
_BULLET: Final = re.compile(r"^[ \t]*(?:[-*•]|\d{1,2}[.)])[ \t]+(?=\S)")
_LEAD_IN: Final = re.compile(
    r"(?:(?:so|hence|thus|therefore|then|and|finally|ok|okay|well|now|clearly|consequently|overall|altogether|in\s+total)\b[,:]?\s*)*"
    r"(?:(?:it['’]s\s+)|(?:it|this|that|which|he|she|they|there|we|i)\s+(?:is|are|equals?|gives?|makes?|yields?|gets?|got|have|has|had|obtains?|finds?|"
    r"see|conclude|needs?|pays?|will\s+be|must\s+be)\s+(?:that\s+)?)?"
    r"(?:(?:the|its|their|her|his|our|each|every|all)\s+[^.=$\\\d:;,]{1,70}?\s*(?:\$[^$\n]{1,20}\$\s*)?"
    r"\b(?:is|are|was|were|equals?|gets?|becomes?|have|has|will\s+be|must\s+be)\s+)?"
    r"(?:[A-Z][A-Za-z ]{1,30}:\s*)?",
    re.IGNORECASE,
)
_REMARK: Final = re.compile(r"\s+\((?=[^()]*(?<![\\A-Za-z])[A-Za-z]{2})[^()]{2,120}\)$")
_AFTERTHOUGHT: Final = re.compile(
    r",\s+(?:not|which|since|because|as|so|i\.e|that\s+is|and\s+not|and\s+we|where|for)\b.*$", re.IGNORECASE
)
_TURN: Final = re.compile(
    r"^(?:not|isn['’]t|never)\s[^.;\n]{1,60}?(?:,|;)?\s*(?:\bbut\s+(?:rather\s+)?|;\s*it(?:['’]s|\s+is)\s+)",
    re.IGNORECASE,
)


def extract(text: str, policy: Policy) -> str | None:
    """Find the final answer.

    Args:
        text: A model's whole reply; a `<think>` block is skipped, an unclosed one hides all that follows.
        policy: The kind of answer that is looked for.

    Returns:
        The answer as written, without typography around it (an upper-case letter for choices); None if there is none.
    """
    body = one_reply(visible(text))
    if policy.kind == "choice":
        return letter(body, policy.letters)
    marked = _marked(body, policy)
    if marked is not None:
        return marked
    if policy.kind == "text":
        return _one_paragraph(body)
    if policy.kind == "math":
        return _stated_briefly(body, policy) or _last_formula(body, policy)
    if (line := _one_line(body)) and quantity(plain(line), policy) is not None:
        return line
    last = last_numeral(body, policy)
    return _whole(last) if last else None


def reference(gold: str, policy: Policy) -> str:
    r"""Reduce a gold column to its answer: a worked solution ends in `#### 18`, `A: 18` or \boxed{18}.

    Returns:
        The marked answer, or the whole text where nothing is marked.
    """
    if policy.kind == "choice":
        # "C Cecile": the option as it stands in the list.
        listed = re.match(rf"([{policy.letters}])\s+(?=[A-Z])", gold)
        return listed[1] if listed else gold.strip()
    return _marked(visible(gold), policy) or unwrap(gold[:MAX_ANSWER])


def _marked(body: str, policy: Policy) -> str | None:
    for fragment in (_boxed(body), _tagged(body), _after_hashes(body)):
        if fragment:
            return _refined(fragment, policy)
    for marker in reversed(answer_markers(body)):
        fragment = _statement_at(body, marker.end())
        if fragment and _can_answer(fragment, policy):
            return _refined(fragment, policy)
    return None


def _statement_at(body: str, start: int) -> str:
    """What a marker is followed by: the rest of its sentence, a display, or the next line; empty if it is denied."""
    rest = body[start : start + MAX_ANSWER].lstrip(" \t*_:>")
    if rest.startswith("\n"):
        rest = rest.lstrip()
        rest = rest.lstrip("#> \t")
        if items := _bullets(rest):
            return items
    display = _DISPLAY.match(rest)
    if display and not rest[display.end() :].lstrip(" .,").startswith(("and", "or", "=")):
        return _content(display)
    if turn := _TURN.match(rest):
        rest = rest[turn.end() :]
    elif DENIAL.match(rest):
        return ""
    end = _end_of_sentence(rest)
    is_open = rest[end : end + 1] == "?" or WITHDRAWN.search(rest, 0, end) or TAKEN_BACK.match(rest, end)
    return "" if is_open else unwrap(rest[:end])


def _bullets(rest: str) -> str:
    """Join the items of a list at the start of a text by commas; empty where there is no list."""
    items: list[str] = []
    for line in rest.split("\n"):
        bullet = _BULLET.match(line)
        if bullet is None:
            break
        items.append(unwrap(line[bullet.end() :]))
    return ", ".join(items)


def _end_of_sentence(rest: str) -> int:
    """Offset of the end of the first sentence; brackets and formulas are not cut."""
    for end in _SENTENCE_END.finditer(rest):
        head = rest[: end.start()]
        balanced = all(head.count(a) <= head.count(b) for a, b in ("()", "[]", "{}"))
        if end[0] == "\n" or (balanced and not _inside_formula(head)):
            return end.start()
    return len(rest)


def _inside_formula(head: str) -> bool:
    return head.count("\\(") > head.count("\\)") or bool(
        re.search(r"\$[A-Za-z\\(][^$]*$", head) and head.count("$") % 2
    )


def _can_answer(fragment: str, policy: Policy) -> bool:
    """Tell prose from an answer: small chat models write "The answer is NUMBER", and that must not vote."""
    if policy.kind == "text":
        return True
    if any(character.isnumeric() for character in fragment):
        return True
    if quantity(plain(fragment), policy) is not None:
        return True
    if policy.kind == "number":
        return False
    return not _IDLE.match(fragment)


_IDLE: Final = re.compile(
    r"(?:correct|right|wrong|clear|obvious|simple|easy|as\s+follows|the\s+following|below|above|given|found|obtained|in\s+the|therefore|"
    r"confirmed|consistent|reasonable|verified|unchanged|supported|based\s+on|still|thus|shown|that|what|this|it|I)\b",
    re.IGNORECASE,
)


def _boxed(body: str) -> str:
    if "box" not in body:
        return ""
    boxes = [(box.start(), *_box_content(body, box)) for box in _BOX.finditer(body)]
    boxes = [box for box in boxes if box[2]]
    if not boxes:
        return ""
    start, _, answer = boxes[-1]
    for earlier_start, earlier_end, content in reversed(boxes[:-1]):
        joint = _JOINT.fullmatch(body, earlier_end, start) if start - earlier_end <= 40 else None
        if joint is None:
            break
        word = re.search(r"and|or", joint["word"])
        answer, start = f"{content}{f' {word[0]} ' if word else ', '}{answer}", earlier_start
    return answer


def _box_content(body: str, box: re.Match[str]) -> tuple[int, str]:
    """End of a box and what it holds."""
    rest = body[box.end() : box.end() + MAX_ANSWER]
    if box[1]:
        close = closes_at(rest)
        content = rest[:close] if close is not None else rest.partition("\n")[0].rstrip("$ .")
        end = box.end() + len(content) + (close is not None)
    else:
        content = re.match(r"[^\s$]*", rest)[0]  # type: ignore[index]
        end = box.end() + len(content)
    return end, unwrap(content)


def _tagged(body: str) -> str:
    if "<answer>" not in body.casefold():
        return ""
    contents = [unwrap(content) for content in TAGGED.findall(body)]
    content = next((content for content in reversed(contents) if content), "")
    if "\n" in content:
        lines = [line for line in content.split("\n") if line.strip()]
        content = _statement_at(lines[-1], 0) or content
    return content


def _after_hashes(body: str) -> str:
    if "####" not in body:
        return ""
    lines = [unwrap(line) for line in HASHES.findall(body)]
    return next((line for line in reversed(lines) if line), "")


def _refined(fragment: str, policy: Policy) -> str:
    """Cut a marked statement down to the quantity, where a number is wanted and the statement holds one."""
    fragment = unwrap(fragment)[:MAX_ANSWER]
    if "nswer" in fragment or not fragment.isascii():
        # A label inside the box: \\text{Answer: } 5.
        line = plain(fragment)
        markers = answer_markers(line)
        if markers and markers[0].start() <= 12 and (rest := unwrap(line[markers[0].end() :])):
            fragment = rest
    if policy.kind == "text" or quantity(plain(fragment), policy) is not None:
        return fragment
    if policy.kind == "number":
        return _refined_number(fragment, policy)
    return _refined_maths(fragment, policy)


def _refined_number(fragment: str, policy: Policy) -> str:
    right = unwrap(fragment.rpartition("=")[2])
    if right != fragment and right:
        if quantity(plain(right), policy) is not None:
            return right
        left = unwrap(fragment.rpartition("=")[0])
        if (
            re.fullmatch(r"[\d\s.,+*/()-]+", right) is None
            and quantity(plain(left), policy) is not None
            and not re.search(r"\d", right)
        ):
            # "2 = x"
            return left
        fragment = right
    first = next(numerals(fragment, policy), None)
    if first is None or not first.readable or is_one_of_several(fragment, first):
        return fragment
    return first.text


def _refined_maths(fragment: str, policy: Policy) -> str:
    """Take the formula out of a sentence: `$x = 3$ as required` and `18 dollars per day for all eggs`."""
    for trailing in (_REMARK, _AFTERTHOUGHT):
        shorter = unwrap(trailing.sub("", plain(fragment)))
        if shorter != fragment and _is_answer(shorter, policy):
            return shorter
    if not _WORDS.search(_without_text(fragment)) and fragment.isascii():
        return fragment
    stripped = unwrap(fragment[_LEAD_IN.match(fragment).end() :])  # type: ignore[union-attr]
    if stripped and stripped != fragment and _is_answer(stripped, policy):
        return stripped
    if not _is_prose(fragment):
        return fragment
    formulas = _formulas(fragment)
    if len(formulas) == 1:
        return unwrap(formulas[0])
    stated = list(numerals(fragment, policy))
    return stated[0].text if len(stated) == 1 and stated[0].readable and not formulas else fragment


def _is_answer(text: str, policy: Policy) -> bool:
    """Whether a text is a quantity or a formula without a sentence around it."""
    line = plain(text)
    if not line or not re.search(r"\d|\\[a-z]|[=^]", line):
        return False
    return quantity(statement(line).value, policy) is not None or len(_PROSE.findall(_without_text(line))) <= 1


def _stated_briefly(body: str, policy: Policy) -> str:
    """What a reply of one line states: `16`, `x = 16 apples`, `Hence 5.`, `The solutions are $x=2$ and $x=5$.`"""
    line = _one_line(body)
    if not line:
        return ""
    if quantity(plain(line), policy) is not None:
        return line
    stripped = unwrap(line[_LEAD_IN.match(line).end() :])  # type: ignore[union-attr]
    for candidate in (stripped, unwrap(_REMARK.sub("", stripped)), unwrap(re.sub(r"[!?]$", "", stripped))):
        if candidate and quantity(plain(candidate), policy) is not None:
            return candidate
    if not stripped or _end_of_sentence(stripped) != len(stripped) or _short_word_count(plain(stripped)) > 2:
        return ""
    tells = _word_count(re.sub(r"\b(?:and|or|sqrt|sin|cos|tan|log|exp)\b", " ", stripped))
    return "" if tells and len(list(numerals(stripped, policy))) > 1 else stripped


def _last_formula(body: str, policy: Policy) -> str | None:
    """The last formula of a text, or its last number if that comes later."""
    formulas = [(match.end(), _content(match)) for match in _DISPLAY.finditer(body)]
    formulas += [(match.end(), match[1] or match[2] or match[3]) for match in _INLINE.finditer(body)]
    formulas = sorted(item for item in formulas if not _LONE_NAME.fullmatch(item[1].strip()))
    number = last_numeral(body, policy)
    if formulas and (number is None or formulas[-1][0] >= number.end):
        return unwrap(formulas[-1][1]) or None
    return _whole(number) if number else None


def _formulas(fragment: str) -> list[str]:
    """Formulas of a sentence, lone names left out."""
    formulas = [match[1] or match[2] or match[3] for match in _INLINE.finditer(fragment)]
    return [formula for formula in formulas if not _LONE_NAME.fullmatch(formula.strip())]


def _content(display: re.Match[str]) -> str:
    content = display[1] or display[2] or display[3]
    return unwrap(content.strip())


def _whole(number: Numeral) -> str | None:
    """A number of running text; None where it cannot be read as a whole."""
    return number.text.rstrip(",") if number.readable else None


def _one_line(body: str) -> str:
    """A reply of one short line; empty for any other."""
    line = unwrap(body)
    return "" if "\n" in line or len(line) > 300 else line


def _is_prose(line: str) -> bool:
    return _word_count(line) > 2


def _word_count(line: str) -> int:
    """Words of three letters or more; each letter of another script counts, as not all scripts part words."""
    line = _without_text(line)
    return len(_PROSE.findall(line)) + _other_letters(line)


def _short_word_count(line: str) -> int:
    """Words of two letters or more, in the same way."""
    line = _without_text(line)
    return len(_WORDS.findall(line)) + _other_letters(line)


def _other_letters(line: str) -> int:
    return 0 if line.isascii() else sum(c.isalpha() and not c.isascii() for c in line)


def _without_text(line: str) -> str:
    return re.sub(r"\\(?:text\w*|mathrm|mbox)\{[^{}]*\}", "", line)


def _one_paragraph(body: str) -> str | None:
    line = unwrap(body)
    return line[:MAX_ANSWER] if line and "\n" not in line else None
