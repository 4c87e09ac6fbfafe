"""What the paper's own tables say about its claims (arXiv 2602.03955).

    python benchmarks/paper_tables.py

Reads `paper_tables.json` (the printed numbers) and prints one line per claim: what is claimed, what the tables give.
docs/paper-results.md holds the same lines, and a test compares the two. Gains are in percentage points over the
undistilled student unless they are called relative.
"""

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

TABLES = Path(__file__).with_suffix(".json")
METHODS = ("RSFT", "DA", "PAD")
QUESTIONS = {"GSM8K": 1319, "MedMCQA": 4183}
"""Sizes of the test sets: GSM8K's test part, MedMCQA's validation part."""
OWN = {"GSM8K": "gsm8k", "MedMCQA": "medmcqa"}
"""Training set that belongs to a test set."""


class Cell(NamedTuple):
    """One trained student on one test set, as in Tables 9 to 13; accuracies in %."""

    student: str
    teacher: str
    method: str
    training: str
    test: str
    accuracy: float
    base: float

    @property
    def gain(self) -> float:
        """Points over the undistilled student."""
        return self.accuracy - self.base

    @property
    def relative(self) -> float:
        """The gain in % of the undistilled student's accuracy."""
        return 100 * self.gain / self.base

    @property
    def errors(self) -> float:
        """The gain in standard errors of an unpaired difference of two proportions."""
        n = QUESTIONS[self.test]
        return self.gain / math.sqrt(sum(p * (100 - p) / n for p in (self.accuracy, self.base)))


class Check(NamedTuple):
    """A claim and what the tables give."""

    claim: str
    result: str

    def __str__(self) -> str:
        return f"| {self.claim} | {self.result} |"


def read_cells(tables: dict[str, Any]) -> list[Cell]:
    """The 360 cells of Tables 9 to 13."""
    return [
        Cell(table["student"], row["teacher"], row["method"], training, test, accuracy, base)
        for table in tables["tables_9_to_13"]
        for row in table["rows"]
        for test, base in table["base"].items()
        for training, accuracy in zip(tables["training_sets"], row[test], strict=True)
    ]


def checks(tables: dict[str, Any]) -> Iterator[Check]:
    """All checks, in the order of the document."""
    cells = read_cells(tables)
    yield from _headline(cells)
    yield from _steadiness(cells)
    yield from _where(cells)
    yield from _quality(tables["table_1"])
    yield from _process_reward(tables, cells)
    yield from _baselines(tables, cells)
    yield from _data(tables, cells)


def _headline(cells: Sequence[Cell]) -> Iterator[Check]:
    best = [cell for cell in cells if cell.method == "PAD" and cell.teacher == "qwen3-32b"]
    yield Check(
        "+4.8 % for a single agent",
        f"{mean(cell.relative for cell in best):+.2f} % relative, {_gain(best)} points: the mean of PAD with teacher "
        f"Qwen3-32B ({len(best)} cells); the paper does not say how it averaged",
    )
    yield Check(
        "the same over all teachers",
        f"{_relative(cells, 'PAD')} % relative, {_gain(cell for cell in cells if cell.method == 'PAD')} points",
    )
    for name, claim, belongs in (
        ("on the set trained for", "30 % at most, 4 to 6 % on average", lambda cell: cell.training == OWN[cell.test]),
        ("elsewhere", "7 % at most, 1 to 3 % on average", lambda cell: cell.training != OWN[cell.test]),
        ("in the other subject", "the same", lambda cell: (cell.training == "medmcqa") != (cell.test == "MedMCQA")),
    ):
        part = [cell for cell in cells if belongs(cell)]
        per_method = "; ".join(
            f"{method} {most:+.1f} %, {_relative(part, method)} %"
            for method in METHODS
            for most in [max(cell.relative for cell in part if cell.method == method)]
        )
        yield Check(f"gains {name}: {claim}", f"relative, most and mean: {per_method}")


def _steadiness(cells: Sequence[Cell]) -> Iterator[Check]:
    for method in METHODS:
        part = [cell for cell in cells if cell.method == method]
        above = sum(cell.gain > 0 for cell in part)
        up, down = sum(cell.errors > 1.96 for cell in part), sum(cell.errors < -1.96 for cell in part)
        yield Check(
            {"PAD": "PAD is consistent", "RSFT": "R-SFT fluctuates", "DA": "DA fluctuates"}[method],
            f"{above} of {len(part)} cells above the base ({100 * above / len(part):.0f} %); mean {_gain(part)}, "
            f"median {median(cell.gain for cell in part):+.2f}, worst {min(cell.gain for cell in part):+.2f}; "
            f"beyond 1.96 standard errors {up} up, {down} down",
        )


def _where(cells: Sequence[Cell]) -> Iterator[Check]:
    pad = [cell for cell in cells if cell.method == "PAD"]
    yield Check("MetaMathQA helps most, MedMCQA least", _by(cells, lambda cell: cell.training))
    yield Check("a stronger teacher helps (PAD, by teacher)", _by(pad, lambda cell: cell.teacher))
    yield Check("PAD by student", _by(pad, lambda cell: cell.student))
    for test in OWN:
        yield Check(
            f"the best method on {test}", _by([cell for cell in cells if cell.test == test], lambda cell: cell.method)
        )
    part = [cell for cell in pad if cell.teacher == "qwen3-32b" and cell.test == "GSM8K"]
    yield Check("another family gains more (PAD, Qwen3-32B, on GSM8K)", _by(part, lambda cell: cell.student))


def _quality(table: dict[str, dict[str, float]]) -> Iterator[Check]:
    qualities = list(table)[2:]
    highest = {name: max(table[name], key=table[name].__getitem__) for name in qualities}
    yield Check(
        "PAD has the highest reasoning quality throughout (Table 1)",
        f"in {sum(best == 'PAD' for best in highest.values())} of {len(qualities)}; "
        + "; ".join(f"{best} in {name}" for name, best in highest.items()),
    )
    perplexity = table["perplexity"]
    order = sorted(perplexity, key=perplexity.__getitem__)
    yield Check(
        "lower perplexity shows better reasoning (Table 1)",
        "lowest first: "
        + ", ".join(f"{name} {perplexity[name]:.2f}" for name in order)
        + "; the method rated best in coherence has the highest of the three",
    )
    yield Check(
        "perplexity = exp(NLL) (Table 1)",
        "; ".join(
            f"{name} {math.exp(nll):.4f}, printed {perplexity[name]:.4f}" for name, nll in table["avg NLL"].items()
        ),
    )


def _process_reward(tables: dict[str, Any], cells: Sequence[Cell]) -> Iterator[Check]:
    table = {(row["test"], row["prm"], row["student"]): mean(row["values"][:-1]) for row in tables["table_4"]}
    sizes = ("0.6B", "8B")
    prm = [table[test, "8B", student] - table[test, "0.6B", student] for student in sizes for test in OWN]
    student = [table[test, prm_size, "8B"] - table[test, prm_size, "0.6B"] for test in OWN for prm_size in sizes]
    yield Check(
        "the reward model's size matters more than the student's (Table 4)",
        f"reward model 0.6B to 8B: {_list(prm)} points (student 0.6B on both tests, then 8B); "
        f"student 0.6B to 8B: {_list(student)}; one standard error of an accuracy is "
        f"{_standard_error('GSM8K', 88):.1f} (GSM8K at 88 %) and {_standard_error('MedMCQA', 60):.1f} "
        "(MedMCQA at 60 %)",
    )
    ppo = next(row for row in tables["table_5"] if row["algorithm"] == "PPO" and row["test"] == "GSM8K")
    same = [
        cell.accuracy
        for cell in cells
        if (cell.student, cell.teacher, cell.method, cell.test) == ("Gemma-7B", "gemma3-27b", "PAD", "GSM8K")
    ]
    alike = sum(a == b for a, b in zip(ppo["values"], same, strict=False))
    grpo = next(row for row in tables["table_5"] if row["algorithm"] == "GRPO" and row["test"] == "GSM8K")
    yield Check(
        "PAD is trained with GRPO (Table 5 against Table 11)",
        f"{alike} of {len(same)} GSM8K values of the PPO row are those of PAD (Gemma-7B from Gemma3-27B), "
        f"{sum(a == b for a, b in zip(grpo['values'], same, strict=False))} of the GRPO row",
    )
    hours = tables["table_6_h100_hours"]
    yield Check(
        "PAD's training cost (Table 6)",
        f"{hours['PAD']} H100 hours: {hours['PAD'] / hours['DA']:.0f} times DA, "
        f"{hours['PAD'] / hours['RSFT']:.0f} times R-SFT",
    )


def _baselines(tables: dict[str, Any], cells: Sequence[Cell]) -> Iterator[Check]:
    compared = []
    for row in tables["table_8"]:
        if row["test"] == "MedMCQA":
            best = max(
                cell.accuracy
                for cell in cells
                if (cell.student, cell.method, cell.test, cell.training)
                == (row["student"], "PAD", "MedMCQA", "medmcqa")
            )
            compared.append((row["student"], row["values"][1], best))
    yield Check(
        "answers alone do not suffice (Table 8), MedMCQA trained on MedMCQA",
        f"answers alone beat PAD's best teacher in {sum(answers > best for _, answers, best in compared)} of "
        f"{len(compared)}: "
        + "; ".join(f"{name} {answers:.2f} against {best:.2f}" for name, answers, best in compared),
    )
    on_maths = [value - row["base"] for row in tables["table_8"] if row["test"] == "GSM8K" for value in row["values"]]
    yield Check(
        "answers alone hurt on GSM8K (Table 8)",
        f"{sum(gain < 0 for gain in on_maths)} of {len(on_maths)} cells below the base, mean {mean(on_maths):+.2f}",
    )
    stacked = {
        name: [value - row["base"] for row in tables["table_7"] if row["method"] == name for value in row["values"]]
        for name in ("R-SFT+DA", "PAD+DA")
    }
    yield Check(
        "DA on top of another method adds a little (Table 7)",
        "; ".join(f"{name} {min(gains):+.2f} to {max(gains):+.2f}" for name, gains in stacked.items())
        + "; the largest is "
        + f"{max(max(gains) for gains in stacked.values()) / _difference_error('GSM8K', 70):.1f} standard errors",
    )


def _data(tables: dict[str, Any], cells: Sequence[Cell]) -> Iterator[Check]:
    yield Check(
        "the trajectories of Table 3 are the correct ones",
        "trajectories per question: "
        + ", ".join(f"{row['set']} {row['trajectories'] / row['questions']:.2f}" for row in tables["table_3"])
        + "; 5 agents and a summariser make 6, so nothing was filtered out (1.1M is rounded)",
    )
    for test, n in QUESTIONS.items():
        parts = []
        for method in METHODS:
            part = [cell.accuracy for cell in cells if cell.method == method and cell.test == test]
            parts.append(f"{method} {sum(not possible(value, n) for value in part)} of {len(part)}")
        bases = {cell.base for cell in cells if cell.test == test}
        parts.append(f"undistilled {sum(not possible(value, n) for value in bases)} of {len(bases)}")
        yield Check(f"accuracies on {test} are shares of {n} questions", "cells that are none: " + ", ".join(parts))


def possible(accuracy: float, n: int) -> bool:
    """Whether an accuracy in %, printed with two decimals, is k/n for some k."""
    return abs(100 * round(accuracy * n / 100) / n - accuracy) <= 0.005 + 1e-9


def _gain(cells: Iterable[Cell]) -> str:
    return f"{mean(cell.gain for cell in cells):+.2f}"


def _relative(cells: Iterable[Cell], method: str) -> str:
    return f"{mean(cell.relative for cell in cells if cell.method == method):+.2f}"


def _by(cells: Sequence[Cell], group: Callable[[Cell], str]) -> str:
    names = dict.fromkeys(group(cell) for cell in cells)
    gains = {name: mean(cell.gain for cell in cells if group(cell) == name) for name in names}
    return ", ".join(f"{name} {gains[name]:+.2f}" for name in sorted(gains, key=gains.__getitem__, reverse=True))


def _list(values: Iterable[float]) -> str:
    return ", ".join(f"{value:+.2f}" for value in values)


def _standard_error(test: str, accuracy: float) -> float:
    return math.sqrt(accuracy * (100 - accuracy) / QUESTIONS[test])


def _difference_error(test: str, accuracy: float) -> float:
    return math.sqrt(2) * _standard_error(test, accuracy)


def main() -> int:
    """Print the table."""
    print("| the paper says | its tables give |\n|---|---|")
    for check in checks(json.loads(TABLES.read_bytes())):
        print(check)
    return 0


if __name__ == "__main__":
    sys.exit(main())
