"""What a process reward model says of solutions: of a run's held-out questions, and of a file."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from agentark.debate.prompts import Prompts, solve_text
from agentark.errors import InvalidInput, NotFound
from agentark.execution.protocols import prompts_from
from agentark.llm.chat import Message
from agentark.reports.results import read_document
from agentark.store import RunRecord, StageManifest, Store, read_manifest, read_run
from agentark.store.outputs import fetch


class ShownStep(NamedTuple):
    """A step as a person reads it."""

    text: str
    start: int
    """First character in the solution."""
    end: int
    """Character after its last one."""
    score: float
    """Raw score of the model, in (0, 1)."""
    probability: float
    """Calibrated probability that the step is right, 0 to 1."""
    right: bool
    """Whether the score reaches the threshold that was fitted on held-out questions."""
    label: float | None = None
    """What the debates say of the step, 0 to 1; None where they say nothing."""


@dataclass(frozen=True, slots=True)
class ShownSolution:
    """A solution with its scored steps."""

    id: str
    """Of the question, or of the row."""
    question: str
    solution: str
    steps: tuple[ShownStep, ...]
    correct: bool | None = None
    """Whether the grader finds the right answer; None where none is known."""
    answer: str = ""

    def as_json(self) -> dict[str, Any]:
        """The solution as JSON values."""
        steps = [step._asdict() for step in self.steps]
        return {"id": self.id, "question": self.question, "solution": self.solution, "correct": self.correct} | {
            "answer": self.answer,
            "steps": steps,
        }


@dataclass(frozen=True, slots=True)
class RewardModelReport:
    """How a run's process reward model does on questions that it was not trained on."""

    questions: int
    """Held-out questions."""
    solutions: int
    """Their solutions."""
    threshold: float
    """Score from which a step counts as right."""
    figures: Mapping[str, Any] | None
    """As `agentark.reward.metrics.Metrics` writes them; None where too little is held out to measure."""
    shown: tuple[ShownSolution, ...]


def reward_report(store: Store, run: RunRecord, *, limit: int) -> RewardModelReport:
    """Read what the process reward model of a run gives to held-out solutions.

    Args:
        store: Where the run lies.
        run: A run with a `prm` stage.
        limit: Solutions to show at most; of each question one that is right and one that is wrong come first.

    Raises:
        InvalidInput: The run has no such model, or has not got there.
    """
    from agentark.reward.metrics import Calibration

    manifest = _prm(store, run)
    calibration = Calibration(**_card(store, manifest)["calibration"])
    history = read_document(store, manifest, "history")
    rows = [json.loads(line) for line in store.read(manifest.outputs["scores"].path).splitlines()]
    shown = tuple(_held_out(row, calibration) for row in _contrasting(rows)[:limit])
    names = {row["question"] for row in rows}
    return RewardModelReport(len(names), len(rows), calibration.threshold, history["held_out"], shown)


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
    manifest = _prm(store, run)
    rows = _rows(file, _prompts(store, manifest))
    with TemporaryDirectory() as temporary:
        yield from _scored(fetch(store, manifest.outputs["model"], Path(temporary) / "prm"), rows)


class _Row(NamedTuple):
    id: str
    prompt: tuple[Message, ...]
    solution: str


def _scored(folder: Path, rows: Sequence[_Row]) -> Iterator[ShownSolution]:
    from agentark.reward.scoring import PRM

    prm = PRM.load(folder)
    scores = prm([row.prompt for row in rows], [row.solution for row in rows])
    for row, found in zip(rows, scores, strict=True):
        steps = tuple(_step(row.solution, *step, prm.card.calibration) for step in found)
        yield ShownSolution(row.id, row.prompt[-1].content, row.solution, steps)


def _rows(file: Path, prompts: Prompts) -> list[_Row]:
    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise InvalidInput(f"{file}: cannot be read: {error.strerror}; give a file of JSON lines") from None
    rows = [_row(f"{file}:{number}", number, line, prompts) for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise InvalidInput(f'{file}: holds no rows; each line is {{"question": text, "solution": text}}')
    return rows


def _row(place: str, number: int, line: bytes, prompts: Prompts) -> _Row:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InvalidInput(f"{place}: is no JSON: {error}") from None
    if not isinstance(row, dict):
        raise InvalidInput(f'{place}: is no JSON object; give {{"question": text, "solution": text}}')
    solution = row.get("solution")
    if not isinstance(solution, str) or not solution.strip():
        raise InvalidInput(f"{place}: solution: found {_found(solution)}; give its text")
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
            raise InvalidInput(f"{place}: question: found {_found(question)}; give its text")
        system = (Message("system", prompts.system),) if prompts.system else ()
        messages = (*system, Message("user", solve_text(prompts, question)))
    return _Row(str(row.get("id", number)), messages, solution)


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


def _found(value: object) -> str:
    return "nothing" if value is None else json.dumps(value)[:40]


def _prm(store: Store, run: RunRecord) -> StageManifest:
    stage = next((stage for stage in run.stages if stage.kind == "prm"), None)
    if stage is None:
        raise InvalidInput(f"run {run.run_id} trains no process reward model; PRMTraining and the method PAD do")
    manifest = read_manifest(store, "prm", stage.key)
    if manifest is None:
        raise InvalidInput(
            f"run {run.run_id} has no process reward model yet; finish it with: agentark run -f MANIFEST"
        )
    return manifest


def _prompts(store: Store, prm: StageManifest) -> Prompts:
    """The instructions that the model's training data was written under."""
    key = str(prm.inputs["steps"])
    manifest = read_manifest(store, "steps", key)
    if manifest is None:
        raise InvalidInput(f"stage steps {key} is no longer in the store {store.uri}; run it again")
    prompts: Any = manifest.params["prompts"]
    return prompts_from(prompts)


def _card(store: Store, prm: StageManifest) -> dict[str, Any]:
    card: dict[str, Any] = json.loads(store.read(f"{prm.outputs['model'].path}/prm.json"))
    return card


def _contrasting(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Questions with right and wrong solutions first, one of each; then one of each other question; then the rest."""
    first: dict[str, dict[bool | None, int]] = {}
    for index, row in enumerate(rows):
        first.setdefault(row["question"], {}).setdefault(row["correct"], index)
    pairs = sorted(first.values(), key=lambda found: not {True, False} <= found.keys())
    chosen = [index for found in pairs for index in sorted(found.values(), key=lambda one: not rows[one]["correct"])]
    taken = set(chosen)
    return [rows[index] for index in chosen] + [row for index, row in enumerate(rows) if index not in taken]


def _held_out(row: dict[str, Any], calibration: Any) -> ShownSolution:
    scored = zip(row["steps"], row["scores"], strict=True)
    steps = tuple(
        _step(row["solution"], step["start"], step["end"], score, calibration, step["label"]) for step, score in scored
    )
    prompt = row["prompt"][-1]["content"]
    return ShownSolution(row["question"], prompt, row["solution"], steps, row["correct"], row["answer"])


def _step(text: str, start: int, end: int, score: float, calibration: Any, label: float | None = None) -> ShownStep:
    right = score >= calibration.threshold
    return ShownStep(text[start:end], start, end, score, calibration.probability(score), right, label)
