"""The two worlds of the learning benchmark, and everything that all seeds share in them.

Dense: the quickstart's problems of 2 to 4 operations; its base answers more than half of them. Sparse: problems of 8
operations, at least 5 of which invite a slip; its base (the quickstart's, trained on with longer pages) answers fewer
than 15 in 100, so that most groups of answers hold no right one.
"""

import json
import random
import runpy
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from agentark.api import PADGuards, Prompts
from agentark.curate import MethodCuration, curate
from agentark.debate import Record, read_records
from agentark.store import open_store, stage_path
from agentark.tasks import equal, task

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "examples" / "quickstart"
PROMPTS = {
    "solve": "{question}",
    "peer": "Agent {number}:\n{solution}",
    "review": "{peers}\nReview these solutions and solve again.",
    "solutionMarker": "Step 1:",
}
SPLITS = {"prm": 0, "train": 300, "dev": 200, "test": 300}
"""Questions; `prm` differs by regime. Settings are chosen on `dev`; `test` is looked at once, by the runs."""


@dataclass(frozen=True, slots=True)
class Regime:
    """A family of problems, a base that answers them, and how it is trained on them."""

    name: str
    base: Path
    operations: tuple[int, int]
    slips: int
    """Least number of operations that invite a slip."""
    max_tokens: int
    prm_questions: int
    prm_operations: tuple[int, int]
    """Of the questions whose debates teach the process reward model; the shorter ones are where debates succeed."""
    prm_training: dict[str, str]
    sft: dict[str, Any]
    pad: dict[str, Any]
    grpo: dict[str, Any]
    pad_training: dict[str, Any] = field(default_factory=lambda: {"evaluations": 2, "precision": "Float32"})
    """Further settings of `pad` and `grpo`: those of the manifest's `training`."""
    time_steps: int = 1
    """Steps that GRPO can take beyond PAD's number in the same time, as measured."""
    task: str = "jsonl"
    questions: int = 150
    """Questions that a seed trains on, drawn by it."""


REGIMES = {
    "dense": Regime(
        "dense",
        QUICKSTART / "base",
        (2, 4),
        0,
        140,
        1600,
        (2, 4),
        {"epochs": "12", "learningRate": "2.5e-3"},
        {"epochs": 1.0, "learning_rate": 1.2e-4, "batch_size": 16},
        {"steps": 5, "learning_rate": 1.2e-3},
        {"steps": 5, "learning_rate": 1.2e-3},
    ),
    "sparse": Regime(
        "sparse",
        Path(__file__).parent / "long_base",
        (8, 8),
        5,
        200,
        1200,
        (2, 8),
        {"epochs": "10", "learningRate": "2.5e-3"},
        {"epochs": 2.0, "learning_rate": 2e-4, "batch_size": 16},
        # Every answer goes wrong somewhere here, so the soft minimum is the same for all. Nearly all right answers are
        # slips that cancel: a reward model that disagrees with the verifier about them is right.
        {"steps": 12, "learning_rate": 5e-4, "aggregation": "Mean", "guards": PADGuards(disagreement=0)},
        {"steps": 12, "learning_rate": 5e-4},
    ),
}


def prepare(regime: Regime, folder: Path) -> None:
    """Make questions, debates, the process reward model and the rows of a regime; what is in the store stays."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_questions(regime, folder)
    store = folder.parent / "store"
    prm = run(folder, store, _prm_manifest(regime), "prm")
    card = json.loads(output(store, "prm", prm, "history").read_text())["held_out"]
    train = run(folder, store, _debate_manifest(regime, "train"), "debate")
    test = run(folder, store, _debate_manifest(regime, "test"), "debate")
    single = run(folder, store, _sampling_manifest(regime, 1), "debate")
    prompt, completion = _tokens(store, single)
    samples = max(1, min(64, round((sum(_tokens(store, test)) - prompt) / completion)))
    votes = run(folder, store, _sampling_manifest(regime, samples), "debate")
    prepared = {
        "prm_folder": str(output(store, "prm", prm, "model")),
        "prm": card,
        "debate": {"accuracy": accuracy(store, test), "tokens": sum(_tokens(store, test))},
        "self-consistency": {"accuracy": accuracy(store, votes), "samples": samples},
    }
    write_rows(folder, store, train, regime.task)
    (folder / "shared.json").write_text(json.dumps(prepared, indent=1))


def write_rows(folder: Path, store: Path, debate: str, name: str) -> None:
    """Write what each method learns from a debate, by its key; `name` is the task's."""
    for method in ("RSFT", "DA", "AnswerOnly", "PAD"):
        records = read_records(open_store(str(store)), stage_path("debate", debate, "records"))
        curated = curate(
            records,
            params=MethodCuration(method=method, held_out_fraction=0.2),
            prompts=Prompts.model_validate(PROMPTS),
            policy=task(name).policy,
            evaluation_questions=(),
        )
        write_lines(folder / f"{method}.jsonl", (row.as_json() for row in curated.rows))
        write_lines(folder / "held_out.jsonl", (row.as_json() for row in curated.held_out))


def _write_questions(regime: Regime, folder: Path) -> None:
    """Draw the splits; no two questions of a regime, nor one of the quickstart's, ask for the same sums."""
    sys.path.insert(0, str(QUICKSTART))
    module = runpy.run_path(str(QUICKSTART / "make_data.py"))
    world = runpy.run_path(str(QUICKSTART / "world.py"))
    taken = {tuple(problem.sums) for problems in module["splits"]().values() for problem in problems}
    rng = random.Random(f"learning {regime.name}")
    for split, size in (SPLITS | {"prm": regime.prm_questions}).items():
        rows: list[dict[str, str]] = []
        operations, slips = (regime.prm_operations, 0) if split == "prm" else (regime.operations, regime.slips)
        while len(rows) < size:
            problem = world["make_problem"](rng, operations)
            if tuple(problem.sums) in taken or _slips(world, problem.sums) < slips:
                continue
            taken.add(tuple(problem.sums))
            name = f"{regime.name}-{split}-{len(rows) + 1:04d}"
            rows.append({"id": name, "question": problem.text, "answer": str(problem.answer)})
        write_lines(folder / f"{split}.jsonl", rows)


def _slips(world: dict[str, Any], sums: Any) -> int:
    value, slips = sums.start, 0
    for sign, amount in sums.operations:
        slips += world["invites_slip"](value, sign, amount)
        value = world["calculate"](value, sign, amount)
    return slips


def _debate(regime: Regime, split: str, protocol: dict[str, Any]) -> dict[str, Any]:
    sampling = {"temperature": "0.8", "maxTokens": regime.max_tokens}
    return {
        "dataset": {"uri": f"file:{split}.jsonl"},
        "teacher": {"model": {"uri": f"file:{regime.base.resolve()}"}},
        "protocol": {"tie": "First", "sampling": sampling, "prompts": PROMPTS, **protocol},
        "execution": {"concurrency": 256},
    }


def _debate_manifest(regime: Regime, split: str) -> dict[str, Any]:
    return manifest("DebateRun", f"{regime.name}-{split}", _debate(regime, split, {"agents": 5, "rounds": 3}))


def _sampling_manifest(regime: Regime, samples: int) -> dict[str, Any]:
    protocol = {"type": "SelfConsistency", "agents": samples}
    return manifest("DebateRun", f"{regime.name}-votes-{samples}", _debate(regime, "test", protocol))


def _prm_manifest(regime: Regime) -> dict[str, Any]:
    training = {"batchSize": 16, "maxLengthTokens": 512, "precision": "Float32", "warmupRatio": "0.1"}
    spec = {
        "debate": _debate(regime, "prm", {"agents": 5, "rounds": 3}),
        "labels": ["Agreement"],  # single-pass answers hold no critiques
        "headFraction": "0.05",
        "heldOutFraction": "0.2",
        "training": training | regime.prm_training,
    }
    return manifest("PRMTraining", f"{regime.name}-prm", spec)


def manifest(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "agentark.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def run(folder: Path, store: Path, document: dict[str, Any], kind: str) -> str:
    """Run a manifest through the CLI, as a user would; return the key of its last stage of this kind."""
    file = folder / f"{document['metadata']['name']}.yaml"
    file.write_text(yaml.safe_dump(document))
    command = [sys.executable, "-m", "agentark"]
    subprocess.run([*command, "run", "-f", str(file), "--store", str(store)], check=True, cwd=ROOT)
    options = ["plan", "-f", str(file), "--store", str(store), "--json"]
    planned = subprocess.run([*command, *options], check=True, cwd=ROOT, capture_output=True, text=True)
    documents = json.loads(planned.stdout)
    (plan,) = documents if isinstance(documents, list) else [documents]
    return str(next(stage["key"] for stage in reversed(plan["stages"]) if stage["kind"] == kind))


def _stage(store: Path, kind: str, key: str) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((store / "stages" / kind / key / "manifest.json").read_text())
    return manifest


def output(store: Path, kind: str, key: str, name: str) -> Path:
    """Where an output of a stage lies."""
    return store / str(_stage(store, kind, key)["outputs"][name]["path"])


def _tokens(store: Path, key: str) -> tuple[float, float]:
    stage = _stage(store, "debate", key)
    questions, usage = stage["metrics"]["questions"], stage["usage"]
    return usage["prompt_tokens"] / questions, usage["completion_tokens"] / questions


def accuracy(store: Path, key: str, name: str = "jsonl") -> float:
    """How often a debate is right, by the grader of a task."""

    def right(record: Record) -> bool:
        return bool(record.answer) and equal(record.answer, record.gold, task(name).policy)

    grades = [right(record) for record in read_records(open_store(str(store)), stage_path("debate", key, "records"))]
    return sum(grades) / len(grades)


def write_lines(path: Path, rows: Iterable[Any]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
