"""Scores of a process reward model for the steps of the solutions in a file."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from agentark.api import Prompts
from agentark.debate.prompts import solve_text
from agentark.errors import InvalidInput, NotFound
from agentark.llm.chat import Message
from agentark.reports.step_scores import ShownSolution, reward_model_manifest, shown_step
from agentark.store import StageManifest, Store, read_manifest, read_run
from agentark.store.outputs import fetch


def score_file(store: Store, model: str, file: Path, *, namespace: str) -> Iterator[ShownSolution]:
    """Score the solutions of a file.

    Args:
        store: Where runs lie.
        model: Folder of a process reward model, or name or id of a run that trained one.
        file: JSON lines: "solution", and "question" (its text) or "prompt" (text, or messages with role and content);
            "id" if wanted. A run puts its debate's instructions around a "question".
        namespace: Of the run.

    Raises:
        InvalidInput: Neither a folder nor such a run, or a line that is no such row; the message names line and field.
    """
    folder = Path(model)
    if folder.is_dir():
        yield from _scored(folder, _rows(file, Prompts(system="", solve="{question}")))
        return
    try:
        run = read_run(store, model, namespace=namespace)
    except NotFound as error:
        raise InvalidInput(f"{model}: is neither the folder of a process reward model nor a run: {error}") from None
    manifest = reward_model_manifest(store, run)
    rows = _rows(file, _prompts(store, manifest))
    with TemporaryDirectory() as temporary:
        yield from _scored(fetch(store, manifest.outputs["model"], Path(temporary) / "prm"), rows)


class _SolutionRow(NamedTuple):
    id: str
    prompt: tuple[Message, ...]
    solution: str


def _scored(folder: Path, rows: Sequence[_SolutionRow]) -> Iterator[ShownSolution]:
    from agentark.reward.scoring import PRM

    prm = PRM.load(folder)
    scores = prm([row.prompt for row in rows], [row.solution for row in rows])
    for row, step_scores in zip(rows, scores, strict=True):
        steps = tuple(shown_step(row.solution, *step, prm.card.calibration) for step in step_scores)
        yield ShownSolution(row.id, row.prompt[-1].content, row.solution, steps)


def _rows(file: Path, prompts: Prompts) -> list[_SolutionRow]:
    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise InvalidInput(f"{file}: cannot be read: {error.strerror}; give a file of JSON lines") from None
    rows = [_row(f"{file}:{number}", number, line, prompts) for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise InvalidInput(f'{file}: holds no rows; each line is {{"question": text, "solution": text}}')
    return rows


def _row(place: str, number: int, line: bytes, prompts: Prompts) -> _SolutionRow:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InvalidInput(f"{place}: is no JSON: {error}") from None
    if not isinstance(row, dict):
        raise InvalidInput(f'{place}: is no JSON object; give {{"question": text, "solution": text}}')
    solution = row.get("solution")
    if not isinstance(solution, str) or not solution.strip():
        raise InvalidInput(f"{place}: solution: found {_excerpt(solution)}; give its text")
    if ("question" in row) == ("prompt" in row):
        raise InvalidInput(f"{place}: question: give one of 'question' (text) and 'prompt' (text or messages)")
    if "prompt" in row:
        try:
            messages = _messages(row["prompt"])
        except InvalidInput as error:
            raise InvalidInput(f"{place}: {error}") from None
    else:
        question = row["question"]
        if not isinstance(question, str) or not question.strip():
            raise InvalidInput(f"{place}: question: found {_excerpt(question)}; give its text")
        system = (Message("system", prompts.system),) if prompts.system else ()
        messages = (*system, Message("user", solve_text(prompts, question)))
    return _SolutionRow(str(row.get("id", number)), messages, solution)


def _messages(prompt: object) -> tuple[Message, ...]:
    """A prompt given as text, or as a list of messages, as a conversation."""
    if isinstance(prompt, str) and prompt.strip():
        return (Message("user", prompt),)
    if isinstance(prompt, list) and prompt:
        try:
            return tuple(Message(message["role"], message["content"]) for message in prompt)
        except (KeyError, TypeError) as error:
            raise InvalidInput(f"prompt: a message needs role and content: {error}") from error
    raise InvalidInput("prompt: give the question as text, or a list of messages with role and content")


def _excerpt(value: object) -> str:
    return "nothing" if value is None else json.dumps(value)[:40]


def _prompts(store: Store, prm: StageManifest) -> Prompts:
    """The instructions that the model's training data was written under."""
    key = str(prm.inputs["steps"])
    manifest = read_manifest(store, "steps", key)
    if manifest is None:
        raise InvalidInput(f"stage steps {key} is no longer in the store {store.uri}; run it again")
    return Prompts.model_validate(manifest.params["prompts"])
