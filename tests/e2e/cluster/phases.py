"""How long each part of an end-to-end run took."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Phases:
    """Parts in the order in which they began; those within another are indented."""

    _rows: list[tuple[str, float]] = field(default_factory=list)
    _depth: int = 0

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Take the time of the block, also where it fails."""
        place, indent = len(self._rows), "  " * self._depth
        self._rows.append((f"{indent}{name}", 0.0))
        self._depth += 1
        began = time.monotonic()
        try:
            yield
        finally:
            self._depth -= 1
            self._rows[place] = (f"{indent}{name}", time.monotonic() - began)

    def lines(self) -> list[str]:
        """A line for each, seconds first."""
        return [f"{seconds:8.1f} s  {name}" for name, seconds in self._rows]


PHASES = Phases()
"""Of this process."""
