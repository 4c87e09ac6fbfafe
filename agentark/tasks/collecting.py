"""Answers of several parts: intervals, tuples, sets, lists, unions of intervals."""

import re
from dataclasses import dataclass
from typing import Final, Literal

MAX_ITEMS: Final = 64


@dataclass(frozen=True, slots=True)
class Collection:
    r"""Parts between brackets, or joined by commas, 'and', 'or', `\cup`."""

    opening: str
    """`(`, `[`, `{`, or empty where there are no brackets; `|` for a union, `matrix RxC` for a matrix, row by row."""
    closing: str
    items: tuple[str, ...]
    alternatives: bool = False
    """The parts have no order: a set, a union, or a list joined by 'or'."""
    word: Literal["and", "or", ""] = ""
    """What joins the parts of a list, if not commas alone."""


_PAIRS: Final = {"(": ")", "[": "]", "\\{": "\\}", "\\lbrace": "\\rbrace", "\\langle": "\\rangle", "<": ">"}
_TOKEN: Final = re.compile(
    r"\\(?:[{}]|lbrace|rbrace|langle|rangle|cup|[A-Za-z]+|.)|[][(){},;]|\b(?:and|or)\b|\s+|[^][\\(){},;\s]", re.DOTALL
)
_WORD_SIGNS: Final = {"\\lor": "or", "\\vee": "or", "\\land": "and", "\\wedge": "and"}
_LOOSE_COMMA: Final = re.compile(r"\d, ")
_THOUSANDS: Final = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_MATRIX: Final = re.compile(
    r"\\begin\{([pb]?matrix|smallmatrix|array)\}(?:\{[lcr|]*\})?((?:(?!\\begin|\\end)[\s\S])*)\\end\{\1\}"
)
_BRACKETED_MATRIX: Final = re.compile(
    r"[(\[]\s*(\\begin\{(?:array|matrix|smallmatrix|[pb]matrix)\}[\s\S]*\\end\{[a-z]+\})\s*[)\]]"
)
_TRANSPOSED: Final = re.compile(r"(.+)\^\s*\{?\s*(?:T|\\top|\\intercal)\s*\}?")
_CASES: Final = re.compile(r"\\begin\{cases\}((?:[^&=]*=[^&]*))\\end\{cases\}")
_OPENING: Final = frozenset(("(", "[", "{", "\\{", "\\lbrace", "\\langle"))
_CLOSING: Final = frozenset((")", "]", "}", "\\}", "\\rbrace", "\\rangle"))


def collection(text: str) -> Collection | None:
    """Take an answer apart at its outermost separators.

    Args:
        text: An answer, typography removed.

    Returns:
        The parts, or None if the text is one thing.
    """
    if turned := _TRANSPOSED.fullmatch(text):
        row = _matrix(turned[1]) or collection(turned[1])
        if row is not None and row.opening in ("(", "[", f"matrix 1x{len(row.items)}"):
            return Collection(f"matrix {len(row.items)}x1", "", row.items)
    if cases := _CASES.fullmatch(text):
        return collection(", ".join(row.strip(" ,.") for row in cases[1].split("\\\\") if row.strip()))
    if text.startswith("\\begin"):
        return _matrix(text)
    if text.startswith("[["):
        return _nested(text)
    if bracketed := _BRACKETED_MATRIX.fullmatch(text):
        return _matrix(bracketed[1])
    if _LOOSE_COMMA.search(text):
        # With blanks after the commas of the list, a comma within digits is one of thousands.
        text = _THOUSANDS.sub("", text)
    tokens = _TOKEN.findall(text)
    unions = _split(tokens, frozenset(("\\cup", "U")))
    if unions and all(part[0] in "([{\\" for part in unions):
        return Collection("|", "|", unions, alternatives=True)
    brackets = _enclosing(tokens)
    if brackets:
        opening, closing = brackets
        inner = _split(tokens[1:-1], frozenset((",", ";")))
        is_set = opening in ("\\{", "\\lbrace", "{")
        if inner or is_set:
            items = inner or (("".join(tokens[1:-1]).strip(),) if tokens[1:-1] else ())
            return Collection("{" if is_set else opening, "}" if is_set else closing, items, alternatives=is_set)
        return None
    tokens = [_WORD_SIGNS.get(token, token) for token in tokens]
    if parts := _split(tokens, frozenset((",", ";", "and", "or"))):
        word: Literal["and", "or", ""] = "or" if "or" in tokens else "and" if "and" in tokens else ""
        return Collection("", "", parts, alternatives=word == "or", word=word)
    if tokens.count("\\pm") == 1:
        return Collection("", "", tuple(text.replace("\\pm", sign).strip() for sign in "+-"), alternatives=True)
    return None


def _nested(text: str) -> Collection | None:
    """Read [[1, 2], [3, 4]] as a matrix."""
    rows = [row.split(",") for row in re.findall(r"\[([^\[\]]*)\]", text)]
    if re.sub(r"\[[^\[\]]*\]", "", text[1:-1]).strip(", ") or len({len(row) for row in rows}) != 1:
        return None
    return Collection(f"matrix {len(rows)}x{len(rows[0])}", "", tuple(entry.strip() for row in rows for entry in row))


def _matrix(text: str) -> Collection | None:
    match = _MATRIX.fullmatch(text)
    if match is None:
        return None
    rows = [[entry.strip() for entry in row.split("&")] for row in match[2].split("\\\\") if row.strip()]
    if not rows or len({len(row) for row in rows}) != 1 or len(rows) * len(rows[0]) > MAX_ITEMS:
        return None
    return Collection(f"matrix {len(rows)}x{len(rows[0])}", "", tuple(entry for row in rows for entry in row))


def without_brackets(text: str) -> str:
    """Strip brackets that hold one thing: `(A)` and `(5)` become `A` and `5`."""
    for _ in range(4):
        tokens = _TOKEN.findall(text)
        brackets = _enclosing(tokens)
        if brackets not in (("(", ")"), ("[", "]"), ("{", "}")) or _split(tokens[1:-1], frozenset((",", ";"))):
            return text
        text = "".join(tokens[1:-1]).strip()
    return text


def _enclosing(tokens: list[str]) -> tuple[str, str] | None:
    if len(tokens) < 2 or tokens[0] not in _OPENING or tokens[-1] not in _CLOSING:
        return None
    depth = 0
    for position, token in enumerate(tokens):
        depth += (token in _OPENING) - (token in _CLOSING)
        if depth <= 0 and position < len(tokens) - 1:
            return None
    round_or_square = tokens[0] in "([" and tokens[-1] in ")]"
    matching = _PAIRS.get(tokens[0], "}") == tokens[-1]
    return (tokens[0], tokens[-1]) if depth == 0 and (round_or_square or matching) else None


def _split(tokens: list[str], separators: frozenset[str]) -> tuple[str, ...]:
    """Split at the separators outside of all brackets; empty if there is no separator or an empty part."""
    parts: list[str] = []
    part: list[str] = []
    depth, separated, last = 0, False, ""
    for token in tokens:
        depth += (token in _OPENING) - (token in _CLOSING)
        if depth == 0 and token in separators:
            separated = True
            # "1, 2, and 3": a word right after a comma separates nothing more.
            if token not in ("and", "or") or "".join(part).strip() or last not in (",", ";"):
                parts.append("".join(part).strip())
            part = []
            last = token
            continue
        part.append(token)
    parts.append("".join(part).strip())
    return tuple(parts) if separated and all(parts) and len(parts) <= MAX_ITEMS else ()
