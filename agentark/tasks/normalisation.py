r"""From an answer as written to a plain line of mathematics.

Typography is removed (dollar signs around maths, \text, spaces, bold, Unicode look-alikes); meaning is not touched.
Every step is linear in the length of the text.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final

MAX_ANSWER: Final = 2000
"""Characters of an answer that are looked at; whatever is longer is no final answer."""

_CHARACTERS: Final = {
    **dict.fromkeys("−–—‐‑‒﹣－", "-"),
    **dict.fromkeys("×⋅∙·✕", "*"),
    **dict.fromkeys("÷⁄∕", "/"),
    **dict.fromkeys("\u00a0\u2007\u2009\u200a\u202f\u3000", " "),
    **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff", ""),
    **dict.fromkeys("’‘′", "'"),
    **dict.fromkeys("“”", '"'),
    "√": "\\sqrt ",
    "π": "\\pi ",
    "∞": "\\infty ",
    "∪": "\\cup ",
    "±": "\\pm ",
    "≤": "\\le ",
    "≥": "\\ge ",
    "≠": "\\ne ",
    "≈": "\\approx ",
    "∈": "\\in ",
    "…": "\\ldots ",
    **dict.fromkeys("°º˚", "^\\circ "),
    "∠": "\\angle ",
    "∶": ":",
    "∩": "\\cap ",
    "∅": "\\emptyset ",
    "⊂": "\\subset ",
    "％": "%",
    "ℝ": "\\mathbb{R}",
}
_SUPERSCRIPTS: Final = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-", strict=True))
# Between digits it is a range.
_EN_DASH: Final = re.compile(r"(?<=\d)[–—](?=\d)")
_GLYPH_ROOT: Final = re.compile(r"√\s?(?:\(([^()]{1,80})\)|(\d+|[A-Za-z]))")
_SUBSCRIPTS: Final = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))
_SUBSCRIPT_RUN: Final = re.compile("[₀₁₂₃₄₅₆₇₈₉]+")
_SUPERSCRIPT_RUN: Final = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
_SPACING: Final = re.compile(
    r"\\(?:left|right|displaystyle|textstyle|limits|qquad|quad|bigl|bigr|Bigl|Bigr|big|Big|[!,;:>])(?![A-Za-z])|~"
)
_NO_SPACE: Final = frozenset(
    ("\\!", "\\,", "\\left", "\\right", "\\bigl", "\\bigr", "\\Bigl", "\\Bigr", "\\big", "\\Big")
)
_SPACE_COMMAND: Final = re.compile(r"(?<!\\)\\(?= )")
# JSON within JSON doubles the backslash of a command; a row of a matrix ends in two, then a blank or a digit follows.
_ESCAPED_TWICE: Final = re.compile(
    r"(?<!\\)\\\\(?=(?:[dtc]?frac|sqrt|left|right|boxed|text|mathrm|mathbf|cdot|times|leq?|geq?|neq?|infty|pi|"
    r"circ|pm|cup|angle|"
    r"in|log|ln|sin|cos|tan|theta|alpha|beta)(?![A-Za-z]))"
)
# A comma between digits that is set without space is a mark of thousands, not one of a list.
_GROUP_MARK: Final = re.compile(r"(?<=\d)(?:\{,\}|,\\!)\s?(?=\d{3}(?!\d))")
_DEEP: Final = r"(?:[^{}]|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})*"
_TEXT_COMMAND: Final = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|normal|up)?|mbox|mathrm|mathbf|mathit|mathsf|mathtt|boldsymbol|bm|operatorname|"
    r"emph|hbox|"
    rf"underline|uline)\s*\{{({_DEEP})\}}"
)
_STYLE: Final = re.compile(
    r"\\(?:bf|rm|it|tt|large|Large|LARGE|huge|small|normalsize|bfseries)(?![A-Za-z])|"
    r"\\(?:text)?color\s*\{[a-z]+\}|\\checkmark(?![A-Za-z])"
)
_ROW_GAP: Final = re.compile(r"\\\\\s*\[\s*-?[\d.]+\s*(?:pt|ex|em|mm|cm)\s*\]")
_OVER: Final = re.compile(r"\{?\s*([\w.]+|\{[^{}]*\})\s*\\over(?![A-Za-z])\s*([\w.]+|\{[^{}]*\})\s*\}?")
_UNIT_FRACTION: Final = re.compile(
    r"(?<=[\d}\s])\s*\\frac\s*\{\s*([A-Za-z]{1,6}(?:\^\{?\d\}?)?)\s*\}\s*\{\s*([A-Za-z]{1,6}(?:\^\{?\d\}?)?)\s*\}$"
)
_MICRO: Final = re.compile(r"(?<=[\d}])\s*\\mu\s*(?=[A-Za-z])")
_UNIT_COMMAND: Final = re.compile(r"(?<=[\d}])\s*(?<!_)\\(Omega|AA)(?![A-Za-z])\s*$")
_BOXED: Final = re.compile(r"^\\(?:boxed|fbox)\s*\{(.*)\}$", re.DOTALL)
_DELIMITERS: Final = (
    ("$$", "$$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"), ("`", "`"), ("__", "__"), ('"', '"'), ("'", "'"),
)  # fmt: skip
# Emoji, ticks, arrows and "therefore" around an answer; a degree sign is none of them.
_SIGN: Final = "[\u2190-\u21ff\u2234\u2235\u2600-\u2604\u2607-\u27bf\ufe0f\U0001f000-\U0001faff]"
_SIGNS_AROUND: Final = re.compile(rf"^(?:{_SIGN}\s*)+(?=\S)|(?<=\S)(?:\s*{_SIGN})+$")
_OPENERS: Final = frozenset(start[0] for start, _ in _DELIMITERS)
# One dollar sign is money, a pair that embraces something without blanks at its ends is mathematics.
_INLINE_MATHS: Final = re.compile(r"(?<![\\$\w])\$(?=[^\s$])((?:\\\$|[^$\n]){0,300}?[^\s$\\])\$(?![\d$])")
_RAISED_MATHS: Final = re.compile(r"(?<=[A-Za-z])\$(\^\{?\d\}?)\$")
# 0.333... and 1, 2, 3, ... go on; a sentence that trails off after its number does not.
_GOES_ON: Final = re.compile(r"\d\.\d+\s*(?:\.\.\.|…)$|,\s*(?:\.\.\.|…)$")
_ENVIRONMENT: Final = re.compile(
    r"^\\begin\{(align|aligned|equation|gather|gathered|multline|split|displaymath)\*?\}(.*)\\end\{\1\*?\}$", re.DOTALL
)
_POUND_SIGNS: Final = {"\\pounds": "£", "\\euro": "€", "\\texteuro": "€", "\\textdollar": "$", "\\yen": "¥"}


@lru_cache(maxsize=4096)
def plain(text: str) -> str:
    r"""Remove the typography of an answer.

    Args:
        text: An answer as written; characters after `MAX_ANSWER` are cut off.

    Returns:
        One line; LaTeX commands that carry meaning (`\frac`, `\sqrt`, `\pi`) stay.
    """
    line = unwrap(_ascii(text[:MAX_ANSWER]))
    if "..." in line:
        line = line.replace("...", "\\ldots ")
    if "$" in line:
        line = _INLINE_MATHS.sub(_inner, _RAISED_MATHS.sub(r"\1", line)).replace("\\$", "$")
    if "\\" in line or "~" in line or "{" in line:
        line = _plain_latex(line)
    return unwrap(" ".join(line.split()))


def _inner(match: re.Match[str]) -> str:
    """The formula, with a blank before a word that touches its end."""
    touches = match.string[match.end() : match.end() + 1].isalpha()
    return f"{match[1]} " if touches else match[1]


def _plain_latex(line: str) -> str:
    if "\\\\" in line:
        line = _ESCAPED_TWICE.sub("\\\\", line)
    line = _STYLE.sub(" ", _ROW_GAP.sub(r"\\\\ ", _GROUP_MARK.sub("", line)))
    for _ in range(4):
        line, count = _TEXT_COMMAND.subn(_words_of, line)
        if not count:
            break
    line = (
        line.replace("{:}", ":")
        .replace("\\colon", ":")
        .replace("\\&", " and ")
        .replace("\\lbrack", "[")
        .replace("\\rbrack", "]")
    )
    line = _OVER.sub(r"\\frac{\1}{\2}", line) if "\\over" in line else line
    line = line.replace("\\%", "%").replace("{,}", ",").replace("\\#", "#").replace("\\(", "").replace("\\)", "")
    for command, sign in _POUND_SIGNS.items():
        line = line.replace(command, sign)
    line = _SPACING.sub(lambda match: "" if match[0] in _NO_SPACE else " ", line)
    line = _SPACE_COMMAND.sub("", line)
    line = re.sub(r"([A-Za-z])\s+\^", r"\1^", line)
    line = _MICRO.sub(" μ", line.replace("{}", "") if "\\circ" in line else line)
    line = _UNIT_COMMAND.sub(lambda match: " Ω" if match[1] == "Omega" else " Å", _UNIT_FRACTION.sub(r" \1/\2", line))
    line = re.sub(r"\\varnothing(?![A-Za-z])|\\\{\s*\\\}", r"\\emptyset ", line)
    line = re.sub(r"\\[dtc](frac|binom)(?![A-Za-z])", r"\\\1", line)
    line = re.sub(r"\\(?:dots|cdots|dotsc)(?![A-Za-z])", r"\\ldots", line)
    line = re.sub(r"\\(ge|le|ne)q(?![A-Za-z])", r"\\\1 ", line)
    line = re.sub(r"\^\s*(?:\{\s*\\prime\s*\}|\\prime(?![A-Za-z]))", "'", line)
    return re.sub(r"\s*\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![A-Za-z]))|\\degree(?![A-Za-z])", " degrees ", line)


def _words_of(command: re.Match[str]) -> str:
    """What a text command holds; the thin space between units is a blank there."""
    inner = command[1].replace("\\,", " ").replace("\\cdot", "*") if "\\" in command[1] else command[1]
    return f" {inner} "


def unwrap(text: str) -> str:
    """Strip blanks, closing punctuation, maths delimiters, emphasis marks and boxes around a whole answer."""
    for _ in range(8):
        before = text
        text = text.strip()
        if not text.isascii():
            text = _SIGNS_AROUND.sub("", text) or text
        if not (text.endswith(("...", "…")) and _GOES_ON.search(text)):
            text = text.rstrip(".,;:。，；：．").strip()
        if text.endswith("\\") and not text.endswith("\\\\"):
            text = text[:-1]
        if text and (text[-1] in "*`" or text[0] in "*`" or text[:2] == "__" or text[-2:] == "__"):
            text = _without_marks(text)
        if text[:1] in _OPENERS:
            text = _undelimited(text)
        if text == before:
            break
    return text


def _undelimited(text: str) -> str:
    for start, end in _DELIMITERS:
        inner = text[len(start) : -len(end)]
        if len(text) > len(start) + len(end) and text.startswith(start) and text.endswith(end) and end not in inner:
            text = inner
    if len(text) > 2 and text[0] == text[-1] == "$" and "$" not in text[1:-1]:
        text = text[1:-1]
    return _without_box(text) if text.startswith("\\") else text


def _without_marks(text: str) -> str:
    """Strip what is left of emphasis whose other end stands elsewhere."""
    stripped = text.strip("*`")
    stripped = stripped.removeprefix("__").removesuffix("__")
    return stripped or text


def _without_box(text: str) -> str:
    boxed = _BOXED.match(text)
    if boxed and closes_at(boxed[1]) is None:
        return boxed[1]
    environment = _ENVIRONMENT.match(text)
    return chained_lines(environment[2]) if environment else text


def chained_lines(content: str) -> str:
    r"""Join the lines of an aligned display: a line that begins with `=` goes on, another one is a further part."""
    if "\\begin" in content:
        return content.strip()
    lines = [line.replace("&", " ").strip() for line in content.split("\\\\")]
    joined = ""
    for line in filter(None, lines):
        joined += f" {line}" if not joined or line.startswith(("=", "\\approx", "<", ">")) else f", {line}"
    return joined.strip()


def closes_at(text: str) -> int | None:
    r"""Find where a brace that was opened before `text` closes; escaped braces do not count.

    Returns:
        Offset of the closing brace, or None if it is not in `text`.
    """
    depth = 0
    for match in re.finditer(r"\\.|[{}]", text, re.DOTALL):
        if match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth -= 1
            if depth < 0:
                return match.start()
    return None


def words(text: str) -> str:
    """Reduce an answer in words: case, punctuation, articles and repeated blanks go."""
    letters = "".join(c if c.isalnum() or c in "+-./%" else " " for c in plain(text).casefold())
    kept = [word.strip("./") for word in letters.split()]
    return " ".join(word for word in kept if word and word not in ("a", "an", "the"))


def _ascii(text: str) -> str:
    if text.isascii():
        return text
    text = _EN_DASH.sub(" through ", text)
    text = _GLYPH_ROOT.sub(lambda root: f"\\sqrt{{{root[1] or root[2]}}}", text)
    text = _SUPERSCRIPT_RUN.sub(lambda run: "^{" + "".join(_SUPERSCRIPTS[c] for c in run[0]) + "}", text)
    text = _SUBSCRIPT_RUN.sub(lambda run: "_{" + "".join(_SUBSCRIPTS[c] for c in run[0]) + "}", text)
    return "".join(_CHARACTERS.get(c, c) if not _is_numeric(c) else _digits(c) for c in text)


def _is_numeric(character: str) -> bool:
    return not character.isascii() and unicodedata.category(character) in ("Nd", "No")


def _digits(character: str) -> str:
    decimal = unicodedata.decimal(character, None)
    if decimal is not None:
        return str(decimal)
    decomposed = unicodedata.normalize("NFKC", character)
    # ½ decomposes to 1⁄2; the blank makes a mixed number of 5½.
    return " " + decomposed.replace("⁄", "/") if "⁄" in decomposed else character
