"""Rows of a file to scores: texts against references, perplexity of gold solutions, a judge's opinion."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentark.errors import InvalidInput
from agentark.evaluate.judge import Solution, judge
from agentark.evaluate.judge_bias import JudgeReport, report
from agentark.evaluate.perplexity import Perplexity, Trace, measure, reasoning_end
from agentark.evaluate.texts import TextMetric, TextScore, score_texts
from agentark.execution.engines import check_engines
from agentark.llm import Engine, Message
from agentark.tasks.dataset import parse_row

_ROLES = {"system": "system", "user": "user", "assistant": "assistant"}


@dataclass(frozen=True, slots=True)
class Answer:
    """One row: what a subject answered to a question."""

    id: str
    subject: str
    """Whose answer; empty where the file holds those of one subject."""
    question: str
    prompt: tuple[Message, ...]
    """The conversation that asks; the bare question unless the row gives it."""
    prediction: str
    golds: tuple[str, ...]


def read_answers(lines: Iterable[bytes], *, source: str = "rows", needs: Sequence[str] = ()) -> list[Answer]:
    """Read JSON lines ``{"id", "subject", "question", "prompt", "prediction", "gold"}``.

    Args:
        lines: One object a line; blank lines are skipped. ``gold`` is a text or a list of texts, ``prompt`` a list of
            ``{"role", "content"}``; what is not needed may be left out.
        source: Name of the input for messages.
        needs: Columns that every row must have.

    Raises:
        InvalidInput: If a line is no object, or lacks a column; names line and column.
    """
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{source}:{number}"
        row = parse_row(line, where, first=number == 1)
        for name in needs:
            if name not in row:
                raise InvalidInput(
                    f"{where}: {name!r} is missing; the row has {', '.join(map(repr, row)) or 'nothing'}"
                )
        question = _text(row, "question", where)
        found.append(
            Answer(
                id=str(row.get("id", number)),
                subject=_text(row, "subject", where),
                question=question,
                prompt=_prompt(row, where) or (Message("user", question),),
                prediction=_text(row, "prediction", where),
                golds=_golds(row, where),
            )
        )
    if not found:
        raise InvalidInput(f"{source}: holds no rows; give JSON lines")
    return found


def text_scores(
    answers: Sequence[Answer], metrics: Sequence[TextMetric], *, encoder: Path | None = None, layer: int = 0
) -> dict[str, tuple[TextScore, ...]]:
    """Score every subject's answers against their references.

    Raises:
        InvalidInput: As `agentark.evaluate.texts.score_texts`.
    """
    return {
        subject: score_texts(
            [one.prediction for one in rows], [one.golds for one in rows], metrics, encoder=encoder, layer=layer
        )
        for subject, rows in _by_subject(answers).items()
    }


def gold_perplexity(answers: Sequence[Answer], model: Path) -> Perplexity:
    """Measure a model on the gold solutions of a file, each question once.

    Raises:
        InvalidInput: As `agentark.evaluate.perplexity.measure`.
    """
    traces = dict.fromkeys(Trace(one.prompt, one.golds[0], reasoning_end(one.golds[0])) for one in answers)
    return measure(model, list(traces))


def judgement(
    answers: Sequence[Answer], engine: Engine, *, repeats: int, seed: int = 0, judges_own: str = ""
) -> JudgeReport:
    """Let a model judge the answers of all subjects, and report its habits.

    Raises:
        InvalidInput: If `judges_own` is no subject, no reply could be read, or as `agentark.evaluate.judge.judge`.
        EngineError: If a request fails.
    """
    subjects = _by_subject(answers)
    if judges_own and judges_own not in subjects:
        raise InvalidInput(f"the judge's own subject {judges_own!r} is none of {', '.join(map(repr, subjects))}")

    async def ask() -> JudgeReport:
        try:
            await check_engines([engine])
            solutions = [Solution(one.id, one.question, one.subject, one.prediction) for one in answers]
            judged = await judge(solutions, engine, repeats=repeats, seed=seed)
        finally:
            await engine.aclose()
        if not judged.verdicts:
            raise InvalidInput(
                f"judge {judged.judge}: none of {judged.requests} replies was the JSON asked for; take a larger model"
            )
        return report(judged, judges_own=judges_own)

    return asyncio.run(ask())


def score_json(score: TextScore) -> dict[str, Any]:
    """A text score as JSON values, without those of single answers."""
    interval = None if score.interval is None else score.interval._asdict()
    return {"n": score.n, "value": score.value, "interval": interval, "definition": score.definition}


def _by_subject(answers: Iterable[Answer]) -> dict[str, list[Answer]]:
    found: dict[str, list[Answer]] = {}
    for one in answers:
        found.setdefault(one.subject, []).append(one)
    return found


def _text(row: Mapping[str, object], name: str, where: str) -> str:
    value = row.get(name, "")
    if not isinstance(value, str):
        raise InvalidInput(f"{where}: {name!r} must be a text; found {value!r:.60}")
    return value


def _golds(row: Mapping[str, object], where: str) -> tuple[str, ...]:
    value = row.get("gold", [])
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts) or ("gold" in row and not texts):
        raise InvalidInput(f"{where}: 'gold' must be a text or a list of texts; found {value!r:.60}")
    return tuple(texts)


def _prompt(row: Mapping[str, object], where: str) -> tuple[Message, ...]:
    value = row.get("prompt", [])
    try:
        return tuple(Message(_ROLES[turn["role"]], turn["content"]) for turn in value)  # type: ignore[attr-defined,arg-type]
    except (KeyError, TypeError) as error:
        raise InvalidInput(
            f'{where}: \'prompt\' must be a list of {{"role": system, user or assistant, "content": text}}; '
            f"found {value!r:.60}"
        ) from error
