"""Subjects side by side: what each gains over the base, whether that is luck, and what it costs against the debate."""

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from agentark.errors import InvalidInput
from agentark.evaluate.subjects import SubjectScore, refuse_different_questions
from agentark.statistics import Interval, mcnemar_exact, paired_bootstrap

_WIDTH = 120
_HEADINGS = ("", "accuracy %", "gain, points", "p", "calls", "tokens", "seconds", "acc.", "tokens")
_NOTES = (
    "accuracy: share of {n} questions answered right; in brackets the 95 % interval: were the test repeated on other "
    "questions of this kind, the true accuracy would lie in such an interval 19 times out of 20.",
    'gain: points above "{base}" on the same questions, with its 95 % interval; an interval without 0 means more than '
    "luck.",
    "p: how often two equally good subjects would differ this much by chance (McNemar's exact test); below 0.01 is "
    'strong evidence. "-" where a question was sampled several times: read the interval of the gain instead.',
    "calls, tokens (read + written), seconds (of this machine, many questions at once): mean per question.",
)
_DEBATE_NOTE = 'of debate: accuracy and tokens as shares of those of "{debate}".'


@dataclass(frozen=True, slots=True)
class Difference:
    """A subject against another on the same questions."""

    gain: float
    """Difference of the accuracies, -1..1."""
    interval: Interval
    """95 % paired-bootstrap interval of the gain."""
    only_first: float
    """Questions that only the first gets right (sum of the positive differences)."""
    only_second: float
    """Questions that only the second gets right."""
    p: float | None
    """Two-sided p of McNemar's exact test; None where a subject has several samples of a question."""


@dataclass(frozen=True, slots=True)
class SubjectRow:
    """One subject of a table."""

    score: SubjectScore
    against_base: Difference | None
    """None for the base itself."""
    debate_accuracy_share: float | None
    """Its accuracy as a share of the debate's; None without a debate, or where that has 0."""
    debate_token_share: float | None
    """Its tokens per question as a share of the debate's."""


@dataclass(frozen=True, slots=True)
class Table:
    """Subjects on the same questions, compared with one of them."""

    base: str
    """Name of the subject that gains are over."""
    debate: str
    """Name of the subject that shares are of; empty for none."""
    questions: int
    resamples: int
    seed: int
    rows: tuple[SubjectRow, ...]

    def row(self, name: str) -> SubjectRow:
        """Return a subject's row.

        Raises:
            KeyError: If the table has no such subject.
        """
        for row in self.rows:
            if row.score.name == name:
                return row
        raise KeyError(name)

    def as_json(self) -> dict[str, Any]:
        """Return the table as JSON values; per-question scores are left out."""
        return {
            "base": self.base,
            "debate": self.debate,
            "questions": self.questions,
            "confidence": 0.95,
            "bootstrap": {"resamples": self.resamples, "seed": self.seed},
            "subjects": [_row_json(row) for row in self.rows],
        }


def difference(first: SubjectScore, second: SubjectScore, *, resamples: int = 2000, seed: int = 0) -> Difference:
    """Compare two subjects question by question.

    Args:
        first: The subject that may be better.
        second: The one it is compared with.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Raises:
        InvalidInput: If they did not answer the same questions.
    """
    refuse_different_questions((first, second))
    # Sorted, so that the bootstrap does not depend on the order in which records were written.
    ids = sorted(first.per_question)
    a, b = [first.per_question[i] for i in ids], [second.per_question[i] for i in ids]
    only_first = sum(max(x - y, 0.0) for x, y in zip(a, b, strict=True))
    only_second = sum(max(y - x, 0.0) for x, y in zip(a, b, strict=True))
    single = first.samples == second.samples == 1
    return Difference(
        gain=first.accuracy - second.accuracy,
        interval=paired_bootstrap(a, b, resamples=resamples, seed=seed),
        only_first=only_first,
        only_second=only_second,
        p=mcnemar_exact(round(only_first), round(only_second)) if single else None,
    )


def compare(
    scores: Sequence[SubjectScore], base: str, *, debate: str = "", resamples: int = 2000, seed: int = 0
) -> Table:
    """Put subjects side by side, in the order given.

    Args:
        scores: The subjects, the base among them; all on the same questions.
        base: Name of the subject that the others are compared with.
        debate: Name of the subject whose accuracy and tokens are 100 %; empty for none.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Raises:
        InvalidInput: If names repeat, the base or debate is not among them, or the questions differ.
    """
    named = {score.name: score for score in scores}
    if len(named) < len(scores):
        raise InvalidInput(f"subject names must differ, found {', '.join(score.name for score in scores)}")
    for role, name in (("base", base), ("debate", debate)):
        if name not in named and (name or role == "base"):
            raise InvalidInput(f"{role} {name!r} is none of the subjects: {', '.join(named) or '(none)'}")
    refuse_different_questions(scores)
    reference = named.get(debate)
    rows = []
    for score in scores:
        against = None if score.name == base else difference(score, named[base], resamples=resamples, seed=seed)
        rows.append(
            SubjectRow(
                score=score,
                against_base=against,
                debate_accuracy_share=_share(score.accuracy, reference.accuracy) if reference else None,
                debate_token_share=_share(score.tokens, reference.tokens) if reference else None,
            )
        )
    return Table(base=base, debate=debate, questions=scores[0].n, resamples=resamples, seed=seed, rows=tuple(rows))


def render_text(table: Table, *, width: int = _WIDTH) -> str:
    """Lay a table out for a terminal: aligned columns, then how to read them.

    Args:
        table: The comparison.
        width: Characters a line; labels are shortened to fit. The columns besides the labels need about 95.
    """
    cells = [_HEADINGS, *(_cells(row) for row in table.rows)]
    columns = range(len(_HEADINGS) if table.debate else len(_HEADINGS) - 2)
    widths = [max(len(line[column]) for line in cells) for column in columns]
    widths[0] = min(widths[0], max(12, width - sum(widths[1:]) - 2 * (len(widths) - 1)))
    lines = []
    if table.debate:
        lines.append(" " * (sum(widths[:-2]) + 2 * (len(widths) - 2)) + "of debate, %")
    for line in cells:
        label = line[0] if len(line[0]) <= widths[0] else line[0][: widths[0] - 1] + "…"
        rest = (line[column].rjust(widths[column]) for column in columns[1:])
        lines.append("  ".join((label.ljust(widths[0]), *rest)).rstrip())
    lines.append("")
    labels = {row.score.name: row.score.label for row in table.rows}
    notes = [*_NOTES, *([_DEBATE_NOTE] if table.debate else [])]
    base, debate = labels[table.base], labels.get(table.debate, "")
    for note in notes:
        text = note.format(n=f"{table.questions:,}", base=base, debate=debate)
        lines += textwrap.wrap(text, width, subsequent_indent="  ")
    return "\n".join(lines) + "\n"


def _cells(row: SubjectRow) -> tuple[str, ...]:
    score, against = row.score, row.against_base
    low, high = score.interval
    gain, p = "-", "-"
    if against is not None:
        gain = f"{100 * against.gain:+.1f} [{100 * against.interval.low:+.1f} {100 * against.interval.high:+.1f}]"
        p = "-" if against.p is None else _formatted_p(against.p)
    return (
        score.label,
        f"{100 * score.accuracy:.1f} [{100 * low:.1f} {100 * high:.1f}]",
        gain,
        p,
        f"{score.calls:.3g}",
        f"{score.prompt_tokens:.0f}+{score.completion_tokens:.0f}",
        f"{score.seconds:.2g}" if score.seconds < 10 else f"{score.seconds:.0f}",
        "-" if row.debate_accuracy_share is None else f"{100 * row.debate_accuracy_share:.0f}",
        "-" if row.debate_token_share is None else f"{100 * row.debate_token_share:.3g}",
    )


def _formatted_p(p: float) -> str:
    if p < 0.0001:
        return "<0.0001"
    return f"{p:.4f}" if p < 0.01 else f"{p:.2f}"


def _share(value: float, whole: float) -> float | None:
    return value / whole if whole else None


def _row_json(row: SubjectRow) -> dict[str, Any]:
    score = row.score
    fields = (
        "name", "label", "decoding", "n", "samples", "correct", "accuracy", "unanswered", "prompt_tokens",
        "completion_tokens", "tokens", "calls", "latency_s", "busy_s", "seconds",
    )  # fmt: skip
    out: dict[str, Any] = {name: getattr(score, name) for name in fields}
    out["interval"] = score.interval._asdict()
    out["against_base"] = None
    if row.against_base is not None:
        out["against_base"] = {**asdict(row.against_base), "interval": row.against_base.interval._asdict()}
    out["debate_accuracy_share"] = row.debate_accuracy_share
    out["debate_token_share"] = row.debate_token_share
    return out
