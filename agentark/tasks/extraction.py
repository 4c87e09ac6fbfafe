r"""The final answer of a model's text, as written.

Order: the last \boxed{}, `<answer>`, the last `####` line, the last "the answer is" or `A:`; then, for numbers and
maths, what a short reply states, or the last formula or number. Hidden thinking is never searched. A marker that no
answer follows is no marker, and of a number that cannot be read as a whole no part is taken.
"""

import re
from functools import lru_cache
from typing import Final

from agentark.tasks.boxes import boxed
from agentark.tasks.choices import letter
from agentark.tasks.markers import (
    HASHES,
    REDONE,
    TAKEN_BACK,
    answer_markers,
    is_claimed,
    last_thought,
    one_reply,
    tagged_answers,
)
from agentark.tasks.normalisation import MAX_ANSWER, plain, unwrap
from agentark.tasks.numerals import MAX_SEARCHED, Numeral, is_one_of_several, last_numeral, last_spelled, numerals
from agentark.tasks.policy import Policy
from agentark.tasks.quantities import quantity
from agentark.tasks.relations import statement
from agentark.tasks.replies import visible
from agentark.tasks.statements import DISPLAY, TURN, bullets, content_of, end_of_sentence, statement_at

_INLINE: Final = re.compile(
    r"(?<![\\$\w])\$(?:(?=[^\s$])((?:\\\$|[^$\n]){0,298}?[^\s$\\])|"
    r"\s(?![^$\n]*(?<![\\{A-Za-z])[A-Za-z]{2})([^$\n]{1,300}?)\s)\$(?![\d$])"
    r"|\\\(([^\n]{1,300}?)\\\)"
)
_SUM_OF_NUMBERS: Final = re.compile(r"[\d)%]\s*=\s*([^=]+)$")
_CLOCK: Final = re.compile(r"(?<![\d:.])\d{1,2}:[0-5]\d(?::[0-5]\d)?(?![\d:])(?:\s*[AaPp]\.?\s?[Mm]\b\.?)?")
_LIST_JOINT: Final = re.compile(r"\s*(?:,|,?\s*\b(?:and|or|и|или|y|o|et|ou|und|oder)\b|和|或|と|または|와|과|또는)\s*")
_HEADING: Final = re.compile(r"(?:step|part|section|question|case)\s+\d|\d{1,2}[.)]\s+[A-Za-z]{2}", re.IGNORECASE)
_DIGIT: Final = re.compile("[\\d¼-¾⅐-⅞〇一二三四五六七八九十百千万]")
_LONE_NAME: Final = re.compile(r"[A-Za-z](?:_\{?\w{1,3}\}?)?|\\[a-z]+")
_WORDS: Final = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_PROSE: Final = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")
_OTHER_AND: Final = re.compile(
    r"(?<=[\d$)}\]])\s*(?:和|及|以及|と|와|과|(?<=\s)(?:и|y|et|und|e)(?=\s))\s*(?=[$\d(\\\[a-z-])"
)
_OTHER_OR: Final = re.compile(
    r"(?<=[\d$)}\]])\s*(?:或者?|または|또는|(?<=\s)(?:или|o|ou|oder|lub)(?=\s))\s*(?=[$\d(\\\[a-z-])"
)
_OTHER_JOINT: Final = re.compile(r"[和及と와과或]|または|또는|\s(?:и|y|et|und|e|или|o|ou|oder|lub)\s")
_ANNOUNCED: Final = re.compile(
    r"\b(?:solutions?|answers?|roots?|values?)\b[^\n]{0,40}:[*_ ]*\n+((?:[ \t]*(?:[-*•]|"
    r"\d{1,2}[.)])[ \t]+[^\n]+\n?){2,})\s*$",
    re.IGNORECASE,
)
_YES_OR_NO: Final = re.compile(r"(yes|no|true|false)\s*[,.;:!—–-](?=\s)", re.IGNORECASE)
_JOINER: Final = re.compile(r"\s*(?:,|and\b|or\b|=|\+|-|\\)")
_LEAD_IN: Final = re.compile(
    r"(?:(?:=>|->|⇒|=)\s*)?(?:(?:so|hence|thus|therefore|then|and|finally|ok|okay|well|now|clearly|consequently|"
    r"overall|altogether|in\s+total)\b[,:]?\s*)*"
    r"(?:(?:it['’]s\s+)|(?:it|this|that|which|he|she|they|there|we|i)\s+(?:is|are|equals?|gives?|makes?|yields?|"
    r"gets?|got|have|has|had|obtains?|finds?|"
    r"see|conclude|needs?|pays?|will\s+be|must\s+be|was|were)\s+(?:that\s+)?)?"
    r"(?:(?:the|its|their|her|his|our|each|every|all)\s+[^.=$\\\d:;,]{1,70}?\s*(?:\$[^$\n]{1,20}\$\s*)?"
    r"\b(?:is|are|was|were|equals?|gets?|becomes?|have|has|will\s+be|must\s+be)\s+)?"
    r"(?:[A-Z][A-Za-z ]{1,30}\s?:\s*)?(?:at\s+(?=[\d(]))?(?:an?\s+(?=[\d$]))?",
    re.IGNORECASE,
)
# What chat models add under an answer.
_POSTSCRIPT: Final = re.compile(
    r"(?<=\S)\s*\n\s*(?:[-*_]{3,}\s*\n\s*)?[*_(]{0,3}(?:note|confidence|disclaimer|"
    r"p\.?s\.?)\b[^\n:]{0,30}:[^\n]*(?:\n[^\n]+)*\s*\Z",
    re.IGNORECASE,
)
_TRAILING_REMARK: Final = re.compile(
    r"(?<=\w)\s*\((?!about|approx|or\b|that\s+is|i\.e|≈|=)(?=[^()]*[A-Za-z×=])[^()]{2,200}\)(?=[.!*]*\s*$)"
)
_IS_THE_ANSWER: Final = re.compile(
    r"(?:^|[.\n]\s{0,3})(?:So\s+|Thus,?\s+|Therefore,?\s+)?([^\s.][^\n.]{0,40}?)\s+is\s+the\s+(?:final\s+|correct\s+|"
    r"right\s+)?answer\b"
)
_LIST: Final = re.compile(r"\s+\((?=[^()]*[,×*+=-])[^()]{3,120}\)$|:\s+\S.*$")
# An exact value, then what it is about: "14/3, or about 4.67", "2√3 (≈ 3.46)".
_APPROXIMATION: Final = re.compile(
    r"(?<=[\w$)}\]%])(?:\s*\((?:≈|\$?\\approx|or\s+(?:about|approximately|roughly)|about|approximately|approx\.?|"
    r"roughly)[^()]{1,40}\)"
    r"|,?\s+(?:or|which\s+is|i\.e\.,?|that\s+is)\s+(?:about|approximately|roughly|"
    r"around)\s+[$\\(]*-?[\d.,]*\d[\\%)$]*(?:\s+(?:percent|units))?)"
)
_EXAMPLE: Final = re.compile(r"\s*\((?:for\s+example|e\.g\.?|such\s+as|say)\b[^()]*\)", re.IGNORECASE)
_RETRACTING: Final = re.compile(
    r"\((?:[^()]*\b)?(?:or|maybe|perhaps|possibly|mod|rejected?|wrong|not|incorrect|extraneous|invalid|discarded?|"
    r"base|binary|octal|hex\w*|(?:in\s+)?(?:hundreds?|thousands?|millions?))\b",
    re.IGNORECASE,
)
_REMARK: Final = re.compile(r"\s+\((?=[^()]*(?<![\\A-Za-z])[A-Za-z]{2})[^()]{2,120}\)$")
_AFTERTHOUGHT: Final = re.compile(
    r",\s+(?:not|which|since|because|as|so|i\.e|that\s+is|and\s+not|and\s+we|where|for)\b.*$", re.IGNORECASE
)
# What stands behind "the answer is" and is none.
_IDLE: Final = re.compile(
    r"(?:correct|right|wrong|clear|obvious|simple|easy|as\s+follows|the\s+following|below|above|given|found|"
    r"obtained|in\s+the|therefore|"
    r"confirmed|consistent|reasonable|verified|unchanged|supported|based\s+on|still|thus|shown|that|what|this|it|I)\b",
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
    body = last_thought(one_reply(visible(text)))
    if policy.kind == "choice":
        return letter(body, policy.letters)
    if policy.kind == "math":
        body = _APPROXIMATION.sub("", body)
    marked, body = _marked(body, policy)
    if marked is not None:
        return marked
    if policy.kind == "text":
        return _one_paragraph(body)
    body = _POSTSCRIPT.sub("", body)
    if policy.kind == "math":
        return _stated_briefly(body, policy) or _last_formula(body, policy)
    if (line := _one_line(body)) and quantity(plain(line), policy) is not None:
        return line
    if opening := _opening(body, policy):
        return opening
    remark = _TRAILING_REMARK.search(body)
    if remark and _RETRACTING.search(remark[0]) and "(not" not in remark[0]:
        # "5 (base 8)"
        return None
    body = _TRAILING_REMARK.sub("", body)
    last = last_numeral(body, policy)
    return _whole(last) if last else last_spelled(body)


@lru_cache(maxsize=4096)
def reference(gold: str, policy: Policy) -> str:
    r"""Reduce a gold column to its answer: a worked solution ends in `#### 18`, `A: 18` or \boxed{18}.

    Returns:
        The marked answer, or the whole text where nothing is marked.
    """
    if policy.kind == "choice":
        # "C Cecile": the option as it stands in the list.
        listed = re.match(rf"([{policy.letters}])\s+(?=[A-Z])", gold)
        return listed[1] if listed else gold.strip()
    return _marked(visible(gold), policy)[0] or unwrap(gold[:MAX_ANSWER])


def _marked(body: str, policy: Policy) -> tuple[str | None, str]:
    """The answer that a text marks, and the text without the statements that its writer does not stand by."""
    for fragment in (boxed(body), _tagged(body), _after_hashes(body)):
        if fragment:
            return _refined(fragment, policy), body
    for marker in reversed(answer_markers(body)):
        fragment, end = statement_at(body, marker.end())
        if not fragment or not is_claimed(body, marker):
            body = f"{body[: marker.start()]} {body[end:]}"
        elif _can_answer(fragment, policy):
            return _refined(fragment, policy), body
    for reversed_marker in reversed(list(_IS_THE_ANSWER.finditer(body))):
        end = reversed_marker.end()
        is_open = body[end : end + 1] == "?" or TAKEN_BACK.match(body, end) or REDONE.match(body, end)
        if not is_open and quantity(plain(reversed_marker[1]), policy) is not None:
            return unwrap(reversed_marker[1]), body
    return None, body


def _can_answer(fragment: str, policy: Policy) -> bool:
    """Tell prose from an answer: small chat models write "The answer is NUMBER", and that must not vote."""
    if policy.kind == "text":
        return True
    if _DIGIT.search(fragment):
        return True
    if quantity(plain(fragment), policy) is not None:
        return True
    if policy.kind == "number":
        return False
    return not _IDLE.match(fragment)


def _tagged(body: str) -> str:
    contents = [unwrap(content) for content in tagged_answers(body)]
    content = next((content for content in reversed(contents) if content), "")
    if "\n" in content:
        lines = [line for line in content.split("\n") if line.strip()]
        if len([line for line in lines if re.search(r"\d", line)]) > 1 and not re.search(r"[=:]", content):
            return " | ".join(lines)
        content = statement_at(lines[-1], 0)[0] or content
    return content


def _after_hashes(body: str) -> str:
    if "####" not in body:
        return ""
    lines = [unwrap(line) for line in HASHES.findall(body)]
    return next((line for line in reversed(lines) if line and not _HEADING.match(line)), "")


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
    fragment = _EXAMPLE.sub("", fragment)
    if policy.kind == "number" and _RETRACTING.search(fragment):
        return fragment
    if policy.kind == "number":
        return _refined_number(fragment, policy)
    return _refined_maths(fragment, policy)


def _refined_number(fragment: str, policy: Policy) -> str:
    right = unwrap(fragment.rpartition("=")[2])
    if statement(plain(fragment)).is_equation and not re.search(r"[A-Za-z]", fragment):
        # 2 + 2 = 5
        return fragment
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
    fragment = plain(fragment) if "\\" in fragment else fragment
    first = next(numerals(fragment, policy), None)
    if first is None or not first.readable or is_one_of_several(fragment, first):
        return fragment
    return first.text


def _refined_maths(fragment: str, policy: Policy) -> str:
    """Take the formula out of a sentence: `$x = 3$ as required` and `18 dollars per day for all eggs`."""
    fragment = _joined(fragment)
    for trailing in (_REMARK, _AFTERTHOUGHT, _LIST):
        if _RETRACTING.search(fragment):
            break
        shorter = unwrap(trailing.sub("", plain(fragment)))
        is_answer = quantity(shorter, policy) is not None if trailing is _LIST else _is_answer(shorter, policy)
        if shorter != fragment and is_answer:
            return shorter
    if not _WORDS.search(_without_text(fragment)) and fragment.isascii():
        return fragment
    stripped = unwrap(fragment[_LEAD_IN.match(fragment).end() :])  # type: ignore[union-attr]
    if stripped and stripped != fragment and _is_answer(stripped, policy):
        return stripped
    if not _is_prose(fragment if "\\text" not in fragment else plain(fragment)):
        return fragment
    if sum_of := _SUM_OF_NUMBERS.search(fragment):
        total = unwrap(sum_of[1])
        if quantity(plain(total), policy) is not None:
            return total
    formulas = _formulas(fragment)
    if len(formulas) == 1:
        return unwrap(formulas[0])
    stated = list(numerals(plain(fragment) if "\\text" in fragment else fragment, policy))
    return stated[0].text if len(stated) == 1 and stated[0].readable and not formulas else fragment


def _joined(text: str) -> str:
    """Join the parts of a list by the words that the rest of the code knows."""
    return _OTHER_OR.sub(" or ", _OTHER_AND.sub(" and ", text)) if _OTHER_JOINT.search(text) else text


def _is_answer(text: str, policy: Policy) -> bool:
    """Whether a text is a quantity or a formula without a sentence around it."""
    line = plain(text)
    if not line or not re.search(r"\d|\\[a-z]|[=^]", line):
        return False
    return quantity(statement(line).value, policy) is not None or len(_PROSE.findall(_without_text(line))) <= 1


def _stated_briefly(body: str, policy: Policy) -> str:
    """What a reply of one line states: `16`, `x = 16 apples`, `Hence 5.`, `The solutions are $x=2$ and $x=5$.`"""
    line = _joined(_one_line(body))
    if not line:
        return _opening(body, policy) or _closing_list(body)
    if quantity(plain(line), policy) is not None:
        return line
    if turn := TURN.match(line):
        line = line[turn.end() :]
    stripped = unwrap(line[_LEAD_IN.match(line).end() :])  # type: ignore[union-attr]
    remark = _RETRACTING.search(stripped)
    for candidate in (
        stripped,
        "" if remark else unwrap(_REMARK.sub("", stripped)),
        unwrap(re.sub(r"[!?]$", "", stripped)),
    ):
        if candidate and quantity(plain(candidate), policy) is not None:
            return candidate
    if yes_or_no := _YES_OR_NO.match(line):
        return yes_or_no[1]
    formula = _INLINE.match(stripped)
    if formula and _WORDS.match(stripped[formula.end() :].lstrip()) and not _JOINER.match(stripped, formula.end()):
        return unwrap(formula[1] or formula[2] or formula[3])
    if not stripped or end_of_sentence(stripped) != len(stripped) or _short_word_count(plain(stripped)) > 2:
        return ""
    tells = _word_count(re.sub(r"\b(?:and|or|sqrt|sin|cos|tan|log|exp)(?![A-Za-z])", " ", stripped))
    return "" if tells and len(list(numerals(stripped, policy))) > 1 else stripped


def _opening(body: str, policy: Policy) -> str:
    """The first line of a reply where it is an answer alone and an explanation follows."""
    lines = [line for line in body.split("\n") if line.strip()]
    first = unwrap(lines[0]) if lines else ""
    if (
        len(lines) < 2
        or quantity(plain(first), policy) is None
        or quantity(plain(unwrap(lines[-1])), policy) is not None
    ):
        return ""
    return first if body.strip().partition("\n")[2].startswith("\n") else ""


def _closing_list(body: str) -> str:
    """The items of a list at the end of a reply, behind a line that announces them."""
    closing = _ANNOUNCED.search(body)
    items = bullets(closing[1]) if closing else ""
    return items if items and all(len(item) <= 60 and re.search(r"[=\d]", item) for item in items.split(", ")) else ""


def _last_formula(body: str, policy: Policy) -> str | None:
    """The last formula of a text, or its last number if that comes later."""
    body = body[-MAX_SEARCHED:]
    formulas = [(match.end(), content_of(match)) for match in DISPLAY.finditer(body)]
    formulas += [(match.end(), match[1] or match[2] or match[3]) for match in _INLINE.finditer(body)]
    formulas = sorted(item for item in formulas if not _LONE_NAME.fullmatch(item[1].strip()))
    if len(formulas) > 1 and (listed := _listed(body)):
        return listed
    number = last_numeral(body, policy)
    times = list(_CLOCK.finditer(body))
    if (
        times
        and (not formulas or formulas[-1][0] < times[-1].end())
        and (number is None or number.end <= times[-1].end())
    ):
        return times[-1][0]
    if formulas and (number is None or formulas[-1][0] >= number.end):
        return unwrap(formulas[-1][1]) or None
    return _whole(number) if number else None


def _listed(body: str) -> str:
    """The last formulas of a text where commas or words join them; empty where the last one stands alone."""
    inline = list(_INLINE.finditer(body))
    if (
        not inline
        or not body[inline[-1].end() :].strip(" .。*").isascii()
        or re.search(r"\d", body[inline[-1].end() :])
    ):
        return ""
    first = len(inline) - 1
    while first and _LIST_JOINT.fullmatch(body, inline[first - 1].end(), inline[first].start()):
        first -= 1
    if first == len(inline) - 1:
        return ""
    return _joined(unwrap(body[inline[first].start() : inline[-1].end()]))


def _formulas(fragment: str) -> list[str]:
    """Formulas of a sentence, lone names left out."""
    formulas = [match[1] or match[2] or match[3] for match in _INLINE.finditer(fragment)]
    return [formula for formula in formulas if not _LONE_NAME.fullmatch(formula.strip())]


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
    # Greek letters are names.
    return 0 if line.isascii() else sum(c.isalpha() and not c.isascii() and not "Ͱ" <= c <= "Ͽ" for c in line)


def _without_text(line: str) -> str:
    return re.sub(r"\\(?:text\w*|mathrm|mbox)\{[^{}]*\}", "", line)


def _one_paragraph(body: str) -> str | None:
    line = unwrap(body)
    return line[:MAX_ANSWER] if line and "\n" not in line else None
