r"""From an answer as written to a plain line of mathematics.

Typography is removed (dollar signs around maths, \text, spaces, bold, Unicode look-alikes); meaning is not touched.
Every step is linear in the length of the text.
"""

import re
import unicodedata
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
    "°": "^\\circ ",
    "％": "%",
}
_SUPERSCRIPTS: Final = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-", strict=True))
_SUPERSCRIPT_RUN: Final = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
_SPACING: Final = re.compile(r"\\(?:left|right|displaystyle|textstyle|limits|qquad|quad|[!,;:>])(?![A-Za-z])|~")
_SPACE_COMMAND: Final = re.compile(r"(?<!\\)\\(?= )")
_TEXT_COMMAND: Final = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|normal)?|mbox|mathrm|mathbf|mathit|mathsf|boldsymbol|operatorname|emph|hbox)\s*"
    r"\{([^{}\\]*)\}"
)
_BOXED: Final = re.compile(r"^\\(?:boxed|fbox)\s*\{(.*)\}$", re.DOTALL)
_DELIMITERS: Final = (("$$", "$$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"), ("`", "`"), ("__", "__"))


def plain(text: str) -> str:
    r"""Remove the typography of an answer.

    Args:
        text: An answer as written; characters after `MAX_ANSWER` are cut off.

    Returns:
        One line; LaTeX commands that carry meaning (`\frac`, `\sqrt`, `\pi`) stay.
    """
    line = unwrap(_ascii(text[:MAX_ANSWER]))
    line = line.replace("\\$", "$").replace("\\%", "%").replace("{,}", ",").replace("\\#", "#")
    line = _SPACING.sub(lambda match: "" if match[0][1:] in ("!", ",", "left", "right") else " ", line)
    line = _SPACE_COMMAND.sub("", line)
    for _ in range(4):
        line, count = _TEXT_COMMAND.subn(r" \1 ", line)
        if not count:
            break
    line = re.sub(r"\\[dtc]frac(?![A-Za-z])", r"\\frac", line)
    line = re.sub(r"\s*\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![A-Za-z]))|\\degree(?![A-Za-z])", " degrees ", line)
    return unwrap(" ".join(line.split()))


def unwrap(text: str) -> str:
    """Strip blanks, closing punctuation, maths delimiters, bold marks and boxes around a whole answer."""
    for _ in range(8):
        before = text
        text = text.strip().rstrip(".,;:").strip()
        for start, end in _DELIMITERS:
            inner = text[len(start) : -len(end)]
            if len(text) > len(start) + len(end) and text.startswith(start) and text.endswith(end) and end not in inner:
                text = inner
        if len(text) > 2 and text[0] == text[-1] == "$" and "$" not in text[1:-1]:
            text = text[1:-1]
        boxed = _BOXED.match(text)
        if boxed and closes_at(boxed[1]) is None:
            text = boxed[1]
        if text == before:
            break
    return text


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
    text = _SUPERSCRIPT_RUN.sub(lambda run: "^{" + "".join(_SUPERSCRIPTS[c] for c in run[0]) + "}", text)
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
