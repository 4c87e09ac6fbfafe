"""Which letter of a multiple-choice question a text settles on.

A lone letter is a choice only where the text says so: the English word "a", "vitamin D", "hepatitis B" are not.
Two letters in one statement are no choice.
"""

import re
from typing import Final

from agentark.tasks.normalising import unwrap

# What may follow the letter "A" when it is a choice and not the article.
_AFTER_A: Final = r"(?!\s+(?!(?:because|as|since|which|due|for|based|given|with|is|was|and|or|but|if|not)\b)[a-z])"
_MARKER: Final = re.compile(
    r"\b(?:answer|option|choice|ans)\b[*_\s]*(?:(?:is|was|would\s+be|must\s+be|should\s+be)\b[*_\s]*:?|[:=]|[-–—](?=\s)|"
    r"\.(?=\s*\(?[A-Z]\b))[*_\s]*",
    re.IGNORECASE,
)
_HASHES: Final = re.compile(r"####[ \t]*([^\n]+)")
_FILLER: Final = re.compile(
    r"(?:\s|[*_`$\"'\[{:]|\\(?:text|mathrm|textbf|mathbf|boxed)\s*\{|(?:the\s+)?(?:correct\s+)?(?:option|choice|letter|answer)\b"
    r"(?:\s+is\b)?|therefore\b|clearly\b|definitely\b)*",
    re.IGNORECASE,
)
_DENIED: Final = r"(?!\W*\s(?:is|was|are)\s+(?:\w+\s+)?(?:wrong|incorrect|false|not|excluded|unlikely|ruled)\b)"


def letter(text: str, letters: str) -> str | None:
    """Find the letter a text chooses.

    Args:
        text: A model's text, thinking removed.
        letters: The letters that may be chosen, upper case.

    Returns:
        One upper-case letter, or None if the text makes no choice or more than one.
    """
    alone = stated(text, letters)
    if alone:
        return alone
    boxes = re.findall(r"\\(?:boxed|fbox)\s*\{((?:[^{}]|\{[^{}]*\})*)\}?", text)
    hashes = _HASHES.findall(text)
    for fragment in (*reversed(boxes), *reversed(hashes)):
        found = _at_start(fragment, letters) or _bracketed(fragment, letters)
        if found:
            return found if len(found) == 1 else None
    for marker in reversed(list(_MARKER.finditer(text))):
        fragment = text[marker.end() : marker.end() + 300].lstrip().partition("\n")[0]
        found = _at_start(fragment, letters) or _bracketed(fragment, letters)
        if found:
            return found if len(found) == 1 else None
        if re.match(r"(?:both|either|neither|all|none)\b", fragment, re.IGNORECASE):
            return None
    return _concluded(text, letters) or _last_line(text, letters)


def stated(text: str, letters: str) -> str | None:
    """Read a text that is nothing but a choice: `B`, `(b)`, `B.`, `B) aspirin`."""
    text = unwrap(text)
    if len(text) > 500:
        return None
    whole = re.fullmatch(rf"(?:option|choice)?\s*[(\[]?\s*([{letters}])\s*[)\]]?", text, re.IGNORECASE)
    if whole:
        return whole[1].upper()
    listed = re.fullmatch(rf"(?:\(([{letters}])\)|([{letters}])\s*[.):])\s*(?![{letters}]\b)\S[^\n]*", text)
    if listed is None or re.search(rf"(?:^|\s)\(?[{letters}][).:]", listed[0][3:]):
        return None
    return listed[1] or listed[2]


def _at_start(fragment: str, letters: str) -> str:
    """Letters with which a statement begins; more than one where it names several, "" where it names none."""
    fragment = fragment[_FILLER.match(fragment).end() :]  # type: ignore[union-attr]
    wrapped = re.match(rf"[(\[]\s*([{letters}{letters.lower()}])\s*[)\]]", fragment)
    bare = re.match(rf"([{letters}])(?![\w'’]){_AFTER_A if fragment.startswith('A') else ''}", fragment)
    small = re.match(rf"([{letters.lower()}])(?:\)|[.\s*_]*$)", fragment)
    first = wrapped or bare or small
    if first is None:
        return ""
    more = re.match(rf"\W*(?:,|/|&|\band\b|\bor\b)\s*(?:option\s+)?\(?([{letters}])\b(?!\w)", fragment[first.end() :])
    return first[1].upper() + (more[1] if more and more[1] != first[1].upper() else "")


def _bracketed(fragment: str, letters: str) -> str:
    """Letters in brackets or after the word 'option' inside a statement."""
    found = re.findall(rf"\(([{letters}])\)|\b(?:option|choice)\s+([{letters}])\b", fragment)
    return "".join(dict.fromkeys(a or b for a, b in found))


def _concluded(text: str, letters: str) -> str | None:
    conclusion = re.compile(
        r"\b(?:so|thus|hence|therefore|choose|chose|pick|select|go\s+with|going\s+with|it\s+is|it's|it\s+must\s+be|leaves|"
        r"option|choice)\b[,:\s]*(?:the\s+)?(?:(?:correct|best|right)\s+)?(?:answer|option|choice)?\s*(?:is\s+|must\s+be\s+)?"
        rf"[*_$]*\(?([{letters}])\)?(?![\w'’])"
        rf"{_DENIED}(?!\s*(?:,|/|&|\band\b|\bor\b)\s*\(?[{letters}]\b)",
        # The words in any case, the letter in upper case only (checked below).
        re.IGNORECASE,
    )
    for match in reversed(list(conclusion.finditer(text))):
        is_article = match[1] == "A" and not re.match(_AFTER_A, text[match.end(1) :])
        if match[1] in letters and not is_article:
            return match[1]
    return None


def _last_line(text: str, letters: str) -> str | None:
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return None
    return stated(lines[-1], letters) if len(lines) > 1 else None
