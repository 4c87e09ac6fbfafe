"""Text as a terminal may show it: what would command the terminal, or hide what is written, is spelled out.

Texts of models, data sets and servers reach terminals and logs. Control characters in them could move the cursor over
other lines, change a window's title or clipboard, or show text in another order than it is read in. Each is written as
an escape instead, such as ``\\x1b`` or ``\\u202e``; nothing is dropped, and all other text stays as it is.
"""

import json
import logging
import re

# C0 without newline and tab (a carriage return may end a line), DEL, C1, the embeddings, overrides and isolates of
# bidirectional text, and lone surrogates, which no encoding can write.
_CONTROLS = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_UNSAFE = re.compile(rf"[{_CONTROLS}]|\r(?!\n)")
_UNSAFE_IN_LINE = re.compile(f"[{_CONTROLS}\t\n\r\u2028\u2029]")
_UNSAFE_IN_JSON = re.compile(f"[{_CONTROLS}]")


def printable(text: str) -> str:
    """The text with control characters spelled out; newlines and tabs stay. Twice is the same as once."""
    return _UNSAFE.sub(_escape, text)


def printable_line(text: str) -> str:
    """As `printable`, and newlines and tabs are spelled out too: for a cell of a table, which has one line."""
    return _UNSAFE_IN_LINE.sub(_escape, text)


def printable_json(value: object, *, ascii_only: bool = False) -> str:
    """JSON of a value in one line, which parses to exactly this value and holds no raw control character.

    Args:
        value: What `json.dumps` takes.
        ascii_only: Whether all that is not ASCII is escaped as well.
    """
    text = json.dumps(value, ensure_ascii=ascii_only)
    return _UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


class PrintableFormatter(logging.Formatter):
    """Formats a log record, its traceback included, as text that a terminal may show."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's text, see `printable`."""
        return printable(super().format(record))


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
