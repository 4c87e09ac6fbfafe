"""A manifest on one machine: what runs, what is found again, what a kill costs."""

import json
import os
import signal
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.execution.conftest import Workplace, debate_run
from tests.servers.s3 import client

Serve = Callable[..., str]


def answered(url: str) -> int:
    counts: dict[str, Any] = json.loads(urllib.request.urlopen(url.removesuffix("/v1") + "/counts").read())
    return int(counts["answered"])


def shards(place: Workplace) -> dict[str, bytes]:
    found = sorted(place.folder.glob(".agentark/stages/debate/*/records/shards/*"))
    return {path.name: path.read_bytes() for path in found}


def test_a_debate_runs_once_and_is_found_again(place: Workplace, serve: Serve) -> None:
    url = serve("--template", "The answer is {index}.")
    place.questions(10)
    place.write("run.yaml", debate_run(url))
    started = time.monotonic()
    assert "debate  done" in place.run("run", "-f", "run.yaml")
    took, started, paid = time.monotonic() - started, time.monotonic(), answered(url)
    output = place.run("run", "-f", "run.yaml")
    assert time.monotonic() - started < took
    assert "debate  cached" in output
    assert answered(url) == paid
    assert "talk-" in place.run("runs")
    assert "Question q3" in place.run("transcript", "talk", "q3")
    document = json.loads(place.run("show", "talk", "--json"))
    manifest = document["stages"][0]["manifest"]
    assert manifest["metrics"]["questions"] == 10
    assert manifest["usage"]["completion_tokens"] > 0


def test_the_plan_says_what_is_cached_and_what_the_rest_costs(place: Workplace, serve: Serve) -> None:
    url = serve("--template", "The answer is {index}.")
    place.questions(10)
    place.write("run.yaml", debate_run(url))
    before = json.loads(place.run("plan", "-f", "run.yaml", "--json"))
    assert before["stages"][0]["cached"] is False
    assert before["stages"][0]["estimate"]["calls"] == 10 * 3 * 2
    assert answered(url) == 0
    place.run("run", "-f", "run.yaml")
    assert json.loads(place.run("plan", "-f", "run.yaml", "--json"))["stages"][0]["cached"] is True


def wait_for(condition: Callable[[], bool], deadline_s: float = 30.0) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


def children_of(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def gone(pid: int) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.long
def test_a_killed_run_takes_its_stages_along_and_goes_on_later_with_the_same_result(
    place: Workplace, serve: Serve, tmp_path_factory: Any
) -> None:
    quiet = Workplace(tmp_path_factory.mktemp("undisturbed"))
    url = serve("--template", "The answer is {index}.", "--latency-s", "0.05")
    for folder in (place, quiet):
        folder.questions(150)
        folder.write("run.yaml", debate_run(url, execution={"concurrency": 8}))
    quiet.run("run", "-f", "run.yaml")
    undisturbed = answered(url)
    process = place.start("run", "-f", "run.yaml")
    wait_for(lambda: answered(url) > undisturbed + 60)
    (child,) = children_of(process.pid)
    process.kill()
    process.communicate()
    wait_for(lambda: gone(child))
    place.run("run", "-f", "run.yaml")
    # What was in flight when the kill came is asked again; nothing else is.
    assert answered(url) <= 2 * undisturbed + 8
    assert shards(place).keys() == shards(quiet).keys()
    assert ids(place) == ids(quiet) == [f"q{i}" for i in range(150)]


def ids(place: Workplace) -> list[str]:
    from agentark.debate import read_shard

    return [record.id for data in shards(place).values() for record in read_shard(data)]


@pytest.mark.long
def test_ctrl_c_leaves_a_state_from_which_the_same_command_goes_on(place: Workplace, serve: Serve) -> None:
    url = serve("--template", "The answer is {index}.", "--latency-s", "0.05")
    place.questions(150)
    place.write("run.yaml", debate_run(url, execution={"concurrency": 8}))
    process = place.start("run", "-f", "run.yaml")
    wait_for(lambda: answered(url) > 40)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 75, err
    assert "run the same command again" in err
    assert "not yet" in place.run("show", "talk")
    paid = answered(url)
    place.run("run", "-f", "run.yaml")
    assert ids(place) == [f"q{i}" for i in range(150)]
    assert answered(url) > paid


def test_two_runs_at_once_do_not_pay_twice(place: Workplace, serve: Serve) -> None:
    url = serve("--template", "The answer is {index}.", "--latency-s", "0.05")
    place.questions(100)
    place.write("run.yaml", debate_run(url, execution={"concurrency": 8}))
    first = place.start("run", "-f", "run.yaml")
    wait_for(lambda: answered(url) > 10)
    output = place.run("run", "-f", "run.yaml", expect=1)
    assert "is being run by another process" in output
    out, err = first.communicate(timeout=120)
    assert first.returncode == 0, out + err


def test_a_bucket_keeps_a_run_as_a_folder_does(
    place: Workplace, serve: Serve, minio_server: Any, monkeypatch: Any
) -> None:
    url = serve("--template", "The answer is {index}.")
    place.questions(10)
    spec = {"store": {"uri": f"s3://{minio_server.bucket}/team", "endpoint": minio_server.endpoint}}
    place.write("run.yaml", debate_run(url, **spec))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", minio_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", minio_server.secret_key)
    monkeypatch.setenv("XDG_CACHE_HOME", str(place.folder / "cache"))
    assert "debate  done" in place.run("run", "-f", "run.yaml")
    assert "debate  cached" in place.run("run", "-f", "run.yaml")
    assert not list((place.folder / "cache").rglob("journal*")), "work folders are removed after the commit"


def test_what_a_cluster_left_in_a_bucket_is_read_from_anywhere(
    place: Workplace, serve: Serve, minio_server: Any, monkeypatch: Any
) -> None:
    manifest = debate_run(serve("--template", "The answer is {index}."))
    manifest["metadata"]["namespace"] = "team-a"
    place.questions(10)
    place.write("run.yaml", manifest)
    for name, value in (
        ("ACCESS_KEY_ID", "access_key"),
        ("SECRET_ACCESS_KEY", "secret_key"),
        ("ENDPOINT_URL", "endpoint"),
    ):
        monkeypatch.setenv(f"AWS_{name}", getattr(minio_server, value))
    monkeypatch.setenv("XDG_CACHE_HOME", str(place.folder / "cache"))
    bucket = ("--store", f"s3://{minio_server.bucket}/readers")
    output = place.run("run", "-f", "run.yaml", *bucket)
    assert "agentark show talk -n team-a" in output
    reader = Workplace(place.folder / "elsewhere")
    reader.folder.mkdir()
    assert "no run 'talk' in namespace 'default'" in reader.run("show", "talk", *bucket, expect=1)
    shown = json.loads(reader.run("show", "talk", *bucket, "--namespace", "team-a", "--json"))
    assert shown["stages"][0]["manifest"]["metrics"]["questions"] == 10
    assert "done" in reader.run("show", "talk", *bucket, "-n", "team-a")
    assert "Question q3" in reader.run("transcript", "talk", "q3", *bucket, "-n", "team-a")
    listed = reader.run("runs", *bucket)
    assert listed.startswith("NAMESPACE") and "team-a" in listed and "1/1" in listed
    assert json.loads(reader.run("runs", *bucket, "-n", "team-b", "--json")) == []
    assert json.loads(place.run("plan", "-f", "run.yaml", *bucket, "--json"))["stages"][0]["cached"] is True
    assert not list(reader.folder.iterdir()), "readers write nothing"


def test_data_in_a_bucket_is_read_from_the_endpoint_of_the_store(
    place: Workplace, serve: Serve, minio_server: Any, monkeypatch: Any
) -> None:
    place.questions(3)
    name = "runs/questions.jsonl"
    client(minio_server.endpoint).fput_object(minio_server.bucket, name, str(place.folder / "questions.jsonl"))
    spec = {"store": {"uri": f"s3://{minio_server.bucket}/near", "endpoint": minio_server.endpoint}}
    manifest = debate_run(serve("--template", "The answer is {index}."), **spec)
    manifest["spec"]["dataset"] = {"uri": f"s3://{minio_server.bucket}/{name}"}
    place.write("run.yaml", manifest)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", minio_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", minio_server.secret_key)
    monkeypatch.setenv("XDG_CACHE_HOME", str(place.folder / "cache"))
    assert "debate  done" in place.run("run", "-f", "run.yaml")


@pytest.mark.long
def test_secrets_come_from_the_environment_and_go_nowhere(place: Workplace, serve: Serve, monkeypatch: Any) -> None:
    url = serve("--template", "The answer is {index}.", "--api-key", "s3cr3t-value")
    place.questions(5)
    manifest = debate_run(url)
    manifest["spec"]["teacher"]["endpoint"]["apiKeySecretRef"] = {"name": "llm-key"}
    place.write("run.yaml", manifest)
    output = place.run("run", "-f", "run.yaml", expect=2)
    assert "set AGENTARK_SECRET_LLM_KEY_APIKEY" in output
    monkeypatch.setenv("AGENTARK_SECRET_LLM_KEY_APIKEY", "wrong-value")
    assert "wrong-value" not in place.run("run", "-f", "run.yaml", expect=2)
    monkeypatch.setenv("AGENTARK_SECRET_LLM_KEY_APIKEY", "s3cr3t-value")
    place.run("run", "-f", "run.yaml")
    kept = [path for path in place.folder.rglob("*") if path.is_file() and b"s3cr3t-value" in path.read_bytes()]
    assert not kept
    assert os.environ["AGENTARK_SECRET_LLM_KEY_APIKEY"] == "s3cr3t-value"
