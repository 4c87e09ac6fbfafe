"""Bad input and outages: the condition says what is wrong and how to mend it, and mending it is all that is needed."""

import base64
import contextlib
import dataclasses
import hashlib
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agentark_operator.attempts.budgets import counted
from agentark_operator.attempts.facts import Attempt, Facts, Run, Track
from agentark_operator.diagnosis.failures import Failure
from agentark_operator.status.summary import Observed, summarize
from agentark_operator.storage.breaker import ASKING_S, DOWN_S, CircuitBreaker
from agentark_operator.timestamps import parse_time

from agentark.api import RunPolicy
from agentark.errors import StoreUnavailable
from agentark.planning import Stage
from agentark.store import sha256_tree
from tests.operator.mending import succeeds, waiting
from tests.operator.running import QUESTIONS, Bench, Operators, condition, phase
from tests.servers.minio import minio
from tests.servers.player import Play, Player
from tests.servers.process import free_ports
from tests.servers.s3 import S3Server, client

Body = dict[str, Any]


class Store:
    """A MinIO of a test's own, which can be stopped and goes on with the same data."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_ports(1)[0]
        self._running = contextlib.ExitStack()
        folder.mkdir()

    def start(self) -> S3Server:
        return self._running.enter_context(minio(self._folder, port=self._port))

    def stop(self) -> None:
        self._running.close()


@pytest.fixture
def own_store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "minio")
    yield store
    store.stop()


def upload(bench: Bench, folder: Path, name: str, content: str) -> None:
    (folder / "upload").write_text(content)
    client(bench.s3.endpoint).fput_object(bench.s3.bucket, f"{bench.namespace}/{name}", str(folder / "upload"))


# Secrets


def test_a_missing_secret(bench: Bench, operator: Operators, player: Player) -> None:
    path = bench.apply(bench.debate_run("talk", store=bench.store | {"credentialsSecretRef": {"name": "other"}}))
    where = f"Secret 'other' in namespace '{bench.namespace}' (spec.store.credentialsSecretRef)"
    waiting(bench, path, "StoreUnavailable", f"{where} is not there; make it with keys accessKey and secretKey")
    bench.make_secret("other")
    succeeds(bench, path)


def test_a_secret_without_a_key(bench: Bench, operator: Operators, player: Player) -> None:
    bench.make_secret(secretKey="")
    path = bench.apply(bench.debate_run("talk"))
    waiting(bench, path, "StoreUnavailable", f"Secret 'store' in namespace '{bench.namespace}'", "lacks secretKey")
    bench.make_secret()
    succeeds(bench, path)


def test_a_secret_with_a_line_break_at_its_end(bench: Bench, operator: Operators, player: Player) -> None:
    bench.make_secret(accessKey=f"{bench.s3.access_key}\n")
    path = bench.apply(bench.debate_run("talk"))
    waiting(bench, path, "StoreUnavailable", "Secret 'store'", "accessKey holds a line break", "--from-literal")
    bench.make_secret()
    succeeds(bench, path)


@pytest.mark.parametrize("wrong", [{"secretKey": "wrong-and-not-to-be-shown"}, {"accessKey": "nobody"}])
def test_a_secret_with_a_wrong_key(bench: Bench, operator: Operators, player: Player, wrong: dict[str, str]) -> None:
    bench.make_secret(**wrong)
    path = bench.apply(bench.debate_run("talk"))
    parts = (
        "the server refused the credentials",
        bench.s3.endpoint,
        "correct accessKey and secretKey in Secret 'store'",
    )
    found = waiting(bench, path, "StoreUnavailable", *parts)
    assert "wrong-and-not-to-be-shown" not in str(found) + operator.log
    bench.make_secret()
    succeeds(bench, path)


# The store, and what lies in it


def test_a_bucket_that_is_made_later(
    bench: Bench, operator: Operators, player: Player, own_store: Store, tmp_path: Path
) -> None:
    server = own_store.start()
    store = bench.store | {"uri": "s3://made-later/store", "endpoint": server.endpoint}
    data = {"uri": "s3://data-later/questions.jsonl"}
    path = bench.apply(bench.debate_run("talk", store=store, dataset=data))
    waiting(
        bench, path, "StoreUnavailable", "data set s3://data-later/questions.jsonl", "bucket 'data-later'", "create it"
    )
    there = client(server.endpoint)
    there.make_bucket("data-later")
    waiting(bench, path, "InputNotReady", "data set s3://data-later/questions.jsonl: nothing is there; upload it")
    (tmp_path / "questions").write_text(QUESTIONS)
    there.fput_object("data-later", "questions.jsonl", str(tmp_path / "questions"))
    waiting(bench, path, "StoreUnavailable", f"bucket 'made-later' at {server.endpoint} does not exist: create it")
    there.make_bucket("made-later")
    succeeds(bench, path)


def test_data_and_a_model_that_are_uploaded_later(
    bench: Bench, operator: Operators, player: Player, tmp_path: Path
) -> None:
    data, model = f"{bench.address}/later.jsonl", f"{bench.address}/later"
    made = bench.prm_training("scores", debate=bench.debate(dataset={"uri": data}), model={"uri": model})
    made["spec"]["training"] = {"backend": "Job"}
    path = bench.apply(made)
    waiting(bench, path, "InputNotReady", f"PRMTraining 'scores': data set {data}: nothing is there; upload it")
    upload(bench, tmp_path, "later.jsonl", QUESTIONS)
    waiting(bench, path, "InputNotReady", f"PRMTraining 'scores': model {model}: nothing is there; upload it")
    upload(bench, tmp_path, "later/config.json", "{}")
    succeeds(bench, path)


def test_data_and_a_model_of_another_digest(bench: Bench, operator: Operators, player: Player, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text('{"hidden_size": 64}')
    data = {
        "uri": f"{bench.address}/questions.jsonl",
        "digest": f"sha256:{hashlib.sha256((QUESTIONS * 2).encode()).hexdigest()}",
    }
    model = bench.model | {"digest": f"sha256:{sha256_tree(tmp_path / 'model')}"}
    made = bench.prm_training("scores", debate=bench.debate(dataset=data), model=model)
    made["spec"]["training"] = {"backend": "Job"}
    path = bench.apply(made)
    found = f"sha256:{hashlib.sha256(QUESTIONS.encode()).hexdigest()}"
    parts = (
        data["uri"],
        f"has {found}, the manifest says {data['digest']}",
        "correct the digest or restore the content",
    )
    waiting(bench, path, "InputNotReady", *parts)
    upload(bench, tmp_path, "questions.jsonl", QUESTIONS * 2)
    waiting(bench, path, "InputNotReady", f"{bench.address}/model has sha256:", f"the manifest says {model['digest']}")
    upload(bench, tmp_path, "model/config.json", '{"hidden_size": 64}')
    succeeds(bench, path)


def test_a_store_that_is_down_at_the_first_pass(
    bench: Bench, operator: Operators, player: Player, own_store: Store, tmp_path: Path
) -> None:
    other = dataclasses.replace(bench, s3=own_store.start())
    other.prepare(tmp_path)
    own_store.stop()
    path = other.apply(other.debate_run("talk"))
    parts = (
        f"bucket 'agentark' at {other.s3.endpoint} cannot be reached (no connection)",
        "check that the server runs",
    )
    waiting(bench, path, "StoreUnavailable", *parts)
    own_store.start()
    succeeds(bench, path)


def test_a_store_that_is_down_during_a_run(
    bench: Bench, operator: Operators, player: Player, own_store: Store, tmp_path: Path
) -> None:
    other = dataclasses.replace(bench, s3=own_store.start())
    other.prepare(tmp_path)
    player.act = lambda pod: Play(exit_code=None)
    path = other.apply(other.debate_run("talk"))
    before = bench.server.awaited(path, lambda one: phase(one) == "Running")["status"]
    own_store.stop()
    seen: list[str] = []

    def down(one: Body) -> bool:
        seen.append(phase(one))
        return condition(one)["reason"] == "StoreUnavailable"

    after = bench.server.awaited(path, down)["status"]
    kept = ("runId", "startedAt", "stages", "currentStage", "attempt")
    assert {name: after.get(name) for name in kept} == {name: before.get(name) for name in kept}
    assert set(seen) == {"Running"}, "its pods run on, and know nothing of it"
    own_store.start()
    bench.server.awaited(path, lambda one: condition(one)["reason"] == "StageRunning")
    player.act = lambda pod: Play()
    player.revisit()
    found = succeeds(bench, path)
    assert found["status"]["stages"][0]["attempt"] == 1 and "interruptions" not in found["status"]["stages"][0]


def test_a_store_that_hangs_holds_up_nobody_else(
    bench: Bench, operator: Operators, player: Player, own_store: Store, tmp_path: Path
) -> None:
    server = own_store.start()
    other = dataclasses.replace(bench, s3=server)
    other.prepare(tmp_path)
    os.kill(server.pid, signal.SIGSTOP)
    try:
        paths = [other.apply(other.debate_run(f"hangs-{number}")) for number in range(12)]  # more than threads
        waiting(bench, paths[0], "StoreUnavailable", "cannot be reached (no answer in time)")
        asked = time.monotonic()
        bench.prepare(tmp_path)
        succeeds(bench, bench.apply(bench.debate_run("talk")))
        assert time.monotonic() - asked < 30
    finally:
        os.kill(server.pid, signal.SIGCONT)
    for path in paths:
        succeeds(bench, path, within_s=120)


@pytest.mark.parametrize(
    "said",
    [
        "bucket 'agentark' at http://minio:9000: no space left to write 'x' (XMinioStorageFull); free space there",
        "no server answers at http://llm:8000/v1 (ClientConnectorError); start it, or correct the base URL",
    ],
)
def test_a_service_that_only_the_pods_need(bench: Bench, operator: Operators, player: Player, said: str) -> None:
    player.act = lambda pod: Play(exit_code=69, message=f"Failed: {said}")
    # More often than failures are allowed.
    path = bench.apply(bench.debate_run("talk", runPolicy={"backoffLimit": 0}))
    found = waiting(bench, path, "Retrying", "ServiceUnavailable", said, "the next begins")
    assert "failures" not in found["status"]["stages"][0]
    bench.server.awaited(path, lambda one: one["status"]["stages"][0].get("interruptions", 0) >= 2)
    player.act = lambda pod: Play()
    succeeds(bench, path)


# What nobody may read


def test_no_secret_is_told_to_anybody(bench: Bench, operator: Operators, player: Player) -> None:
    api_key, wrong = "sk-of-a-model-server-for-tests", "wrong-key-of-a-store"
    key = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "llm"}, "stringData": {"apiKey": api_key}}
    assert bench.server.apply(f"/api/v1/namespaces/{bench.namespace}/secrets/llm", key).status == 201
    bench.make_secret(secretKey=wrong)
    endpoint = {"baseUrl": "http://127.0.0.1:9/v1", "model": "test"}
    teacher = {"endpoint": endpoint | {"apiKeySecretRef": {"name": "llm", "key": "apiKey"}}}
    player.act = lambda pod: Play(exit_code=1, message="Failed: as tests want it")
    path = bench.apply(bench.debate_run("talk", teacher=teacher))
    waiting(bench, path, "StoreUnavailable", "refused the credentials")
    bench.make_secret()
    waiting(bench, path, "Retrying", "as tests want it")
    player.act = lambda pod: Play()
    succeeds(bench, path)
    texts = {
        "the operator's log": operator.log,
        "its metrics": operator.metrics(once="agentark_build_info"),
        **dict(_everything(bench)),
    }
    assert {"jobs", "pods", "events", "debateruns"} <= {name.split("/")[0] for name in texts}
    for secret in (api_key, wrong, bench.s3.secret_key):
        for form in (secret, base64.b64encode(secret.encode()).decode()):
            assert [place for place, text in texts.items() if form in text] == []


def _everything(bench: Bench) -> Iterator[tuple[str, str]]:
    """Every object of the namespace but its Secrets, and everything in its store: "kind/name" or path, and content."""
    groups = bench.server.request("GET", "/apis").body["groups"]
    roots = ["/api/v1", *(f"/apis/{one['preferredVersion']['groupVersion']}" for one in groups)]
    for root in roots:
        for kind in bench.server.request("GET", root).body.get("resources", ()):
            plural = kind["name"]
            if kind["namespaced"] and "list" in kind["verbs"] and "/" not in plural and plural != "secrets":
                for one in bench.listed(root, plural):
                    yield f"{plural}/{one['metadata']['name']}", json.dumps(one)
    there = client(bench.s3.endpoint)
    for entry in there.list_objects(bench.s3.bucket, prefix=f"{bench.namespace}/", recursive=True):
        name = str(entry.object_name)
        with contextlib.closing(there.get_object(bench.s3.bucket, name)) as content:
            yield name, content.read().decode(errors="replace")
            content.release_conn()


# Without a cluster


def test_of_a_server_that_is_down_one_pass_asks_and_the_others_are_told() -> None:
    now = 0.0
    breaker = CircuitBreaker(clock=lambda: now)
    breaker.check("a")
    breaker.trip("a", "a cannot be reached")
    breaker.check("b")
    for moment, may in ((1.0, False), (DOWN_S + 1, True), (DOWN_S + 2, False), (DOWN_S + ASKING_S + 2, True)):
        now = moment
        if may:
            breaker.check("a")
        else:
            with pytest.raises(StoreUnavailable, match="a cannot be reached"):
                breaker.check("a")
    breaker.reset("a")
    breaker.check("a")
    breaker.check("a")


def test_a_service_is_waited_for_longer_than_a_node() -> None:
    stage = Stage(kind="debate", name="debate", key="0123456789abcdef", params={})
    run = Run("uid", RunPolicy(), suspended=False, started_at="", now_s=1_800_000_000.0, base_wait_s=10.0)

    def wait_s(reason: str, interruptions: int) -> float:
        attempt = Attempt(1, {"kind": "Job"}, "Failed", failure=Failure("Interruption", reason, "so it was"))
        track = counted(Facts(stage, attempts=[attempt], track=Track(interruptions=interruptions)), run).track
        assert (track.interruptions, track.failures) == (interruptions + 1, 0)
        return parse_time(track.next_attempt_at) - run.now_s

    assert wait_s("Evicted", 0) <= 1.0 and 4.0 <= wait_s("ServiceUnavailable", 0) <= 10.0
    assert 299.0 <= wait_s("ServiceUnavailable", 12) <= 600.0


def test_a_run_that_rests_rests_on_while_its_store_is_down() -> None:
    conditions = [
        {"type": type, "status": "True", "reason": "Suspended", "message": "so it is", "lastTransitionTime": "then"}
        for type in ("Suspended", "QuotaReserved")
    ]
    before = {"observedGeneration": 1, "phase": "Suspended", "runId": "talk-1", "conditions": conditions}
    down = Observed(waiting=("StoreUnavailable", "it cannot be reached"))
    after = summarize(down, before, generation=1, now="now")
    assert phase({"status": after}) == "Suspended" and after["runId"] == "talk-1"
    kept = [one for one in after["conditions"] if one["type"] in ("Suspended", "QuotaReserved")]
    assert [one["lastTransitionTime"] for one in kept] == ["then", "then"]
    assert condition({"status": after})["reason"] == "StoreUnavailable"
    assert summarize(down, before, generation=2, now="now")["phase"] == "Pending", "of another spec nothing is known"
