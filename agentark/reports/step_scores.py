"""How a run's process reward model scores the steps of solutions that it was not trained on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from agentark.errors import InvalidInput
from agentark.reports.results import read_document
from agentark.store import RunRecord, StageManifest, Store, read_manifest


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

    manifest = reward_model_manifest(store, run)
    calibration = Calibration(**_card(store, manifest)["calibration"])
    history = read_document(store, manifest, "history")
    rows = [json.loads(line) for line in store.read(manifest.outputs["scores"].path).splitlines()]
    shown = tuple(_held_out(row, calibration) for row in _contrasting(rows)[:limit])
    names = {row["question"] for row in rows}
    return RewardModelReport(len(names), len(rows), calibration.threshold, history["held_out"], shown)


def reward_model_manifest(store: Store, run: RunRecord) -> StageManifest:
    """The manifest of the stage that trained a run's process reward model.

    Raises:
        InvalidInput: The run has no such model, or has not got there.
    """
    stage = next((stage for stage in run.stages if stage.kind == "prm"), None)
    if stage is None:
        raise InvalidInput(f"run {run.run_id} trains no process reward model; PRMTraining and the method PAD do")
    manifest = read_manifest(store, "prm", stage.key)
    if manifest is None:
        raise InvalidInput(
            f"run {run.run_id} has no process reward model yet; finish it with: agentark run -f MANIFEST"
        )
    return manifest


def _card(store: Store, prm: StageManifest) -> dict[str, Any]:
    card: dict[str, Any] = json.loads(store.read(f"{prm.outputs['model'].path}/prm.json"))
    return card


def _contrasting(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Questions with right and wrong solutions first, one of each; then one of each other question; then the rest."""
    first: dict[str, dict[bool | None, int]] = {}
    for index, row in enumerate(rows):
        first.setdefault(row["question"], {}).setdefault(row["correct"], index)
    questions = sorted(first.values(), key=lambda by_verdict: not {True, False} <= by_verdict.keys())
    chosen = [
        index
        for by_verdict in questions
        for index in sorted(by_verdict.values(), key=lambda place: not rows[place]["correct"])
    ]
    taken = set(chosen)
    return [rows[index] for index in chosen] + [row for index, row in enumerate(rows) if index not in taken]


def _held_out(row: dict[str, Any], calibration: Any) -> ShownSolution:
    scored = zip(row["steps"], row["scores"], strict=True)
    steps = tuple(
        shown_step(row["solution"], step["start"], step["end"], score, calibration, step["label"])
        for step, score in scored
    )
    prompt = row["prompt"][-1]["content"]
    return ShownSolution(row["question"], prompt, row["solution"], steps, row["correct"], row["answer"])


def shown_step(
    text: str, start: int, end: int, score: float, calibration: Any, label: float | None = None
) -> ShownStep:
    """The step of a solution that lies at [start, end), judged by the model's calibration."""
    right = score >= calibration.threshold
    return ShownStep(text[start:end], start, end, score, calibration.probability(score), right, label)
