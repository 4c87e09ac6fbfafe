"""One thing in a store that cannot be read hides no other from those who look."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from agentark.debate.transcript import shard_path, write_shard
from agentark.store import Store, open_store, stage_path
from tests.cli.hostile import KEYS, hostile_store
from tests.servers import warm

pytestmark = pytest.mark.usefixtures("warm_processes")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A finished run `talk` and a release `sums` of two versions, the second of which is current."""
    found = hostile_store(tmp_path / ".agentark")
    first = json.loads(found.read("releases/sums/1.json"))
    found.write("releases/sums/2.json", json.dumps(first | {"version": 2}).encode())
    found.write("models/a/weights", b"1")
    found.write("releases/other/1.json", json.dumps(first | {"name": "other"}).encode())
    found.write("releases/Not a name/1.json", b"{}")
    return found


def call(store: Store, *arguments: str, expect: int = 0) -> tuple[str, str]:
    command = [sys.executable, "-m", "agentark", *arguments]
    folder = Path(store.uri.removeprefix("file:")).parent
    done = warm.run(command, cwd=folder)
    assert done.returncode == expect, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


def document(store: Store, *arguments: str) -> Any:
    return json.loads(call(store, *arguments, "--json")[0])


def manifest_path(kind: str) -> str:
    return stage_path(kind, KEYS[kind], "manifest.json")


def test_runs_lists_the_others_and_says_which_one_cannot_be_read(store: Store) -> None:
    store.write("runs/team-a/lost/lost-1.json", b'{"run_id": "lost-1", ')
    out, err = call(store, "runs")
    assert "talk-1" in out and "complete" in out
    (line,) = (line for line in out.splitlines() if "lost-1" in line)
    assert line.split() == ["team-a", "lost-1", "-", "-", "unreadable", "-"]
    assert err.startswith("warning: store") and "runs/team-a/lost/lost-1.json is no record of a run" in err
    assert "delete it" in err
    talk, lost = document(store, "runs")
    assert (talk["run"], talk["state"], talk["error"]) == ("talk-1", "complete", None)
    assert (lost["run"], lost["name"], lost["namespace"], lost["state"]) == ("lost-1", "lost", "team-a", "unreadable")
    assert "is no record of a run" in lost["error"] and talk.keys() == lost.keys()
    assert [run["run"] for run in document(store, "runs", "-n", "default")] == ["talk-1"]


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b'{"schema_version": 99}', b"[]"])
@pytest.mark.parametrize("kind", ["debate", "compare"])
def test_a_stage_of_a_run_that_cannot_be_read_is_said_beside_the_rest(store: Store, kind: str, content: bytes) -> None:
    good = json.loads(store.read("runs/default/talk/talk-1.json"))
    store.write("runs/default/talk/talk-2.json", json.dumps(good | {"run_id": "talk-2", "stages": []}).encode())
    store.write(manifest_path(kind), content)
    out, err = call(store, "runs")
    assert "unreadable" in out and "talk-2" in out and err.count(manifest_path(kind)) == 1
    out, err = call(store, "show", "talk-1")
    (line,) = (line for line in out.splitlines() if f" {kind} " in line)
    assert line.split()[2] == "unreadable" and "done" in out
    assert "Rounds, measured on" in out and "Release sums:" in out
    assert err.count(manifest_path(kind)) == 1
    shown = document(store, "show", "talk-1")
    errors = {stage["kind"]: stage["error"] for stage in shown["stages"]}
    assert manifest_path(kind) in errors.pop(kind) and set(errors.values()) == {None}
    assert shown["release"]["released"] is False


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[]", b'{"suites": {"a": {"subjects": [{"name": "s"}]}}}'])
def test_results_that_cannot_be_read_hide_no_run(store: Store, content: bytes) -> None:
    store.write(stage_path("compare", KEYS["compare"], "results"), content)
    (run,) = document(store, "runs")
    assert run["state"] == "unreadable" and run["stages"] == "5/5"
    assert f"delete stages/compare/{KEYS['compare']} to run it again" in run["error"]
    assert "Release sums:" in call(store, "show", "talk")[0]
    store.write(stage_path("compare", KEYS["compare"], "table"), b"\xff")
    store.write(stage_path("prm", KEYS["prm"], "history"), b"{")
    out, err = call(store, "show", "talk")
    assert "Release sums:" in out and "output 'table'" in err and "output 'history'" in err


@pytest.mark.parametrize(
    ("kind", "metrics", "field"),
    [
        ("debate", {"replies": 3}, "questions"),
        ("debate", {"replies": "many"}, "questions"),
        ("gate", {"accepted": True}, "round"),
        ("gate", {"round": 1, "accepted": True, "p": "low"}, "p"),
        ("gate", {}, "round"),
        ("release", {}, "released"),
        ("release", {"released": True}, "decision"),
    ],
)
def test_metrics_that_are_none_of_the_stage_hide_nothing_else(
    store: Store, kind: str, metrics: dict[str, Any], field: str
) -> None:
    content = json.loads(store.read(manifest_path(kind)))
    store.write(manifest_path(kind), json.dumps(content | {"metrics": metrics}).encode())
    out, err = call(store, "show", "talk")
    assert f"the metrics of {manifest_path(kind)} cannot be read ({field}: " in err and err.count("warning: ") == 1
    assert f"delete stages/{kind}/{KEYS[kind]} to run it again" in err
    assert ("Release sums:" in out, "Rounds, measured on" in out) == (kind != "release", kind != "gate")
    document(store, "show", "talk")


def test_an_outcome_is_one_line_and_says_what_failed(store: Store) -> None:
    out, _ = call(store, "show", "talk")
    (line,) = (line for line in out.splitlines() if "debate: 1 questions" in line)
    assert (
        line
        == "  debate: 1 questions, 2 failed; all agree 100.0%; 1 replies, of them 0 cut, 1 empty, 0 filtered; 2 tokens"
    )
    assert out.count("WARNING: ") == 1 and len(out[out.index("WARNING: ") :].splitlines()[0]) > 100


def test_the_plan_is_shown_with_the_stage_that_cannot_be_read_and_the_run_names_it(store: Store) -> None:
    folder = Path(store.uri.removeprefix("file:")).parent
    (folder / "questions.jsonl").write_text('{"id": "a", "question": "1 + 1?", "answer": "2"}\n')
    spec = {"dataset": {"uri": "file:questions.jsonl"}, "teacher": {"endpoint": {"baseUrl": "http://localhost:9/v1"}}}
    spec["teacher"]["endpoint"]["model"] = "m"  # type: ignore[index]
    head = {"apiVersion": "agentark.dev/v1alpha1", "kind": "DebateRun", "metadata": {"name": "talk"}}
    (folder / "run.yaml").write_text(json.dumps(head | {"spec": spec}))
    (stage,) = document(store, "plan", "-f", "run.yaml")["stages"]
    assert (stage["cached"], stage["error"]) == (False, None)
    path = stage_path("debate", stage["key"], "manifest.json")
    cached = json.loads(store.read(manifest_path("debate"))) | {"key": stage["key"], "metrics": {"replies": 3}}
    store.write(path, json.dumps(cached).encode())
    out, err = call(store, "run", "-f", "run.yaml")
    assert "debate  cached" in err and "replies" not in out + err
    store.write(path, b"{")
    out, err = call(store, "plan", "-f", "run.yaml")
    assert "unreadable" in out and f"{path} is no stage manifest" in err
    (stage,) = document(store, "plan", "-f", "run.yaml")["stages"]
    assert stage["cached"] is False and path in stage["error"]
    assert "delete it to run the stage again" in call(store, "run", "-f", "run.yaml", expect=1)[1]


def test_a_damaged_shard_hides_no_question_of_another(store: Store) -> None:
    prefix = stage_path("debate", KEYS["debate"], "records")
    (line,) = hostile_lines(store, prefix)
    record = json.loads(line)
    store.write(shard_path(prefix, 0), b"torn")
    store.write(shard_path(prefix, 1), write_shard([json.dumps(record | {"id": "q64"}).encode(), b"{"]))
    store.write(shard_path(prefix, 2), write_shard([json.dumps(record | {"id": "q128"}).encode()]))
    for question in ("q64", "q128"):
        out, err = call(store, "transcript", "talk", question)
        assert f"Question {question}" in out and "000000.jsonl.zst is damaged" in err
    assert "Question q64" in call(store, "transcript", "talk")[0]
    err = call(store, "transcript", "talk", "q1", expect=1)[1]
    assert "question 'q1' is in no shard that can be read" in err and "000000.jsonl.zst is damaged" in err
    store.delete(shard_path(prefix, 1))
    store.delete(shard_path(prefix, 2))
    assert "there are questions in no shard that can be read" in call(store, "transcript", "talk", expect=1)[1]


def hostile_lines(store: Store, prefix: str) -> list[bytes]:
    from agentark.debate.transcript import shard_lines

    return list(shard_lines(store.read(shard_path(prefix, 0))))


@pytest.mark.parametrize("content", [b"{", b"\xff", b'{"schema_version": 99}'])
def test_releases_are_listed_beside_one_that_cannot_be_read(store: Store, content: bytes) -> None:
    store.write("releases/sums/1.json", content)
    out, err = call(store, "releases")
    assert "other" in out and "Not a name" not in out
    assert "releases/sums/1.json" in err
    out, err = call(store, "releases", "sums")
    assert [line.split()[1:3] for line in out.splitlines() if "unreadable" in line] == [["1", "unreadable"]]
    assert "Gates of version 2" in out
    found = document(store, "releases", "sums")
    assert [version["version"] for version in found["versions"]] == [1, 2]
    assert "releases/sums/1.json" in found["versions"][0]["error"]
    store.write("releases/sums/2.json", content)
    out, _ = call(store, "releases", "sums")
    assert out.count("unreadable") == 2


def test_what_is_current_is_mended_by_a_promotion(store: Store) -> None:
    store.write("releases/sums/1.json", b"{")
    store.write("releases/sums/current.json", b"{")
    out, err = call(store, "releases")
    assert "other" in out and "unreadable" in out
    assert "delete it, then: agentark promote sums" in err
    out, _ = call(store, "promote", "sums", "--version", "2")
    assert "version 2 is the current one" in out
    assert document(store, "releases", "sums")["current"]["version"] == 2
    assert "restore it" in call(store, "promote", "sums", "--version", "1", expect=1)[1]
    assert document(store, "releases", "sums")["current"]["version"] == 2


def test_the_store_stays_as_it_was(store: Store) -> None:
    """Whoever looks at what is damaged repairs and deletes nothing."""
    store.write("runs/default/talk/talk-2.json", b"{")
    before = {entry.path: store.read(entry.path) for entry in store.entries("")}
    for command in (("runs",), ("show", "talk"), ("releases",), ("transcript", "talk")):
        call(store, *command)
    assert {entry.path: store.read(entry.path) for entry in open_store(store.uri).entries("")} == before
