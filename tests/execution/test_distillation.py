"""The whole pipeline with a real model: debate, curate, distil, evaluate, compare; then only what a change reaches."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.execution.conftest import ROOT, Workplace
from tests.servers import warm

pytestmark = pytest.mark.long

QUICKSTART = ROOT / "examples" / "quickstart"


def manifest() -> dict[str, Any]:
    job: dict[str, Any] = yaml.safe_load((QUICKSTART / "distilljob.yaml").read_text())
    base = {"model": {"uri": f"file:{QUICKSTART / 'base'}"}}
    spec = job["spec"]
    spec["debate"]["dataset"] = {"uri": f"file:{QUICKSTART / 'data' / 'train.jsonl'}", "limit": 40}
    spec["debate"]["teacher"] = spec["student"] = base
    suite = {"name": "small", "dataset": {"uri": f"file:{QUICKSTART / 'data' / 'test.jsonl'}", "limit": 24}}
    spec["evaluation"] = {"suites": [suite], "controls": ["Debate", "SelfConsistency"], "decoding": ["Greedy"]}
    return job


@pytest.mark.timeout(900)
def test_a_manifest_becomes_a_student_and_a_change_runs_only_what_it_reaches(
    tmp_path: Path, warm_processes: None
) -> None:
    place = Workplace(tmp_path, warm.Popen)
    job = manifest()
    place.write("job.yaml", job)
    document = json.loads(place.run("run", "-f", "job.yaml", "--json").splitlines()[-1])
    assert {stage["state"] for stage in document["stages"]} == {"Done"}
    table = {row["name"]: row for row in document["results"]["suites"]["small"]["subjects"]}
    assert set(table) == {"base", "debate", "self-consistency", "student"}
    assert table["student"]["tokens"] < table["debate"]["tokens"] / 5
    assert table["student"]["n"] == 24
    # The vote is given what the debate's tokens pay for.
    assert 0.5 < table["self-consistency"]["tokens"] / table["debate"]["tokens"] <= 1.3

    job["spec"]["training"]["learningRate"] = "2e-4"
    place.write("job.yaml", job)
    again = json.loads(place.run("run", "-f", "job.yaml", "--json").splitlines()[-1])
    ran = {stage["name"] for stage in again["stages"] if stage["state"] == "Done"}
    assert ran == {"distill/RSFT", "evaluate/small/student", "compare"}

    shown = place.run("show", "quickstart")
    assert "STUDENT, single pass" in shown and "accuracy" in shown
    asked = json.loads(
        place.run("ask", "quickstart", "Ann has 12 pens. She finds 3. How many pens now?", "--json").splitlines()[-1]
    )
    assert asked["tokens"] > 0 and "Step 1:" in asked["text"]

    small = again["results"]["suites"]["small"]
    assert set(small["abilities"]) == {"base", "student"}
    assert small["abilities"]["student"]["right_calculations"]["of"] > 24
    assert small["self_correction"]["debate"]["broken"]["interval"] is not None
    assert "What the single passes show" in shown and "sycophancy" in shown

    job["spec"] |= {"methods": ["RSFT", "DPO"], "dpo": {"learningRate": "1e-4"}}
    job["metadata"]["name"] = "preferences"
    place.write("job.yaml", job)
    preferring = json.loads(place.run("run", "-f", "job.yaml", "--json").splitlines()[-1])
    ran = {stage["name"]: stage["key"] for stage in preferring["stages"] if stage["state"] == "Done"}
    assert set(ran) == {"curate/DPO", "distill/DPO", "evaluate/small/student", "compare"}
    stage = place.folder / ".agentark" / "stages" / "distill" / ran["distill/DPO"]
    history = json.loads((stage / "attempts" / "1" / "history.json").read_text())
    margins = [point["margin"] for point in history["preferences"]]
    assert len(margins) == history["steps"] and margins[0] == 0.0 < margins[-1]

    place.run("study", document["run_id"], again["run_id"], "--by", "training.learningRate", "--out", "rates.svg")
    assert "STUDENT, single pass" in (place.folder / "rates.svg").read_text()
    located = json.loads(
        place.run("locate", "quickstart", "--base", str(QUICKSTART / "base"), "--limit", "5", "--json")
    )
    assert set(located) == {"base", "student"} and located["student"]["named"]["of"] == 5
