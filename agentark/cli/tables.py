"""Plain aligned columns, for terminals and pipes alike."""

from collections.abc import Sequence

from agentark.terminal import printable_line


def columns(rows: Sequence[Sequence[str]], *, right_from: int = 99, indent: str = "  ") -> str:
    """Align rows; columns from `right_from` on are right-aligned. No rows are no text.

    Cells are made printable here, before they are measured; one with a line break stays one line.
    """
    rows = [[printable_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if index >= right_from else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append((indent + "  ".join(cells)).rstrip())
    return "\n".join(lines)


def number(value: int | None) -> str:
    """A count with thousands separators; '-' for unknown."""
    return "-" if value is None else f"{value:,}"


def duration(seconds: float) -> str:
    """Seconds as a person reads them."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
