"""Rounds without gold answers: the student of each debates in the next, and gates keep harm out."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.execution.conftest import ROOT, Workplace
from tests.servers import warm

pytestmark = pytest.mark.long

QUICKSTART = ROOT / "examples" / "quickstart"


def manifest(name: str, **training: str | int) -> dict[str, Any]:
    """The quickstart's evolution, as small as can be, on questions that have no answers."""
    job: dict[str, Any] = yaml.safe_load((QUICKSTART / "evolve.yaml").read_text())
    job["metadata"]["name"] = name
    spec = job["spec"]
    base = {"model": {"uri": f"file:{QUICKSTART / 'base'}"}}
    spec["debate"]["dataset"] = {"uri": "file:questions.jsonl"}
    spec["debate"]["teacher"] = spec["student"] = base
    spec["debate"]["protocol"] |= {"agents": 3, "rounds": 2}
    spec["curation"] |= {"heldOutFraction": "0.4"}
    spec["evolve"] = {"rounds": 2}
    spec["training"] |= {"evaluations": 0, **training}
    suite = {"name": "small", "dataset": {"uri": f"file:{QUICKSTART / 'data' / 'test.jsonl'}", "limit": 8}}
    spec["evaluation"] = {"suites": [suite], "controls": [], "decoding": ["Greedy"]}
    return job


@pytest.fixture(scope="module")
def evolved(tmp_path_factory: pytest.TempPathFactory, warm_processes: None) -> Iterator[Workplace]:
    """A folder in which two rounds have run."""
    place = Workplace(tmp_path_factory.mktemp("evolution"), warm.Popen)
    rows = [json.loads(line) for line in (QUICKSTART / "data" / "train.jsonl").read_text().splitlines()[:48]]
    place.write("questions.jsonl", "".join(json.dumps({"id": r["id"], "question": r["question"]}) + "\n" for r in rows))
    place.write("good.yaml", manifest("good"))
    place.run("run", "-f", "good.yaml")
    yield place


def document(place: Workplace, run: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(place.run("show", run, "--json").splitlines()[-1])
    return found


def test_each_round_is_debated_by_the_student_before_it_and_gated(evolved: Workplace) -> None:
    found = document(evolved, "good")
    stages = {stage["name"]: stage["manifest"] for stage in found["stages"]}
    assert stages["debate/round-2"]["inputs"]["model"] == stages["gate/round-1"]["key"]
    assert stages["distill/round-2/RSFT"]["inputs"]["model"] == stages["gate/round-1"]["key"]
    assert stages["evaluate/small/student"]["inputs"]["model"] == stages["gate/round-2"]["key"]
    assert [gate["round"] for gate in found["gates"]] == [1, 2]
    for gate in found["gates"]:
        if "accepted" in gate:
            assert gate["accepted"] is (gate["after"] >= gate["before"])
            assert gate["questions"] == found["gates"][0]["questions"] > 0
    shown = evolved.run("show", "good")
    assert "Rounds, measured on" in shown and "accepted" in shown


def test_a_further_round_leaves_the_earlier_ones_alone(evolved: Workplace) -> None:
    job = manifest("good")
    job["spec"]["evolve"] = {"rounds": 3}
    evolved.write("more.yaml", job)
    plan = json.loads(evolved.run("plan", "-f", "more.yaml", "--json"))
    to_run = [stage["name"] for stage in plan["stages"] if not stage["cached"]]
    third = {"debate/round-3", "curate/round-3/RSFT", "distill/round-3/RSFT", "gate/round-3"}
    assert set(to_run) == third | {"evaluate/small/student", "compare"}


def test_a_student_that_got_worse_is_turned_away_and_costs_no_further_round(evolved: Workplace) -> None:
    evolved.write("bad.yaml", manifest("bad", learningRate="0.3"))
    assert "TURNED AWAY" in evolved.run("run", "-f", "bad.yaml")
    found = document(evolved, "bad")
    stages = {stage["name"]: stage["manifest"] for stage in found["stages"]}
    first, second = found["gates"]
    assert not first["accepted"] and first["after"] < first["before"]
    assert "round 1 was turned away" in first["ended"] == second["ended"]
    for name in ("debate/round-2", "curate/round-2/RSFT", "distill/round-2/RSFT"):
        assert stages[name]["metrics"] == {"ended": first["ended"]} and not stages[name]["usage"]
    # What was there before is the result, and it is what is measured.
    kept = evolved.folder / ".agentark" / stages["gate/round-2"]["outputs"]["model"]["path"]
    weights = (QUICKSTART / "base" / "model.safetensors").read_bytes()
    assert (kept / "model.safetensors").read_bytes() == weights
    subjects = {one["name"]: one for one in found["results"]["suites"]["small"]["subjects"]}
    assert subjects["student"]["accuracy"] == subjects["base"]["accuracy"]
    assert evolved.run("show", "bad").count("skipped") == 3


def test_gates_need_held_out_questions_and_one_model(evolved: Workplace) -> None:
    job = manifest("none")
    job["spec"]["curation"]["heldOutFraction"] = "0"
    evolved.write("none.yaml", job)
    assert "evolve needs held-out questions" in evolved.run("validate", "-f", "none.yaml", expect=2)
    job = manifest("team")
    other = {"endpoint": {"baseUrl": "http://127.0.0.1:9/v1", "model": "other"}}
    job["spec"]["debate"]["protocol"]["team"] = [{}, {}, {"teacher": other}]
    evolved.write("team.yaml", job)
    assert "protocol.team names several models" in evolved.run("plan", "-f", "team.yaml", expect=2)
