"""A data set's tolerance and order of lists reach all that grades: votes, traces, steps, gates, tables and releases."""

import json
import shutil
from collections.abc import Callable, Sequence

import pytest
import yaml

from agentark.api import StoreSource
from agentark.api import read_manifest as read_yaml
from agentark.debate import read_records
from agentark.errors import InvalidInput
from agentark.execution.running import run_stage
from agentark.execution.stages import answering, gate
from agentark.llm import Message, Sampling
from agentark.llm.testing import ScriptedEngine
from agentark.planning import Plan, Stage, pin_addresses, plan
from agentark.store import StageManifest, Store, commit, open_store, stage_path
from agentark.store.outputs import put_folder
from agentark.store.stages import now
from tests.execution.conftest import ROOT, Workplace

GRADING = {"absoluteTolerance": "0.01", "lists": "Unordered"}
ANSWERS = ("2, 1", "1, 2.004", "2.001, 1")
"""Of the three agents. Exact and in order, no two of them are equal, and none is the gold answer `1, 2`."""
QUESTIONS = 12


def pairs(messages: Sequence[Message], sampling: Sampling, index: int, seed: int) -> str:
    """An agent's pair, of which nobody talks it out of."""
    own = [message.content for message in messages if message.role == "assistant"]
    return own[-1] if own else f"Step 1: 1 + 1 = 2\nStep 2: \\boxed{{{ANSWERS[index]}}}"


class World:
    """A distillation whose models answer from a script and are not trained."""

    def __init__(self, place: Workplace, debate: dict[str, str] | None, suite: dict[str, str] | None) -> None:
        texts = {"train": "Which two numbers are in box {}?", "test": "Name the pair that opens the door of house {}."}
        for name, text in texts.items():
            rows = ({"question": text.format(number), "answer": "1, 2"} for number in range(QUESTIONS))
            place.write(f"{name}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        self._model = place.folder / "base"
        shutil.copytree(ROOT / "examples" / "quickstart" / "base", self._model, dirs_exist_ok=True)
        spec = {
            "debate": {
                "dataset": {"uri": "file:train.jsonl"} | ({"grading": debate} if debate else {}),
                "teacher": {"endpoint": {"baseUrl": "http://127.0.0.1:9/v1", "model": "test"}},
                "protocol": {"agents": 3, "rounds": 2, "tie": "First"},
            },
            "student": {"model": {"uri": "file:base"}},
            "methods": ["RSFT", "PAD"],
            "curation": {"heldOutFraction": "0.5"},
            "evolve": {"rounds": 1},
            "evaluation": {
                "suites": [
                    {"name": "test", "dataset": {"uri": "file:test.jsonl"} | ({"grading": suite} if suite else {})}
                ],
                "controls": ["Debate"],
                "decoding": ["Greedy"],
            },
            "release": {"name": "it", "gates": [{"suite": "test", "minValue": "0.9"}]},
        }
        resource = {"apiVersion": "agentark.dev/v1alpha1", "kind": "DistillJob", "metadata": {"name": "job"}}
        file = place.write("job.yaml", yaml.safe_dump(resource | {"spec": spec}))
        self.store: Store = open_store(str(place.folder / "store"))
        (job,) = read_yaml(file)
        pins = pin_addresses([job], base=place.folder, store=self.store, source=StoreSource())
        self.plan: Plan = plan(job, pins)

    def stage(self, name: str) -> Stage:
        return next(stage for stage in self.plan.stages if stage.name == name)

    def run(self, *names: str) -> StageManifest:
        """Run stages one after the other; returns the manifest of the last."""
        for name in names:
            manifest = run_stage(self.plan, self.stage(name).key, self.store)
        assert manifest is not None
        return manifest

    def trained(self, name: str) -> None:
        """Put the base model there as the student of a stage."""
        stage = self.stage(name)
        model = put_folder(self.store, stage_path(stage.kind, stage.key, "model"), self._model)
        content = {"inputs": stage.inputs, "outputs": {"model": model}, "attempt": 1}
        times = {"started_at": now(), "finished_at": now()}
        commit(self.store, StageManifest(kind=stage.kind, key=stage.key, params=stage.params, **content, **times))


Make = Callable[..., World]


@pytest.fixture
def world(place: Workplace, monkeypatch: pytest.MonkeyPatch, tried_here: None) -> Make:
    """Lay out a distillation with the gradings of its two data sets."""
    monkeypatch.setattr(answering, "build_engines", lambda context: [ScriptedEngine(pairs)])
    monkeypatch.setattr(gate, "weights_engine", lambda model, execution: ScriptedEngine(pairs))

    def made(*, debate: dict[str, str] | None = None, suite: dict[str, str] | None = None) -> World:
        return World(place, debate, suite)

    return made


def test_the_votes_of_a_debate_follow_the_grading(world: Make) -> None:
    def ended(world: World) -> set[tuple[int, bool, str]]:
        manifest = world.run("debate")
        records = read_records(world.store, stage_path(manifest.kind, manifest.key, "records"))
        return {(record.rounds, record.consensus, record.decided_by) for record in records}

    assert ended(world()) == {(2, False, "Majority")}
    assert ended(world(debate=GRADING)) == {(1, True, "Consensus")}


def test_traces_step_labels_and_gates_follow_the_grading(world: Make) -> None:
    tolerant = world(debate=GRADING)
    curated = tolerant.run("debate", "curate/RSFT").metrics
    assert int(str(curated["rows"])) + int(str(curated["held_out"])) == QUESTIONS
    steps = tolerant.run("steps").metrics
    assert steps["good"] == steps["labelled"] != 0
    tolerant.trained("distill/PAD")
    verdict = tolerant.run("gate/round-1").metrics
    assert verdict["questions"] == curated["held_out"] and (verdict["before"], verdict["after"]) == (1.0, 1.0)
    with pytest.raises(InvalidInput):
        world().run("debate", "curate/RSFT")


@pytest.mark.parametrize(("grading", "accuracy"), [(None, 0.0), (GRADING, 1.0)])
def test_the_table_and_the_release_follow_the_grading_of_the_suite(
    world: Make, grading: dict[str, str] | None, accuracy: float
) -> None:
    made = world(debate=GRADING, suite=grading)
    made.trained("distill/PAD")
    made.run("debate", "curate/RSFT", "gate/round-1")
    subjects = [f"test/{name}" for name in ("base", "debate", "student")]
    table = made.run(*(f"evaluate/{subject}" for subject in subjects), "compare").metrics
    assert {subject: table[subject] for subject in subjects} == dict.fromkeys(subjects, accuracy)
    assert made.run("release").metrics["released"] is (accuracy == 1.0)
