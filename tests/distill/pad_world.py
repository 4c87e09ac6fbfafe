"""Tiny PAD trainings: a student whose tokens are characters, and scorers that can be checked by eye."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from agentark.api import PAD, PADGuards, Training
from agentark.distill import Checkpoints
from agentark.distill.pad import PadResult, StepScorer
from agentark.llm.chat import Message
from agentark.store import open_store
from agentark.tasks import task
from tests.distill.world import write_lines

OFF = PADGuards(step_drift=0, length_drift=0, disagreement=0, spread=0, kl=0)
DEFAULTS: dict[str, Any] = {
    "steps": 6,
    "learning_rate": 1e-2,
    "max_new_tokens": 12,
    "prompts_per_step": 3,
    "group": 4,
    "checkpoint_steps": 2,
    "guards": OFF,
}
TRAINING: dict[str, Any] = {
    "precision": "Float32",
    "schedule": "Linear",
    "warmup_ratio": 0.1,
    "evaluations": 1,
    "seed": 7,
}


class Step(NamedTuple):
    """Three characters of an answer."""

    start: int
    end: int
    score: float


def count_digits(_prompts: Sequence[Sequence[Message]], texts: Sequence[str]) -> list[list[Step]]:
    """Steps of three characters, each as good as it has digits."""
    return [
        [
            Step(start, min(start + 3, len(text)), sum(c.isdigit() for c in text[start : start + 3]) / 3)
            for start in range(0, len(text), 3)
        ]
        for text in texts
    ]


def question(number: int, gold: str | None = "1") -> dict[str, Any]:
    return {"id": f"q{number}", "prompt": [{"role": "user", "content": f"{number}+0=?"}], "gold": gold}


def settings(**changes: Any) -> tuple[PAD, Training]:
    """The settings of tests, with changes to either part."""
    own = {name: value for name, value in changes.items() if name in PAD.model_fields}
    others = {name: value for name, value in changes.items() if name not in own}
    return PAD(**DEFAULTS | own), Training(**TRAINING | others)


@dataclass
class PadTraining:
    """One training as a stage would call it; `run` may be called again, as after an interruption."""

    folder: Path
    model: Path
    pad: PAD
    training: Training = field(default_factory=lambda: Training(**TRAINING))
    scored: bool = True
    golds: Sequence[str | None] = ("1", "2", None, "3", "1")
    seen: list[dict[str, float]] = field(default_factory=list)

    @property
    def out(self) -> Path:
        return self.folder / "student"

    def for_child(self) -> Path:
        """Write down what `tests.distill.pad_child` needs; return its argument."""
        given: dict[str, Any] = {"model": str(self.model), "scored": self.scored}
        given |= {"pad": self.pad.canonical(), "training": self.training.canonical()}
        (self.folder / "given.json").write_text(json.dumps(given))
        return self.folder

    def note(self, _step: int, _total: int, metrics: Mapping[str, float]) -> None:
        self.seen.append(dict(metrics))

    def run(
        self,
        scorer: StepScorer = count_digits,
        should_stop: Callable[[], bool] = lambda: False,
        on_progress: Callable[[int, int, Mapping[str, float]], None] | None = None,
    ) -> PadResult:
        from agentark.distill.pad.training import PadRecipe
        from agentark.training.harness import run

        questions = [question(number, gold) for number, gold in enumerate(self.golds)]
        return run(
            PadRecipe(
                model=self.model,
                questions=write_lines(self.folder / "questions.jsonl", questions),
                held_out=write_lines(self.folder / "held_out.jsonl", [question(number) for number in range(4)]),
                policy=task("gsm8k").policy,
                scorer=scorer if self.scored else None,
                out=self.out,
                pad=self.pad,
                training=self.training,
                max_new_tokens=100,
            ),
            work=self.folder / "work",
            checkpoints=Checkpoints(open_store(str(self.folder / "store")), "checkpoints"),
            on_progress=on_progress or self.note,
            should_stop=should_stop,
        )
