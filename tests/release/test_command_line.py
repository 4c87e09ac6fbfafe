"""A user's release: a job that passes its gates, one that does not, a rollback, and the model as the next student."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.execution.conftest import ROOT, Workplace
from tests.servers import warm

pytestmark = pytest.mark.long

QUICKSTART = ROOT / "examples" / "quickstart"
BASE = {"model": {"uri": f"file:{QUICKSTART / 'base'}"}}


def job(name: str, *gates: dict[str, Any], student: str = "", **training: Any) -> dict[str, Any]:
    """The quickstart as small as can be, with a release."""
    made: dict[str, Any] = yaml.safe_load((QUICKSTART / "distilljob.yaml").read_text())
    made["metadata"]["name"] = name
    spec = made["spec"]
    spec["debate"]["dataset"] = {"uri": f"file:{QUICKSTART / 'data' / 'train.jsonl'}", "limit": 24}
    spec["debate"]["protocol"] |= {"agents": 3, "rounds": 2}
    spec["debate"]["teacher"] = BASE
    spec["student"] = {"model": {"uri": student}} if student else BASE
    spec["training"] |= {"epochs": "1", "evaluations": 0, **training}
    suite = {"name": "small", "dataset": {"uri": f"file:{QUICKSTART / 'data' / 'test.jsonl'}", "limit": 8}}
    spec["evaluation"] = {"suites": [suite], "controls": [], "decoding": ["Greedy"]}
    spec["release"] = {"name": "sums", "gates": list(gates)}
    return made


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, warm_processes: None) -> Iterator[Workplace]:
    """A folder in which a job has released its student."""
    found = Workplace(tmp_path_factory.mktemp("release"), warm.Popen)
    found.write("first.yaml", job("first", {"suite": "small", "minValue": "0.01"}))
    output = found.run("run", "-f", "first.yaml")
    assert "Release sums: released as version 1 (sha256:" in output and "gates passed: 1" in output
    yield found


def document(place: Workplace, *command: str) -> Any:
    return json.loads(place.run(*command, "--json").splitlines()[-1])


def test_a_second_run_is_cached_and_shows_the_decision(place: Workplace) -> None:
    again = document(place, "run", "-f", "first.yaml")
    assert {stage["state"] for stage in again["stages"]} == {"Cached"}
    assert again["release"]["released"] is True and again["release"]["version"] == 1
    shown = document(place, "show", "first")
    assert shown["release"] == again["release"]
    assert again["release"]["decision"] in place.run("show", "first")
    assert "releases/sums/1.json" in place.run("show", "first")


def test_a_refused_student_ends_the_run_well_and_says_by_how_much(place: Workplace) -> None:
    place.write("refused.yaml", job("refused", {"suite": "small", "minGainOver": "student", "significance": "1e-9"}))
    refused = document(place, "run", "-f", "refused.yaml")
    assert [stage["name"] for stage in refused["stages"] if stage["state"] == "Done"] == ["release"]
    assert refused["release"]["released"] is False and refused["release"]["gates"][0]["failures"]
    assert "Release sums: not released, gates failed: 1 of 1: small: " in place.run("show", "refused")
    assert len(document(place, "releases", "sums")["versions"]) == 1


def test_a_released_model_is_the_next_student_and_a_rollback_stays(place: Workplace) -> None:
    place.write("second.yaml", job("second", student="release://sums@1", seed=1))
    second = document(place, "run", "-f", "second.yaml")
    states = {stage["name"]: stage["state"] for stage in second["stages"]}
    # The base of its evaluation is the first student, whose answers are other stages than those of the first job.
    assert states["debate"] == "Cached" and states["evaluate/small/base"] == states["distill/RSFT"] == "Done"
    assert second["release"]["version"] == 2
    assert document(place, "promote", "sums", "--version", "1") == {
        "name": "sums",
        "version": 1,
        "digest": document(place, "releases", "sums")["versions"][0]["digest"],
        "pinned": True,
    }
    (found,) = document(place, "releases")
    assert (found["name"], found["current"]["version"], len(found["versions"])) == ("sums", 1, 2)
    assert found["versions"][1]["lineage"]["pins"]["release://sums@1"] == found["versions"][0]["digest"]
    listed = place.run("releases", "sums")
    assert "pinned" in listed and "second-" in listed and "none asked" in listed
    assert "sums  1 (pinned)  2" in place.run("releases")
    assert "version 2, the newest, is the current one" in place.run("promote", "sums")
    assert "pinned" not in place.run("releases", "sums")


def test_names_and_versions_that_are_not_there_are_wrong_arguments(place: Workplace) -> None:
    assert "there is no release 'summs'; there are: sums" in place.run("releases", "summs", expect=2)
    assert "release 'sums' has no version 9" in place.run("promote", "sums", "--version", "9", expect=2)
    place.run("promote", "sums", "--version", "0", expect=2)
    assert "nothing is released in" in place.run("releases", "--store", "empty")
    assert document(place, "releases", "--store", "empty") == []


def test_the_example_adds_a_release_to_the_quickstart_and_changes_no_other_stage(place: Workplace) -> None:
    plain, released = (
        {stage["name"]: stage["key"] for stage in document(place, "plan", "-f", str(QUICKSTART / file))["stages"]}
        for file in ("distilljob.yaml", "release.yaml")
    )
    assert released.pop("release") and released == plain
