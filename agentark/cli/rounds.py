"""Rounds of evolution, and what their gates decided."""

from collections.abc import Mapping, Sequence
from typing import Any

from agentark.cli.tables import columns


def render_gates(gates: Sequence[Mapping[str, Any]]) -> str:
    """A line a round; empty for a run without gates."""
    if not gates:
        return ""
    rows: list[tuple[str, ...]] = [("ROUND", "BEFORE", "AFTER", "LOST", "GAINED", "P", "")]
    for gate in gates:
        if "accepted" in gate:
            shares = (f"{gate['before']:.1%}", f"{gate['after']:.1%}")
            counts = (str(gate["lost"]), str(gate["gained"]), f"{gate['p']:.3f}")
            rows.append((str(gate["round"]), *shares, *counts, "  accepted" if gate["accepted"] else "  TURNED AWAY"))
        else:
            rows.append((str(gate["round"]), "-", "-", "-", "-", "-", "  not run"))
    # The verdict is read as a word, the rest as figures.
    table = columns([row[:-1] for row in rows], right_from=1).splitlines()
    lines = [line + row[-1] for line, row in zip(table, rows, strict=True)]
    return "\n".join([f"Rounds, measured on {gates[0].get('questions')} held-out questions", *lines])
