"""The data card: what a training set holds, where it came from, and what was left out why."""

import heapq
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from agentark.curate.labels import LabelScore, render_labels
from agentark.curate.params import MethodCuration
from agentark.curate.rows import CuratedRow
from agentark.curate.selecting import TRACE_FILTERS
from agentark.debate.rounds import RoundScore, render_rounds

SCHEMA_VERSION = 1

QUESTION_FILTERS = {
    "contaminated": "also in an evaluation set",
    "no_consensus": "too few agents agree on an answer for it to be a label",
    "leak": "the prompt gives the answer away",
    "held_out": "kept for in-training evaluation",
    "too_few_correct_agents": "DA only: fewer than two agents ended with the right answer",
    "no_trace": "no trace is left after the filters",
}
_TITLES = {
    "RSFT": "R-SFT: one right trace a question, corrective ones first",
    "DA": "DA: up to {max_traces} right traces a question that differ most",
    "DPO": "DPO: one mended solution a question, against the first attempt that it mends",
    "PAD": "PAD: the questions, which the student answers itself",
    "AnswerOnly": "Answer only: the gold answer without a trace (baseline)",
    "OwnAnswers": "Own answers: one right answer of the first round, no debate (control)",
}
_CONSENSUS = """No gold answer was used: a question's label is the answer that at least {threshold:.0%} of the agents \
ended with, and right means equal to this label, here and in the counts below. Questions held out for in-training \
evaluation carry such labels, too."""
_MEASURED = "Gold answers that the data set gives only measure the labels afterwards:"
_UNMEASURED = "The data set gives no gold answer, so the precision of the labels is unknown:"
_EXAMPLES = 3
_EXAMPLE_CHARS = 4000  # of one message; whole texts are in the rows


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted on the way from debates to rows."""

    questions: Mapping[str, int]
    """``read``, one entry a question filter, ``used``: ``read`` is the sum of the others."""
    traces: Mapping[str, int]
    """``read`` (of the questions that no filter took out as such), one entry a trace filter, ``selected``."""
    corrective: Mapping[str, int]
    """Among these: ``found``, ``with_critique`` (somebody named the fault), ``with_peer_critique``, ``selected``."""
    monologues: Mapping[str, int]
    """Selected corrective traces as self-corrections: ``written``, or refused as ``no_critique`` (or no whole attempt),
    ``too_long``, ``not_verified`` (the grader does not read the mended answer from the whole text)."""


@dataclass(frozen=True, slots=True)
class DataCard:
    """Everything worth knowing about a training set."""

    params: MethodCuration
    counts: Counts
    forms: Mapping[str, int]
    rows_per_question: Mapping[int, int]
    lengths: Mapping[str, Mapping[str, float]]
    """``prompt`` and ``completion`` in characters: min, median, mean, p95, max."""
    rounds: tuple[RoundScore, ...]
    """Over the questions whose gold answer is known."""
    labels: tuple[LabelScore, ...]
    """Labels by consensus at each threshold; empty where labels are the gold answers."""
    examples: tuple[CuratedRow, ...]

    @property
    def rows(self) -> int:
        """Rows of the training set."""
        return sum(self.forms.values())

    def as_json(self) -> dict[str, Any]:
        """Return the card as JSON values."""
        return {
            "schema_version": SCHEMA_VERSION,
            "params": self.params.model_dump(),
            "rows": self.rows,
            "forms": dict(self.forms),
            "questions": dict(self.counts.questions),
            "traces": dict(self.counts.traces),
            "corrective": dict(self.counts.corrective),
            "monologues": dict(self.counts.monologues),
            "rows_per_question": {str(k): n for k, n in sorted(self.rows_per_question.items())},
            "length_chars": {name: dict(values) for name, values in self.lengths.items()},
            "rounds": [asdict(score) for score in self.rounds],
            "labels": [score.as_json() for score in self.labels],
            "examples": [row.as_json() for row in self.examples],
        }

    def as_markdown(self) -> str:
        """Return the card as a page."""
        params = self.params
        forms = ", ".join(f"{n:,} {form}" for form, n in self.forms.items()) or "none"
        parts = [
            f"# Training data: {_TITLES[params.method].format(max_traces=params.max_traces)}",
            f"{self.rows:,} rows ({forms}). Weight of a row: 1 / rows of its question. Seed {params.seed}.",
            *self._consensus(),
            "## Questions",
            _funnel(self.counts.questions, QUESTION_FILTERS, last="used"),
        ]
        if self.counts.traces["read"]:
            parts += ["## Traces", _funnel(self.counts.traces, TRACE_FILTERS, last="selected"), self._corrections()]
        if self.rows_per_question:
            spread = ", ".join(f"{n:,} questions with {k}" for k, n in sorted(self.rows_per_question.items()))
            parts.append(f"Rows a question: {spread}.")
        if self.lengths:
            parts += ["## Lengths, characters", _lengths(self.lengths)]
        if self.rounds:
            parts += ["## The debates, round by round", f"```\n{render_rounds(self.rounds)}```"]
        if self.examples:
            parts += ["## Examples", *(_example(row) for row in self.examples)]
        return "\n\n".join(parts) + "\n"

    def _consensus(self) -> list[str]:
        if self.params.labels != "Consensus":
            return []
        threshold = self.params.consensus_threshold
        measured = any(score.with_gold for score in self.labels)
        table = render_labels(self.labels, threshold)
        return [
            "## Labels",
            _CONSENSUS.format(threshold=threshold),
            _MEASURED if measured else _UNMEASURED,
            table,
        ]

    def _corrections(self) -> str:
        found, written = self.counts.corrective, self.counts.monologues
        text = (
            f"Corrective traces (wrong in one round, right in the next): {found['found']:,} found; in "
            f"{found['with_critique']:,} of them a critique names the fault, a peer's in "
            f"{found['with_peer_critique']:,}; {found['selected']:,} selected."
        )
        if self.params.form != "Solution":
            text += (
                f" Self-corrections: {written['written']:,} written; refused for want of a critique or a whole attempt "
                f"{written['no_critique']:,}, as too long {written['too_long']:,}, because the grader does not read "
                f"the mended answer {written['not_verified']:,}."
            )
        return text


class Examples:
    """Keeps a few rows that a seed and the question ids choose, whatever the order in which rows come."""

    def __init__(self) -> None:
        self._kept: list[tuple[int, int, CuratedRow]] = []
        self._count = 0

    def offer(self, row: CuratedRow, digest: bytes) -> None:
        """Keep a row if its digest is among the smallest so far."""
        self._count += 1
        entry = (-int.from_bytes(digest[:8], "big"), -self._count, row)
        if len(self._kept) < _EXAMPLES:
            heapq.heappush(self._kept, entry)
        else:
            heapq.heappushpop(self._kept, entry)

    def chosen(self) -> tuple[CuratedRow, ...]:
        """Return the kept rows."""
        return tuple(row for _, _, row in sorted(self._kept, reverse=True))


def describe_lengths(lengths: Sequence[int]) -> dict[str, float]:
    """Summarise lengths; empty for none."""
    if not lengths:
        return {}
    ordered = sorted(lengths)
    return {
        "min": ordered[0],
        "median": statistics.median(ordered),
        "mean": round(statistics.fmean(ordered), 1),
        "p95": ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))],
        "max": ordered[-1],
    }


def _funnel(counts: Mapping[str, int], reasons: Mapping[str, str], *, last: str) -> str:
    lines = ["| | count | |", "|---|---:|---|", f"| read | {counts['read']:,} | |"]
    lines += [f"| {name} | -{counts[name]:,} | {why} |" for name, why in reasons.items() if counts[name]]
    return "\n".join([*lines, f"| **{last}** | **{counts[last]:,}** | |"])


def _lengths(lengths: Mapping[str, Mapping[str, float]]) -> str:
    columns = ("min", "median", "mean", "p95", "max")
    lines = [f"| | {' | '.join(columns)} |", "|---|" + "---:|" * len(columns)]
    lines += [f"| {name} | {' | '.join(f'{values[c]:,.0f}' for c in columns)} |" for name, values in lengths.items()]
    return "\n".join(lines)


def _example(row: CuratedRow) -> str:
    messages = [*((message["role"], message["content"]) for message in row.prompt), ("assistant", row.completion)]
    messages += [("rejected", row.rejected)] if row.rejected else []
    said = "\n\n".join(f"[{role}]\n{_shortened(content)}" for role, content in messages)
    # A model's text may hold fences of its own.
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", said))])
    return f"### {row.form}, question {row.question_id}, weight {row.weight:.3g}\n\n{fence}text\n{said}\n{fence}"


def _shortened(text: str) -> str:
    return text if len(text) <= _EXAMPLE_CHARS else f"{text[:_EXAMPLE_CHARS]}… ({len(text):,} characters)"
