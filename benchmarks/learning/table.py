"""The results of the learning benchmark as a table, with tests over seeds."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.learning.arms import ARMS

_CONFIDENCE = 0.95


def render(data: Path) -> str:
    """Markdown: a table per regime, then the comparisons that the benchmark is for."""
    lines = [json.loads(line) for line in (data / "results.jsonl").open()]
    return "\n\n".join(
        _regime(
            name,
            [line for line in lines if line["regime"] == name],
            json.loads((data / name / "shared.json").read_text()),
        )
        for name in dict.fromkeys(line["regime"] for line in lines)
    )


def _regime(name: str, rows: Sequence[dict[str, Any]], shared: dict[str, Any]) -> str:
    by_arm = {arm: {row["seed"]: row for row in rows if row["arm"] == arm} for arm in ARMS}
    debate = shared["debate"]["accuracy"]
    base = next(row["start"] for row in by_arm["PAD"].values())
    votes = shared["self-consistency"]
    text = [
        f"### {name}",
        "",
        f"PRM, held-out: AUROC {shared['prm']['auroc']:.3f}, step accuracy {shared['prm']['accuracy']:.3f} "
        f"(base rate {shared['prm']['base_rate']:.3f}).",
        "",
        "| | seeds | accuracy % [95 %] | std | start % | of the debate % | seconds |",
        "|---|---|---|---|---|---|---|",
        f"| base, single pass | | {base:.1%} | | | {base / debate:.0%} | |",
        f"| vote of {votes['samples']} samples | | {votes['accuracy']:.1%} | | | {votes['accuracy'] / debate:.0%} | |",
        f"| debate | | {debate:.1%} | | | 100% | |",
    ]
    for arm, runs in by_arm.items():
        if runs:
            text.append(_row(arm, list(runs.values()), debate))
    text += ["", *(line for line in _comparisons(by_arm) if line)]
    return "\n".join(text)


def _row(arm: str, rows: Sequence[dict[str, Any]], debate: float) -> str:
    values = np.array([row["accuracy"] for row in rows])
    low, high = interval(values)
    start = np.mean([row["start"] for row in rows])
    seconds = np.mean([row["seconds"] for row in rows])
    spread = values.std(ddof=1) if len(values) > 1 else float("nan")
    return (
        f"| {arm} | {len(values)} | {values.mean():.1%} [{low:.1%} {high:.1%}] | {100 * spread:.1f} | {start:.1%} "
        f"| {values.mean() / debate:.0%} | {seconds:.0f} |"
    )


def interval(values: np.ndarray) -> tuple[float, float]:
    """Student's t interval of the mean over seeds."""
    if len(values) < 2 or values.std() == 0:
        return float(values.mean()), float(values.mean())
    half = stats.t.ppf((1 + _CONFIDENCE) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def below_start(accuracies: np.ndarray, starts: np.ndarray) -> float:
    """One-sided p-value of "the student is worse than its start", paired over seeds; 1 where none is."""
    differences = accuracies - starts
    if len(differences) < 2 or differences.std() == 0:
        return 1.0 if differences.mean() >= 0 else 0.0
    return float(stats.ttest_1samp(differences, 0, alternative="less").pvalue)


def _comparisons(by_arm: dict[str, dict[int, dict[str, Any]]]) -> list[str]:
    lines = []
    for arm in ("PAD", "R-SFT+PAD"):
        rows = list(by_arm[arm].values())
        if rows:
            accuracies, starts = (np.array([row[key] for row in rows]) for key in ("accuracy", "start"))
            worse = int((accuracies < starts).sum())
            lines.append(
                f"- {arm} below its start: {worse} of {len(rows)} seeds, p = {below_start(accuracies, starts):.3f}; "
                f"lowest gain {100 * (accuracies - starts).min():+.1f} points"
            )
    for first, second in (
        ("PAD", "GRPO"),
        ("PAD", "GRPO, equal time"),
        ("R-SFT+PAD", "R-SFT+GRPO"),
        ("R-SFT+PAD", "R-SFT+GRPO, equal time"),
    ):
        lines.append(_against(first, by_arm[first], second, by_arm[second]))
    return lines


def _against(first: str, ours: dict[int, dict[str, Any]], second: str, theirs: dict[int, dict[str, Any]]) -> str:
    seeds = sorted(ours.keys() & theirs.keys())
    if len(seeds) < 2:
        return ""
    a, b = (np.array([runs[seed]["accuracy"] for seed in seeds]) for runs in (ours, theirs))
    low, high = interval(a - b)
    equal = float(np.std(a - b)) == 0
    p = 1.0 if equal else float(stats.ttest_rel(a, b).pvalue)
    equal_spread = float(stats.levene(a, b, center="median").pvalue) if a.std() + b.std() else 1.0
    return (
        f"- {first} against {second}: {100 * (a - b).mean():+.1f} points [{100 * low:+.1f} {100 * high:+.1f}], paired "
        f"p = {p:.3f}; std {100 * a.std(ddof=1):.1f} against {100 * b.std(ddof=1):.1f} "
        f"(Brown-Forsythe p = {equal_spread:.2f})"
    )
