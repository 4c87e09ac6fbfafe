"""The one place that writes to the terminal; what it writes has no control characters but its own.

Sub-commands say texts, documents and styled lines through it, so that none has to think of what models write.
"""

import io
import logging
import sys
from typing import Any, TextIO

from rich.console import Console, RenderableType
from rich.text import Text

from agentark.terminal import PrintableFormatter, printable, printable_json


def prepare_streams() -> None:
    """Log warnings, Python's own too, as `say` writes; characters that the output cannot encode are spelled out."""
    handler = logging.StreamHandler()
    handler.setFormatter(PrintableFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.captureWarnings(True)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def say(text: str = "", *, error: bool = False, end: str = "\n") -> None:
    """Write text for a person.

    Args:
        text: See `agentark.terminal.printable`.
        error: Whether it goes to standard error, where what is no result belongs.
        end: Written after it.
    """
    print(printable(text), file=output_stream(error=error), end=end, flush=True)


def say_json(document: object) -> None:
    """Write a document for a machine, in one line; parsed, its texts are exactly what they were."""
    print(printable_json(document, ascii_only=not speaks_unicode()), flush=True)


def output_stream(*, error: bool = False) -> TextIO:
    """Standard output, or standard error, for a `PlainConsole`."""
    return sys.stderr if error else sys.stdout


def speaks_unicode() -> bool:
    """Whether standard output can hold every character."""
    return (sys.stdout.encoding or "").lower().startswith("utf")


def styled(*parts: tuple[str, str]) -> RenderableType:
    """Parts of a text, each with its colour or weight, as `PlainConsole` takes them."""
    return Text.assemble(*((printable(text), style) for text, style in parts))


class PlainConsole(Console):
    """rich's console without its markup, emoji codes and highlights: a text is a text, whatever is in brackets."""

    def __init__(self, file: TextIO, *, terminal: bool | None = None, soft_wrap: bool = False) -> None:
        """Write to a stream.

        Args:
            file: Where to, such as `output_stream()`.
            terminal: Whether it is a terminal; None asks it.
            soft_wrap: Whether long lines are left to the terminal.
        """
        super().__init__(
            file=file, force_terminal=terminal, soft_wrap=soft_wrap, markup=False, emoji=False, highlight=False
        )

    def render_str(self, text: str, **options: Any) -> Text:
        """A plain text on its way to the terminal, be it in a cell of a table."""
        return super().render_str(printable(text), **options)
