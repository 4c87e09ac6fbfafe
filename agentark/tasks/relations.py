r"""Names that fall away from an answer, and relations that do not.

`x = 3`, `f(x) = 3` and `2 = x` say 3; `2y = 4` says neither 4 nor 2. `x > 3` is the interval $(3, \infty)$.
"""

import re
from dataclasses import dataclass
from typing import Final

from agentark.tasks.arithmetic import value

MAX_SIDES: Final = 8

_RELATION: Final = re.compile(
    r"\\(?:leqslant|geqslant|approx|simeq|equiv|leq|geq|neq|le|ge|ne|lt|gt|in|notin|coloneqq)(?![A-Za-z])"
    r"|<=|>=|!=|:=|==|≈|[=<>]"
)
_KINDS: Final = {
    "=": "=", ":=": "=", "==": "=", "\\equiv": "≡", "\\coloneqq": "=", "≈": "~", "\\approx": "~", "\\simeq": "~",
    "<": "<", "\\lt": "<", ">": ">", "\\gt": ">", "<=": "<=", "\\le": "<=", "\\leq": "<=", "\\leqslant": "<=",
    ">=": ">=", "\\ge": ">=", "\\geq": ">=", "\\geqslant": ">=", "!=": "!=", "\\ne": "!=", "\\neq": "!=",
    "\\in": "in", "\\notin": "notin",
}  # fmt: skip
_SUBSCRIPT: Final = r"(?:_(?:\{[^{}]{1,12}\}|[A-Za-z0-9]))?"
_LETTER: Final = (
    r"(?:[A-Za-z]|\\(?:alpha|beta|gamma|delta|epsilon|varepsilon|zeta|eta|theta|vartheta|iota|kappa|lambda|mu|nu|"
    r"xi|rho|"
    r"sigma|tau|upsilon|phi|varphi|chi|psi|omega|Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma|Phi|Psi|Omega|ell))"
)
_ACCENT: Final = r"\\(?:vec|hat|bar|overline|widehat|mathcal|mathbb|overrightarrow)\s*\{?\s*"
# A letter, a segment or an angle, an inverse or a transposed matrix, a function or a probability of something short.
_NAME: Final = re.compile(
    rf"(?:{_ACCENT})?{_LETTER}(?:\s*\}})?{_SUBSCRIPT}(?:\s?\(\s*(?:{_LETTER}|\d+)(?:\s*,\s*(?:{_LETTER}|"
    rf"\d+)){{0,3}}\s*\))?"
    r"|(?:P|Pr|E|Var|\\mathbb\{P\}|\\Pr)\s?[(\[][^()]{1,30}[)\]]"
    r"|[a-zA-Z](?:'{1,3}|\^\{?-1\}?)?\s?\(\s*(?:-?[\d.]+|[a-z]\s?\(\s*-?[\w.]+\s*\)|[a-z])\s*\)"
    r"|\\frac\s*\{\s*d\s*[a-z]\s*\}\s*\{\s*d\s*[a-z]\s*\}|\\(?:det|deg|max|min|dim|rank)\s*\(?\s*[A-Za-z]\s*\)?|"
    r"[A-Za-z]\d"
    r"|(?:\\(?:angle|triangle|measuredangle)\s*|m\s*\\angle\s*)?[A-Z]{2,4}|(?:m\s*)?\\angle\s*[A-Z\d]"
    r"|\\overline\s*\{\s*[A-Z]{2}\s*\}|\|\s*(?:\\vec\s*\{\s*)?[A-Z]{2}\s*\}?\s*\|"
    rf"|\\frac\s*\{{\s*[A-Z]{{2}}\s*\}}\s*\{{\s*[A-Z]{{2}}\s*\}}|[A-Z]{_SUBSCRIPT}(?:\s*:\s*[A-Z]{_SUBSCRIPT})+"
    r"|[A-Z]\^\{?(?:-1|T)\}?"
)
# A label in words: "area", "number of apples"; never a product of letters.
_LABEL: Final = re.compile(r"(?:[A-Za-z][A-Za-z']*\s+){0,7}[A-Za-z]{3,}(?:\s+[A-Za-z]{1,2})?")
_TUPLE_OF_NAMES: Final = re.compile(rf"[(\[]\s*({_LETTER}{_SUBSCRIPT}(?:\s*,\s*{_LETTER}{_SUBSCRIPT}){{1,7}})\s*[)\]]")
_WORD_LABEL: Final = re.compile(r"^[A-Za-z]{3,20}(?:\s+[a-z]{2,12}){0,3}:\s+(?=[-(\d\\])")
_EQUALS: Final = re.compile(r"(?<=\w)\s+(?:equals|is\s+equal\s+to)\s+")
# P(3, -1) is the point P.
_POINT: Final = re.compile(r"([A-Z])\s?(\(\s*-?[\d./\\{}a-z]*\d[^()A-Za-z]*,[^()A-Za-z]*\))")
_COLON_LABEL: Final = re.compile(
    r"^(?:the\s+)?(?:(?:final|correct|right|exact)\s+)?(?:answer|solution|result|value|total|sum|"
    r"ans)s?\s*(?:is\b|are\b|:)[\s:]*(?=\S)",
    re.IGNORECASE,
)
_CONSTANT_WORDS: Final = re.compile(
    r"\\(?:begin|end)\s*\{[a-z]+\}|\\[A-Za-z]+|(?<![A-Za-z])(?:sqrt|sin|cos|tan|log|ln|exp|pi|degrees?|and|or|"
    r"[ei])(?![A-Za-z])"
)
_INFINITY: Final = re.compile(r"(?<![A-Za-z\\])(?:inf|infinity|oo)(?![A-Za-z])", re.IGNORECASE)
_ALL_REALS: Final = re.compile(
    r"\\mathbb\s*\{?R\}?|\\R|all\s+(?:the\s+)?real(?:s|\s+numbers)|[Rr]eal\s+numbers", re.IGNORECASE
)
_REALS_WITHOUT: Final = re.compile(r"\\mathbb\s*\{?R\}?\s*(?:\\setminus|\\backslash|-)\s*\\\{\s*([^{},]+)\s*\\\}")
_SET_BUILDER: Final = re.compile(
    r"\\\{\s*[a-z]\s*(?:\\in\s*\\mathbb\s*\{?R\}?\s*)?(?:\\mid|\\vert|:|\|)\s*(.+?)\s*\\\}"
)
_CONDITION: Final = re.compile(r",\s*(?:where\s+|for\s+)?[a-z]\s*(?:\\in\s*\\mathbb\s*\{?[A-Z]\}?|\\neq?\s*-?[\d.]+)$")
_WITH_UNIT: Final = re.compile(r"[$€£]?-?[\d.,/ ]*\d\s*(?:%|[A-Za-z]{2,}.{0,40}|\s[A-Za-z]\S*)")
_BRACKETS: Final = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}


@dataclass(frozen=True, slots=True)
class Statement:
    """An answer with what it says it of."""

    value: str
    """What is left when names and approximations fall away; the whole text of an equation."""
    names: tuple[str, ...] = ()
    """What the value is the value of, blanks removed; empty where it stands alone."""
    is_equation: bool = False
    """The text equates two expressions and is no value."""
    is_relation: bool = False
    """The text is an inequality or a membership that is no interval."""
    is_range: bool = False
    """The value is an interval that was written as an inequality."""


def statement(text: str) -> Statement:
    """Take an answer apart at its relation signs.

    Args:
        text: An answer, typography removed, at most a few hundred characters; a list is taken apart before.

    Returns:
        The value and its names. A chain of constants (`11/2 = 5.5`) has its last side as value, an exact value with an
        approximation (`2\\sqrt{3} \\approx 3.46`) the exact one.
    """
    text = _EQUALS.sub("=", _WORD_LABEL.sub("", _COLON_LABEL.sub("", text)))
    if point := _POINT.fullmatch(text):
        return Statement(point[2], (point[1],))
    sides, kinds = _sides(text)
    if not kinds or len(sides) > MAX_SIDES:
        return Statement(text)
    if "~" in kinds:
        first = kinds.index("~")
        if first == 0 and (not sides[0] or _is_name(sides[0])):
            # "x \approx 3.5": there is no exact value beside it.
            return Statement(sides[1], _named(sides[0])) if len(sides) == 2 else Statement(text, is_relation=True)
        sides, kinds = sides[: first + 1], kinds[:first]
        if not kinds:
            return Statement(sides[0])
    if not all(sides):
        return Statement(text, is_relation=True)
    if set(kinds) == {"="}:
        return _equated(sides, text)
    if kinds == ["in"] and _is_name(sides[0]):
        return Statement(sides[1], _named(sides[0]))
    return _range(sides, kinds) or Statement(text, is_relation=True)


def as_interval(text: str) -> str:
    """Write what is an interval in other words as one: `{x | x <= 2}`, `x >= 2 and x < 3`, all real numbers.

    Also the conditions that a value comes with fall away: `k\\pi, k \\in \\mathbb{Z}`.
    """
    text = _CONDITION.sub("", _INFINITY.sub(r"\\infty", text))
    if _ALL_REALS.fullmatch(text):
        return "(-\\infty, \\infty)"
    if without := _REALS_WITHOUT.fullmatch(text):
        return f"(-\\infty, {without[1]}) \\cup ({without[1]}, \\infty)"
    if builder := _SET_BUILDER.fullmatch(text):
        text = builder[1].strip()
    both = re.split(r"\s+and\s+|\\land", text)
    if len(both) == 2 and (joined := _intersection(statement(both[0]), statement(both[1]))):
        return joined
    either = re.split(r"\s*\\cup\s*", text)
    if len(either) > 1 and all(statement(part).is_range for part in either):
        return " or ".join(either)
    return text


def _intersection(a: Statement, b: Statement) -> str:
    """The interval between a lower and an upper bound of one name; empty where they are anything else."""
    if not (a.is_range and b.is_range and a.names == b.names):
        return ""
    lower, upper = (a.value, b.value) if a.value.endswith("\\infty)") else (b.value, a.value)
    if not (lower.endswith("\\infty)") and upper.startswith("(-\\infty")):
        return ""
    return f"{lower.rpartition(',')[0]},{upper.partition(',')[2]}"


def is_constant(text: str) -> bool:
    r"""Whether an expression has no letter of its own: `2\sqrt{3}`, `5 + 6`; units count as letters."""
    return not re.search(r"[A-Za-z]", _CONSTANT_WORDS.sub(" ", text))


def tuple_names(text: str) -> tuple[str, ...]:
    """Read `(x, y)` as names; empty where the text is anything else."""
    match = _TUPLE_OF_NAMES.fullmatch(text.strip())
    return tuple(name.strip().replace(" ", "") for name in match[1].split(",")) if match else ()


def _equated(sides: list[str], text: str) -> Statement:
    values = [exact for exact in map(value, sides) if exact is not None]
    if len(set(values)) > 1:
        # 3 + 2 = 6 says nothing.
        return Statement(text, is_equation=True)
    if names := tuple_names(sides[0]):
        fits = len(sides) == 2 and sides[1].count(",") >= len(names) - 1
        return Statement(sides[-1], names) if fits else Statement(text, is_equation=True)
    if _is_name(sides[0]):
        names = tuple(name for side in sides[:-1] if _is_name(side) for name in _named(side))
        return Statement(sides[-1], names[:1] if len(names) < len(sides) - 1 else names)
    if all(map(is_constant, sides[:-1])):
        if len(sides) == 2 and _is_name(sides[1]):
            return Statement(sides[0], _named(sides[1]))
        if (is_constant(sides[-1]) or _WITH_UNIT.fullmatch(sides[-1])) and re.search(r"\d|\\", text):
            return Statement(sides[-1])
    return Statement(text, is_equation=True)


def _range(sides: list[str], kinds: list[str]) -> Statement | None:
    """Read `a < x <= b` and `x > 3` as an interval; None for anything else."""
    if len(sides) == 2 and kinds[0] in ("<", "<=", ">", ">="):
        if _is_name(sides[1]) and not _is_name(sides[0]):
            sides, kinds = [sides[1], sides[0]], [kinds[0].translate(str.maketrans("<>", "><"))]
        if not _is_name(sides[0]):
            return None
        closed = kinds[0].endswith("=")
        if kinds[0][0] == "<":
            value = f"(-\\infty, {sides[1]}{']' if closed else ')'}"
        else:
            value = f"{'[' if closed else '('}{sides[1]}, \\infty)"
        return Statement(value, _named(sides[0]), is_range=True)
    if len(sides) == 3 and _is_name(sides[1]):
        if {kind[0] for kind in kinds} == {">"}:
            sides = sides[::-1]
            kinds = [kind.replace(">", "<") for kind in reversed(kinds)]
        if {kind[0] for kind in kinds} == {"<"}:
            opening, closing = "[" if kinds[0] == "<=" else "(", "]" if kinds[1] == "<=" else ")"
            return Statement(f"{opening}{sides[0]}, {sides[2]}{closing}", _named(sides[1]), is_range=True)
    if len(sides) == 2 and kinds == ["!="] and _is_name(sides[0]):
        value = f"(-\\infty, {sides[1]}) \\cup ({sides[1]}, \\infty)"
        return Statement(value, _named(sides[0]), is_range=True)
    return None


def _sides(text: str) -> tuple[list[str], list[str]]:
    """Split at the relation signs outside of brackets."""
    sides: list[str] = []
    kinds: list[str] = []
    start = depth = position = 0
    for sign in _RELATION.finditer(text):
        depth += sum(_BRACKETS.get(c, 0) for c in text[position : sign.start()])
        position = sign.end()
        if depth <= 0:
            sides.append(text[start : sign.start()].strip())
            kinds.append(_KINDS[sign[0]])
            start = sign.end()
    sides.append(text[start:].strip())
    return sides, kinds


def _is_name(text: str) -> bool:
    return bool(_NAME.fullmatch(text) or _LABEL.fullmatch(text))


def _named(text: str) -> tuple[str, ...]:
    return (re.sub(r"[\s{}]", "", text),) if text else ()
