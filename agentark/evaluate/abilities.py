"""What single-pass answers show of the abilities that a debate should teach: decomposition and self-checking.

Read off the answers' own text. Steps are its lines (its sentences where it has one line). What is calculated is read by
`agentark.evaluate.calculations`; answers without a written-out calculation count for steps alone. The third ability,
finding a planted error, needs a question of its own: `agentark.evaluate.locating`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from agentark.evaluate.calculations import Calculation, calculations
from agentark.evaluate.correcting import Rate, rate

_SENTENCE = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, slots=True)
class Abilities:
    """Measures over single-pass answers, with 95 % intervals over the answers."""

    answers: int
    steps: float
    """Mean number of steps."""
    several_steps: Rate
    """Of answers: at least two steps besides the final answer."""
    single_operations: Rate
    """Of calculations: one operation, not several in one line."""
    linked: Rate
    """Of calculations after an answer's first: use the result of an earlier one."""
    right_calculations: Rate
    """Of calculations."""
    checked: Rate
    """Of answers with a calculation: do one of them again, with whatever result."""
    with_error: Rate
    """Of answers with a calculation: at least one is wrong."""
    mended: Rate
    """Of wrong calculations: done again further down, and right there."""

    def as_json(self) -> dict[str, Any]:
        """Return the measures as JSON values."""
        rates = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value.as_json() if isinstance(value, Rate) else value for name, value in rates.items()}


def abilities(answers: Iterable[str]) -> Abilities:
    """Measure answers, one text a question."""
    counts: dict[str, list[tuple[int, int]]] = {}
    steps: list[int] = []

    def add(name: str, hits: int, of: int) -> None:
        counts.setdefault(name, []).append((hits, of))

    for text in answers:
        steps.append(_steps(text))
        # The last line gives the answer.
        add("several_steps", steps[-1] > 2, 1)
        calculated = calculations(text)
        if not calculated:
            continue
        wrong = [index for index, step in enumerate(calculated) if not step.right]
        add("single_operations", sum(len(step.signs) == 1 for step in calculated), len(calculated))
        add("linked", *_linked(calculated))
        add("right_calculations", len(calculated) - len(wrong), len(calculated))
        add("checked", len({step.left for step in calculated}) < len(calculated), 1)
        add("with_error", bool(wrong), 1)
        add("mended", sum(_mended(calculated, index) for index in wrong), len(wrong))
    names = [field.name for field in fields(Abilities)][2:]
    rates = {name: rate(counts.get(name, [])) for name in names}
    return Abilities(len(steps), sum(steps) / len(steps) if steps else 0.0, **rates)


def render_abilities(by_subject: dict[str, Abilities]) -> str:
    """Lay several subjects' measures out for a terminal, one measure a line.

    Args:
        by_subject: Measures by label.
    """
    rows = (
        ("several steps", "several_steps"),
        ("one operation a calculation", "single_operations"),
        ("uses an earlier result", "linked"),
        ("calculations right", "right_calculations"),
        ("answers that check themselves", "checked"),
        ("answers with a wrong calculation", "with_error"),
        ("wrong calculations mended", "mended"),
    )
    width = max(map(len, by_subject), default=0) + 2
    lines = ["".ljust(34) + "".join(label.rjust(max(width, 30)) for label in by_subject)]
    lines.append(
        "steps an answer".ljust(34)
        + "".join(f"{subject.steps:.1f}".rjust(max(width, 30)) for subject in by_subject.values())
    )
    for label, name in rows:
        cells = (rate_cell(getattr(subject, name)).rjust(max(width, 30)) for subject in by_subject.values())
        lines.append(label.ljust(34) + "".join(cells))
    return "\n".join(lines) + "\n"


def rate_cell(rate: Rate) -> str:
    """Write a rate as percent with its interval and its base."""
    if rate.share is None or rate.interval is None:
        return "-"
    low, high = rate.interval
    return f"{100 * rate.share:.1f} % [{100 * low:.1f} {100 * high:.1f}] of {rate.of}"


def _steps(text: str) -> int:
    lines = [line for line in text.splitlines() if line.strip()]
    return len(lines) if len(lines) > 1 else len([part for part in _SENTENCE.split(text) if part.strip()])


def _linked(steps: tuple[Calculation, ...]) -> tuple[int, int]:
    earlier = {steps[0].claimed.value}
    hits = 0
    for step in steps[1:]:
        hits += any(operand.value in earlier for operand in step.operands)
        earlier.add(step.claimed.value)
    return hits, len(steps) - 1


def _mended(steps: tuple[Calculation, ...], index: int) -> bool:
    return any(later.left == steps[index].left and later.right for later in steps[index + 1 :])
