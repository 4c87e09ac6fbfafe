"""Suspended, changed, asked for again, too late, tidied up, deleted: on real controllers with simulated pods."""

import pytest

from tests.operator.asking import (
    OVER,
    QUEUE,
    admit,
    alive,
    ask_again,
    change,
    hold,
    only,
    queued,
    running,
    settled,
    sound,
    stage,
    succeed,
    until,
)
from tests.operator.kstatus import health
from tests.operator.running import Bench, Operators, condition, phase, states
from tests.servers.kwok import MISSING_IMAGE
from tests.servers.player import Player

# --- suspend and resume


@pytest.mark.parametrize("backend", ["Job", "PyTorchJob"])
def test_suspending_takes_the_pods_away_and_going_on_ends_well(
    bench: Bench, operator: Operators, player: Player, backend: str
) -> None:
    player.act = only("prm")
    training = {"backend": backend, "nodes": 2, "gpusPerNode": 1}
    path = bench.apply(bench.prm_training("scores", training=training))
    begun = bench.server.awaited(path, lambda one: "prm" in running(one))
    until(lambda: player.alive == 2)
    change(bench, path, {"suspend": True})
    found = bench.server.awaited(path, settled("Suspended"))
    until(lambda: not alive(bench))
    assert health(found) == "InProgress"
    assert condition(found, "Suspended")["status"] == "True"
    assert condition(found, "Suspended")["message"].startswith("spec.suspend is true")
    assert states(found)["debate"] == "Done"
    player.act = succeed
    change(bench, path, {"suspend": False})
    found = bench.server.awaited(path, OVER)
    assert phase(found) == "Succeeded", found["status"]
    assert found["status"]["runId"] == begun["status"]["runId"] and "runs" not in found["status"]
    assert found["status"]["startedAt"] == begun["status"]["startedAt"]
    trained = stage(found, "prm")
    assert not trained.get("failures") and not trained.get("interruptions")
    assert condition(found, "Suspended")["status"] == ""
    assert sound(player)


def test_what_is_created_suspended_begins_nothing(bench: Bench, operator: Operators, player: Player) -> None:
    path = bench.apply(bench.debate_run("talk", suspend=True))
    found = bench.server.awaited(path, settled("Suspended"))
    assert stage(found, "debate")["message"] == "spec.suspend is true" and not bench.jobs
    change(bench, path, {"suspend": False})
    assert phase(bench.server.awaited(path, OVER)) == "Succeeded"


# --- another spec, and the same again


def test_another_spec_is_another_run_that_takes_what_is_the_same_from_the_store(
    bench: Bench, operator: Operators, player: Player
) -> None:
    player.act = only("prm")
    path = bench.apply(bench.prm_training("scores", training={"gpusPerNode": 1}))
    first = bench.server.awaited(path, lambda one: phase(one) == "Running" and "prm" in running(one))
    until(lambda: player.alive == 1)
    (old,) = bench.pytorchjobs
    player.act = succeed
    change(bench, path, {"temperature": "0.2"})
    found = bench.server.awaited(path, OVER)
    assert phase(found) == "Succeeded", found["status"]
    (past,) = found["status"]["runs"]
    assert past["runId"] == first["status"]["runId"] != found["status"]["runId"] and past["phase"] == "Running"
    assert states(found)["debate"] == "Cached" and states(found)["prm"] == "Done"
    assert "of them found in the store" in condition(found)["message"]
    assert old["metadata"]["uid"] not in {one["metadata"]["uid"] for one in bench.pytorchjobs}
    bench.gone(f"/apis/kubeflow.org/v1/namespaces/{bench.namespace}/pytorchjobs/{old['metadata']['name']}")
    until(lambda: not alive(bench))
    # The debate's tokens were the first run's.
    assert "tokens" not in found["status"].get("usage", {})
    assert sound(player)


def test_a_request_by_annotation_runs_again_and_the_history_is_limited(
    bench: Bench, operator: Operators, player: Player
) -> None:
    path = bench.apply(bench.debate_run("talk", runPolicy={"historyLimit": 2}))
    first = bench.server.awaited(path, OVER)
    assert first["status"]["usage"] == {"tokens": 7200}
    for number in range(3):
        ask_again(bench, path, f"request-{number}")
        found = bench.server.awaited(path, OVER)
        assert found["status"]["requestedAt"] == f"request-{number}"
    assert states(found) == {"debate": "Cached"} and "usage" not in found["status"]
    assert [(one["phase"], one["runId"]) for one in found["status"]["runs"]] == [
        ("Succeeded", first["status"]["runId"])
    ] * 2
    assert sum(player.pods.values()) == 1 and sound(player)
    change(bench, path, {"runPolicy": {"historyLimit": 0}})
    found = bench.server.awaited(path, OVER)
    assert "runs" not in found["status"] and phase(found) == "Succeeded"


# --- deadlines


def test_a_run_that_is_late_ends_and_goes_on_when_it_is_given_more_time(
    bench: Bench, operator: Operators, player: Player
) -> None:
    player.act = hold
    path = bench.apply(bench.debate_run("talk", runPolicy={"activeDeadlineSeconds": 3}))
    found = bench.server.awaited(path, OVER)
    assert phase(found) == "Failed" and health(found) == "Failed"
    assert condition(found, "Failed")["reason"] == "DeadlineExceeded"
    assert "not done 3 s after the start (runPolicy.activeDeadlineSeconds): debate" in condition(found)["message"]
    until(lambda: not bench.jobs and not alive(bench))
    player.act = succeed
    change(bench, path, {"runPolicy": {"activeDeadlineSeconds": 60}})
    again = bench.server.awaited(path, OVER)
    assert phase(again) == "Succeeded" and again["status"]["startedAt"] > found["status"]["startedAt"]
    assert [one["phase"] for one in again["status"]["runs"]] == ["Failed"] and sound(player)


def test_pods_that_do_not_start_in_time_end_the_run_and_a_mended_image_starts_them(
    bench: Bench, operator: Operators, player: Player
) -> None:
    image = {"spec": {"containers": [{"name": "stage", "image": MISSING_IMAGE}]}}
    path = bench.apply(bench.debate_run("late", pods=image, runPolicy={"preRunningDeadlineSeconds": 3}))
    waits = bench.apply(bench.debate_run("waits", pods=image, protocol={"agents": 2, "rounds": 1, "tie": "First"}))
    found = bench.server.awaited(path, OVER)
    assert condition(found, "Failed")["reason"] == "PreRunningDeadlineExceeded"
    message = condition(found)["message"]
    assert "did not start within 3 s (runPolicy.preRunningDeadlineSeconds)" in message and MISSING_IMAGE in message
    waiting = bench.server.awaited(waits, lambda one: condition(one)["reason"] == "ImagePullBackOff")
    assert phase(waiting) == "Pending" and health(waiting) == "InProgress"
    assert MISSING_IMAGE in condition(waiting)["message"]
    mended = {"spec": {"containers": [{"name": "stage", "image": "agentark-worker:1"}]}}
    for one in (path, waits):
        change(bench, one, {"pods": mended})
        found = bench.server.awaited(one, OVER)
        assert phase(found) == "Succeeded", found["status"]
        assert not stage(found, "debate").get("failures") and not stage(found, "debate").get("interruptions")
    assert sound(player)


# --- clean-up, deletion, other managers


def test_objects_go_when_their_time_is_over_and_the_resource_stays(
    bench: Bench, operator: Operators, player: Player
) -> None:
    policy = {"ttlSecondsAfterFinished": 2}
    job = bench.distill_job("student", "PAD", training={"backend": "Job"}, runPolicy=policy)
    path = bench.apply(job)
    found = bench.server.awaited(path, OVER)
    assert phase(found) == "Succeeded", found["status"]
    for kind, name in (("DebateRun", "student-debate"), ("PRMTraining", "student-prm")):
        bench.gone(bench.path(kind, name))
    until(lambda: not bench.jobs and not bench.pods)
    assert bench.server.request("GET", path).body["status"] == found["status"]
    # What is applied again, as by Argo CD, costs nothing.
    bench.apply(job)
    ask_again(bench, path)
    found = bench.server.awaited(path, OVER)
    assert set(states(found).values()) == {"Cached"} and not bench.jobs and sound(player)


def test_deleting_a_job_takes_everything_with_it(bench: Bench, operator: Operators, player: Player) -> None:
    player.act = hold
    path = bench.apply(bench.distill_job("student", "PAD", training={"backend": "Job"}))
    until(lambda: alive(bench))
    assert bench.server.request("DELETE", path).status == 200
    bench.gone(path)
    bench.gone(bench.path("DebateRun", "student-debate"))
    until(lambda: not bench.jobs and not bench.pods)
    # The name is free at once.
    player.act = succeed
    bench.apply(bench.distill_job("student", "PAD", training={"backend": "Job"}))
    assert phase(bench.server.awaited(path, OVER)) == "Succeeded"
    assert sound(player)


def test_what_somebody_else_manages_is_never_touched(bench: Bench, operator: Operators, player: Player) -> None:
    other = bench.apply(bench.debate_run("other", runPolicy={"managedBy": "kueue.x-k8s.io/multikueue"}))
    version = bench.server.request("GET", other).body["metadata"]["resourceVersion"]
    # The operator has been through it when it is through with what came after.
    bench.server.awaited(bench.apply(bench.debate_run("ours")), OVER)
    found = bench.server.request("GET", other).body
    assert found["metadata"]["resourceVersion"] == version and found["status"] == {"observedGeneration": -1}
    assert {one["metadata"]["labels"]["agentark.dev/name"] for one in bench.jobs} == {"ours"}
    assert health(found) == "InProgress"


# --- Kueue


def test_a_queue_decides_when_pods_begin(bench: Bench, operator: Operators, player: Player) -> None:
    player.act = hold
    made = bench.debate_run("talk")
    made["metadata"]["labels"] = {QUEUE: "team"}
    path = bench.apply(made)
    found = bench.server.awaited(path, queued)
    assert phase(found) == "Pending" and condition(found)["reason"] == "WaitingForQuota"
    assert "the queue 'team'" in condition(found, "QuotaReserved")["message"] and not bench.pods
    admit(bench)
    found = bench.server.awaited(path, settled("Running"))
    assert condition(found, "QuotaReserved")["status"] == "True"
    # Preempted by Kueue, and suspended by a person: out of the queue.
    admit(bench, False)
    bench.server.awaited(path, queued)
    change(bench, path, {"suspend": True})
    found = bench.server.awaited(path, settled("Suspended"))
    until(lambda: not bench.jobs and not alive(bench))
    assert condition(found, "QuotaReserved")["status"] == ""
    player.act = succeed
    change(bench, path, {"suspend": False})
    bench.server.awaited(path, queued)
    admit(bench)
    found = bench.server.awaited(path, OVER)
    assert phase(found) == "Succeeded" and not stage(found, "debate").get("interruptions"), found["status"]
    assert sound(player)
