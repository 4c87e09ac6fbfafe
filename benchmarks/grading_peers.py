"""Grade the cases of peers' own test suites with our grader and with Math-Verify, and print who agrees.

The repositories are read where they are checked out; none of their code is imported or run.
"""

import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path

from math_verify import parse, verify

from agentark.tasks import CHOICE, MATH, NUMBER, TEXT, Policy, grade, symbolic
from benchmarks.peer_suites import Cases, PeerCase, read_suites

HOME = "Math-Verify"
"""The suite that Math-Verify was written to pass."""
LIMIT_S = 5
BASES = {policy.kind: policy for policy in (CHOICE, MATH, NUMBER, TEXT)}


@dataclass(frozen=True, slots=True)
class Judged:
    """A row and what three graders say of it."""

    row: PeerCase
    ours: bool
    mathverify: bool
    mathverify_dollar: bool
    """With `$` around each side that marks no mathematics itself."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of one line of the table."""

    suite: str
    rows: int
    agree: int
    rewarded: int
    """Wrong by the peer's test, right by us."""
    missed: int
    """Right by the peer's test, wrong by us."""
    mathverify: int
    mathverify_dollar: int


def judge(rows: Iterable[PeerCase]) -> list[Judged]:
    """Ask our grader and Math-Verify; only in the main thread, whose alarm Math-Verify's limits use."""
    symbolic.start()
    return [
        Judged(
            row,
            any(grade(row.prediction, gold, row.policy).correct for gold in row.golds),
            any(_verified(row.prediction, gold, str) for gold in row.golds),
            any(_verified(row.prediction, gold, _dollars) for gold in row.golds),
        )
        for row in rows
    ]


def _verified(prediction: str, gold: str, mark: Callable[[str], str]) -> bool:
    """Math-Verify's verdict with its defaults; what it raises is no agreement of the two."""
    try:
        target = parse(mark(gold), parsing_timeout=LIMIT_S)
        return bool(verify(target, parse(mark(prediction), parsing_timeout=LIMIT_S), timeout_seconds=LIMIT_S))
    except Exception as error:
        print(f"Math-Verify raised {error!r:.120} on {prediction[-80:]!r}", file=sys.stderr)
        return False


def _dollars(text: str) -> str:
    return text if "$" in text or "boxed" in text else f"${text}$"


def tally(judged: Sequence[Judged]) -> list[Tally]:
    """Count each suite, all of them, all but Math-Verify's own, and all with pairs that peers share counted once."""
    suites = list(dict.fromkeys(item.row.suite for item in judged))
    groups = [(suite, [item for item in judged if item.row.suite == suite]) for suite in suites]
    groups.append(("all", list(judged)))
    groups.append((f"all without {HOME}", [item for item in judged if item.row.suite != HOME]))
    once = {(item.row.prediction, item.row.golds, item.row.expected): item for item in reversed(judged)}
    groups.append(("all, each pair once", list(once.values())))
    return [_count(name, items) for name, items in groups]


def _count(name: str, judged: Sequence[Judged]) -> Tally:
    return Tally(
        suite=name,
        rows=len(judged),
        agree=sum(item.ours == item.row.expected for item in judged),
        rewarded=sum(item.ours and not item.row.expected for item in judged),
        missed=sum(item.row.expected and not item.ours for item in judged),
        mathverify=sum(item.mathverify == item.row.expected for item in judged),
        mathverify_dollar=sum(item.mathverify_dollar == item.row.expected for item in judged),
    )


def render(cases: Cases, tallies: Sequence[Tally]) -> str:
    """Markdown: rows of each file, verdicts of each suite, and what is left out with its reason."""
    lines = [
        "| suite | rows | we agree | we reward wrong | we miss | Math-Verify | Math-Verify, `$` |",
        "|---" * 7 + "|",
    ]
    for line in tallies:
        cells = (getattr(line, column.name) for column in fields(line))
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines += ["", "| file | rows |", "|---|---|"]
    lines += [f"| {name} | {count} |" for name, count in cases.files.items()]
    lines += ["", "| left out of | why | claims |", "|---|---|---|"]
    lines += [f"| {suite} | {reason} | {count} |" for (suite, reason), count in sorted(cases.left_out.items())]
    if cases.missing:
        lines += ["", f"not checked out: {', '.join(cases.missing)}"]
    return "\n".join(lines)


def record(item: Judged) -> dict[str, object]:
    """The JSON form of a judged row; `options` are those that differ from the task's usual policy."""
    row = item.row
    return {
        "suite": row.suite,
        "source": row.source,
        "kind": row.policy.kind,
        "prediction": row.prediction,
        "gold": row.golds[0] if len(row.golds) == 1 else list(row.golds),
        "expected": row.expected,
        "options": options(row.policy),
        "ours": item.ours,
        "mathverify": item.mathverify,
        "mathverify_dollar": item.mathverify_dollar,
    }


def options(policy: Policy) -> dict[str, object]:
    """Fields in which a policy differs from the usual one of its kind."""
    base = BASES[policy.kind]
    changed = {column.name: getattr(policy, column.name) for column in fields(policy)}
    return {
        name: str(value) if isinstance(value, Fraction) else value
        for name, value in changed.items()
        if value != getattr(base, name)
    }


def peers(folder: Path, rows: Path | None = None, *, as_json: bool = False) -> int:
    """Print the table of all suites below a folder.

    Args:
        folder: Holds the checked-out repositories under their names.
        rows: File for every row with its verdicts, one JSON object a line.
        as_json: Print counts as one JSON object.

    Returns:
        1 if we reward an answer that a peer's test calls wrong, else 0.

    Raises:
        ValueError: As `read_suites`.
    """
    started = time.perf_counter()
    cases = read_suites(folder)
    judged = judge(cases.rows)
    tallies = tally(judged)
    if rows:
        with rows.open("w", encoding="utf-8") as lines:
            lines.writelines(json.dumps(record(item), ensure_ascii=False) + "\n" for item in judged)
    if as_json:
        seconds = round(time.perf_counter() - started, 1)
        counts = [{column.name: getattr(line, column.name) for column in fields(line)} for line in tallies]
        left_out = [{"suite": s, "reason": r, "claims": n} for (s, r), n in cases.left_out.items()]
        result = {"table": counts, "files": cases.files, "left_out": left_out, "missing": cases.missing}
        print(json.dumps({**result, "seconds": seconds}))
    else:
        print(render(cases, tallies))
    return 1 if any(item.ours and not item.row.expected for item in judged) else 0
