"""Rounds of evolution, and what their gates decided."""

from collections.abc import Sequence

from agentark.cli.tables import columns
from agentark.reports.results import Gate


def render_gates(gates: Sequence[Gate]) -> str:
    """A line a round; empty for a run without gates."""
    if not gates:
        return ""
    rows: list[tuple[str, ...]] = [("ROUND", "BEFORE", "AFTER", "LOST", "GAINED", "P", "")]
    for gate in gates:
        if gate.accepted is not None:
            shares = (f"{gate.before:.1%}", f"{gate.after:.1%}")
            counts = (str(gate.lost), str(gate.gained), f"{gate.p:.3f}")
            rows.append((str(gate.round), *shares, *counts, "  accepted" if gate.accepted else "  TURNED AWAY"))
        else:
            rows.append((str(gate.round), "-", "-", "-", "-", "-", "  not run"))
    # The verdict is read as a word, the rest as figures.
    table = columns([row[:-1] for row in rows], right_from=1).splitlines()
    lines = [line + row[-1] for line, row in zip(table, rows, strict=True)]
    return "\n".join([f"Rounds, measured on {gates[0].questions} held-out questions", *lines])
