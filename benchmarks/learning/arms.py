"""One training of the learning benchmark, and how its student does on the test questions."""

import json
import random
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from agentark.api import PAD, Training
from agentark.distill.evaluation import Measure
from agentark.distill.pad.training import PadRecipe
from agentark.distill.rows import HeldOut
from agentark.distill.student import load_weights, read_base
from agentark.distill.training import SupervisedRecipe
from agentark.reward.scoring import PRM
from agentark.store import open_store
from agentark.tasks import task
from agentark.training.checkpoints import Checkpoints
from agentark.training.harness import Recipe, run
from benchmarks.learning.regimes import Regime

ARMS: dict[str, tuple[str, ...]] = {
    "R-SFT": ("RSFT",),
    "DA": ("DA",),
    "answer only": ("AnswerOnly",),
    "R-SFT+DA": ("RSFT", "DA"),
    "PAD": ("PAD",),
    "GRPO": ("GRPO",),
    "GRPO, equal time": ("GRPO+",),
    "PAD+DA": ("PAD", "DA"),
    "R-SFT+PAD": ("RSFT", "PAD"),
    "R-SFT+GRPO": ("RSFT", "GRPO"),
    "R-SFT+GRPO, equal time": ("RSFT", "GRPO+"),
}
"""Methods in order. GRPO is PAD without step rewards at the same number of steps; GRPO+ takes as many more as fit into
PAD's time."""
GPU_ARMS: dict[str, tuple[str, ...]] = {"PAD, vLLM samples": ("PAD/vLLM",)}
"""Arms that need vLLM and a GPU."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one arm gave for one seed."""

    regime: str
    arm: str
    seed: int
    accuracy: float
    """Of the student on the test questions, greedy, verified."""
    start: float
    """Of what its last method started from."""
    seconds: float
    """Wall time of the last method's training."""
    steps: int
    best_step: int
    stopped: str


class Students:
    """Trains the arms of one regime and seed; equal beginnings are trained once.

    Args:
        regime: The world.
        data: Its folder, as `prepare` made it.
        seed: Of questions, order, roll-outs.
        split: Questions to measure on.
        changes: Other settings of a method, for choosing them.
    """

    def __init__(
        self, regime: Regime, data: Path, seed: int, *, split: str = "test", changes: dict[str, Any] | None = None
    ) -> None:
        torch.set_num_threads(1)
        self._regime, self._data, self._seed, self._changes = regime, data, seed, changes or {}
        self._shared = json.loads((data / "shared.json").read_text())
        self._work = Path(tempfile.mkdtemp(prefix="learning-"))
        self._made: dict[tuple[str, ...], tuple[Path, float, Any]] = {}
        self._questions = [json.loads(line) for line in (data / f"{split}.jsonl").open()]

    def outcome(self, arm: str) -> Outcome:
        """Train an arm and measure its student."""
        methods = (ARMS | GPU_ARMS)[arm]
        _, accuracy, result = self._student(methods)
        before = self._student(methods[:-1])[1]
        return Outcome(
            self._regime.name,
            arm,
            self._seed,
            accuracy,
            before,
            result.seconds,
            result.steps,
            result.best_step,
            getattr(result, "stopped", ""),
        )

    def close(self) -> None:
        """Delete the students."""
        shutil.rmtree(self._work)

    def _student(self, methods: tuple[str, ...]) -> tuple[Path, float, Any]:
        if methods not in self._made:
            if methods:
                start = self._student(methods[:-1])[0]
                folder = self._work / "-".join(methods)
                result = self._train(methods[-1], start, folder)
                model = folder / "student"
            else:
                model, result = self._regime.base, None
            self._made[methods] = (model, self._measure(model), result)
        return self._made[methods]

    def _train(self, method: str, start: Path, folder: Path) -> Any:
        folder.mkdir()
        rows = folder / "rows.jsonl"
        source = "PAD" if method.startswith(("GRPO", "PAD")) else method
        rows.write_text("".join(self._drawn(self._data / f"{source}.jsonl")))
        common: dict[str, Any] = {
            "model": start,
            "held_out": self._data / "held_out.jsonl",
            "policy": task(self._regime.task).policy,
            "out": folder / "student",
            "max_new_tokens": self._regime.max_tokens,
        }
        recipe: Recipe[Any]
        if source == "PAD":
            scorer = PRM.load(Path(self._shared["prm_folder"])) if method.startswith("PAD") else None
            training = self._training({"schedule": "Linear"} | self._regime.pad_training)
            recipe = PadRecipe(questions=rows, scorer=scorer, pad=self._pad(method), training=training, **common)
        else:
            training = self._training(self._regime.sft | self._changes.get("sft", {}))
            recipe = SupervisedRecipe(rows=rows, training=training, **common)
        return run(
            recipe,
            work=folder / "work",
            checkpoints=Checkpoints(open_store(str(folder / "store")), "checkpoints"),
            on_progress=lambda *_: None,
            should_stop=lambda: False,
        )

    def _drawn(self, path: Path) -> list[str]:
        """The rows of the questions that this seed trains on."""
        lines = path.read_text().splitlines(keepends=True)
        names = [row.get("question_id") or row["id"] for row in map(json.loads, lines)]
        pool = sorted(json.loads(line)["id"] for line in (self._data / "PAD.jsonl").open())
        chosen = set(random.Random(f"questions {self._seed}").sample(pool, min(self._regime.questions, len(pool))))
        return [line for line, name in zip(lines, names, strict=True) if name in chosen]

    def _training(self, chosen: dict[str, Any]) -> Training:
        settings = {"max_length_tokens": 512, "warmup_ratio": 0.1, "precision": "Float32", "evaluations": 0}
        return Training(**(settings | {"seed": self._seed} | chosen))

    def _pad(self, method: str) -> PAD:
        scored = method.startswith("PAD")
        chosen = self._regime.pad if scored else self._regime.grpo
        settings: dict[str, Any] = {"prompts_per_step": 8, "group": 8, "checkpoint_steps": 1000}
        settings |= chosen | self._changes.get(method.rstrip("+"), {})
        if method.endswith("/vLLM"):
            settings["rollouts"] = "VLLMColocate"
        if not scored:
            settings["process_weight"] = 0.0
            settings["steps"] += self._regime.time_steps if method == "GRPO+" else 0
        return PAD(**settings)

    def _measure(self, model: Path) -> float:
        base = read_base(model)
        asked = [
            HeldOut(prompt=[{"role": "user", "content": one["question"]}], gold=one["answer"])  # type: ignore[list-item]
            for one in self._questions
        ]
        measure = Measure(
            asked,
            tokenizer=base.tokenizer,
            policy=task(self._regime.task).policy,
            max_new_tokens=self._regime.max_tokens,
            context=base.context,
        )
        return measure(load_weights(base, "inference"))[0]


def as_line(outcome: Outcome) -> str:
    """One line of the results file."""
    return json.dumps(asdict(outcome) | {"at": round(time.time())}) + "\n"
