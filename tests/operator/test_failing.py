"""Attempts that fail, are interrupted, fall silent or vanish: on real controllers with simulated pods."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.operator.asking import (
    GOOD,
    MERGE,
    OVER,
    alive,
    ask_again,
    change,
    hold,
    in_turn,
    settled,
    sound,
    stage,
    succeed,
    until,
)
from tests.operator.kstatus import health
from tests.operator.running import Bench, Body, Operators, condition, phase
from tests.servers.kwok import MISSING_IMAGE
from tests.servers.player import Play, Player
from tests.servers.playground import Playground

BACKENDS = ["Job", "PyTorchJob"]


def trained(bench: Bench, backend: str, **policy: Any) -> str:
    """A resource whose second stage runs in two pods on a backend; returns its path."""
    training = {"backend": backend, "nodes": 2, "gpusPerNode": 1}
    return bench.apply(bench.prm_training("scores", training=training, runPolicy=policy))


def running_pod(bench: Bench) -> Body:
    """A pod of the training, once both of them run."""
    found: list[Body] = []

    def there() -> bool:
        found[:] = [pod for pod in bench.pods if trains(pod) and runs(pod)]
        return len(found) == 2

    until(there)
    return found[0]


def remove(bench: Bench, api: str, plural: str, body: Body) -> None:
    """Delete an object as kubectl does."""
    where = f"{api}/namespaces/{bench.namespace}/{plural}/{body['metadata']['name']}"
    answer = bench.server.request("DELETE", where, {"propagationPolicy": "Background"})
    assert answer.status == 200, answer.message


@contextlib.contextmanager
def lasting(bench: Bench, pod: Body) -> Iterator[str]:
    """Let the end of a pod be seen for a while, as under a kubelet, which takes its time; gives its path."""
    path = f"/api/v1/namespaces/{bench.namespace}/pods/{pod['metadata']['name']}"
    held = [*pod["metadata"].get("finalizers", ()), "agentark.dev/test"]
    assert bench.server.request("PATCH", path, {"metadata": {"finalizers": held}}, form=MERGE).status == 200
    try:
        yield path
    finally:
        bench.server.request("PATCH", path, {"metadata": {"finalizers": None}}, form=MERGE)


# --- failures of the work


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_failure_costs_the_backoff_limit_and_the_next_attempt_may_end_well(
    bench: Bench, operator: Operators, player: Player, backend: str
) -> None:
    player.act = in_turn(Play(1, "CUDA error"), Play(1, "loss is nan at step 12"), GOOD, kind="prm")
    found = bench.server.awaited(trained(bench, backend, backoffLimit=2), OVER)
    assert phase(found) == "Succeeded", found["status"]
    prm = stage(found, "prm")
    assert (prm["attempt"], prm["failures"]) == (3, 2) and "interruptions" not in prm
    assert "exit code 1: loss is nan at step 12" in prm["lastFailure"]
    assert sound(player) and health(found) == "Current"


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_fails_too_often_ends_with_its_last_lines(
    bench: Bench, operator: Operators, player: Player, backend: str
) -> None:
    player.act = in_turn(Play(1, "ValueError: lr must be above 0"), kind="prm")
    path = trained(bench, backend, backoffLimit=1)
    found = bench.server.awaited(path, OVER)
    assert phase(found) == "Failed" and health(found) == "Failed"
    failed = condition(found, "Failed")
    assert failed["reason"] == "BackoffLimitExceeded"
    assert failed["message"].startswith("prm: failed 2 times (runPolicy.backoffLimit: 1), mend it and set the annot")
    assert failed["message"].endswith("exit code 1: ValueError: lr must be above 0")
    assert condition(found, "Stalled")["status"] == "True" and condition(found, "Reconciling")["status"] == ""
    assert stage(found, "prm")["attempt"] == 2 and not alive(bench)
    player.act = succeed
    ask_again(bench, path)
    found = bench.server.awaited(path, OVER)
    assert phase(found) == "Succeeded" and stage(found, "prm")["attempt"] == 3, found["status"]
    assert [one["phase"] for one in found["status"]["runs"]] == ["Failed"] and sound(player)


def test_a_process_that_is_killed_at_its_limit_is_told_apart_from_others(
    bench: Bench, operator: Operators, player: Player
) -> None:
    plays = {"memory": Play(137, reason="OOMKilled"), "killed": Play(137), "empty": Play(0, commit=False)}
    player.act = lambda pod: plays[pod["metadata"]["labels"]["agentark.dev/name"]]
    limit = {"spec": {"containers": [{"name": "stage", "resources": {"limits": {"memory": "4Gi"}}}]}}
    paths = {
        name: bench.apply(bench.debate_run(name, pods=limit, protocol=protocol, runPolicy={"backoffLimit": 0}))
        for name, protocol in zip(plays, [{"agents": count, "rounds": 1} for count in (2, 3, 4)], strict=True)
    }
    found = {name: bench.server.awaited(path, OVER) for name, path in paths.items()}
    assert {phase(one) for one in found.values()} == {"Failed"}
    told = {name: condition(one)["message"] for name, one in found.items()}
    assert "OOMKilled: pod" in told["memory"] and "its memory limit of 4Gi; raise resources.limits" in told["memory"]
    assert "Error: pod" in told["killed"] and "exit code 137" in told["killed"]
    assert "NoResult: Job/" in told["empty"] and "ended well, but committed no result" in told["empty"]
    assert {stage(one, "debate")["failures"] for one in found.values()} == {1}
    assert not player.overlaps


@pytest.mark.parametrize("backend", BACKENDS)
def test_invalid_input_is_not_tried_again_until_somebody_asks(
    bench: Bench, operator: Operators, player: Player, backend: str
) -> None:
    player.act = in_turn(Play(2, "questions.jsonl, line 3: no field 'answer'"), GOOD, kind="prm")
    path = trained(bench, backend)
    found = bench.server.awaited(path, OVER)
    assert phase(found) == "Failed" and condition(found, "Failed")["reason"] == "InvalidInput"
    assert condition(found)["message"].endswith("exit code 2: questions.jsonl, line 3: no field 'answer'")
    assert stage(found, "prm")["attempt"] == 1
    ask_again(bench, path)
    found = bench.server.awaited(path, OVER)
    assert phase(found) == "Succeeded" and sound(player)


# --- interruptions


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_interruption_costs_its_own_limit(bench: Bench, operator: Operators, player: Player, backend: str) -> None:
    player.act = in_turn(Play(75), Play(75), GOOD, kind="prm")
    found = bench.server.awaited(trained(bench, backend, backoffLimit=0), OVER)
    assert phase(found) == "Succeeded", found["status"]
    prm = stage(found, "prm")
    assert (prm["attempt"], prm["interruptions"]) == (3, 2) and "failures" not in prm
    assert sound(player)


def test_interruptions_have_a_limit_too(bench: Bench, operator: Operators, player: Player) -> None:
    player.act = in_turn(Play(75, "SIGTERM"))
    found = bench.server.awaited(bench.apply(bench.debate_run("talk", runPolicy={"interruptionLimit": 1})), OVER)
    assert phase(found) == "Failed" and condition(found, "Failed")["reason"] == "InterruptionLimitExceeded"
    assert "was interrupted 2 times (runPolicy.interruptionLimit: 1)" in condition(found)["message"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_evicted_pod_is_an_interruption(bench: Bench, operator: Operators, player: Player, backend: str) -> None:
    player.act = in_turn(Play(None), GOOD, kind="prm")
    path = trained(bench, backend, backoffLimit=0)
    running = running_pod(bench)
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": running["metadata"]["name"]}}
    with lasting(bench, running) as pod:
        assert bench.server.request("POST", f"{pod}/eviction", eviction).status == 201
        found = bench.server.awaited(path, OVER)
    assert phase(found) == "Succeeded" and stage(found, "prm")["interruptions"] == 1, found["status"]
    assert "failures" not in stage(found, "prm") and sound(player)


def test_a_pod_that_is_deleted_by_force_is_an_interruption(bench: Bench, operator: Operators, player: Player) -> None:
    """The Training Operator makes another one under its name at once, which the rest of the training never meets."""
    player.act = in_turn(Play(None), GOOD, kind="prm")
    path = trained(bench, "PyTorchJob", backoffLimit=0)
    name = running_pod(bench)["metadata"]["name"]
    pod = f"/api/v1/namespaces/{bench.namespace}/pods/{name}?gracePeriodSeconds=0"
    assert bench.server.request("DELETE", pod).status == 200
    found = bench.server.awaited(path, OVER)
    assert phase(found) == "Succeeded" and stage(found, "prm")["interruptions"] == 1, found["status"]
    assert stage(found, "prm")["lastFailure"].startswith("PodDeleted: pod ") and sound(player)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("reason", ["DeletionByTaintManager", "PreemptionByScheduler"])
def test_a_lost_node_and_a_preemption_are_interruptions(
    bench: Bench, operator: Operators, player: Player, backend: str, reason: str
) -> None:
    player.act = in_turn(Play(None), GOOD, kind="prm")
    path = trained(bench, backend, backoffLimit=0)
    # What the node lifecycle controller and the scheduler do before they delete the pod.
    told = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "its node was lost"}
    told["lastTransitionTime"] = datetime.now(UTC).isoformat()  # else the disruption controller takes it for an old one
    change = {"status": {"conditions": [told]}}
    with lasting(bench, running_pod(bench)) as pod:
        answer = bench.server.request("PATCH", f"{pod}/status", change, form="application/strategic-merge-patch+json")
        assert answer.status == 200, answer.message
        bench.server.request("DELETE", pod)
        found = bench.server.awaited(path, OVER)
    assert phase(found) == "Succeeded" and "failures" not in stage(found, "prm"), found["status"]
    assert stage(found, "prm")["lastFailure"].startswith(f"{reason}: pod ") and sound(player)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("victim", ["pod", "object"])
def test_what_somebody_deletes_by_hand_comes_again(
    bench: Bench, operator: Operators, player: Player, backend: str, victim: str
) -> None:
    player.act = in_turn(Play(None), GOOD, kind="prm")
    path = trained(bench, backend, backoffLimit=0)
    with lasting(bench, running_pod(bench)) as pod:
        if victim == "pod":
            assert bench.server.request("DELETE", pod).status == 200
            found = bench.server.awaited(path, OVER)
        else:
            objects = bench.pytorchjobs if backend == "PyTorchJob" else bench.jobs
            (child,) = [one for one in objects if one["metadata"]["labels"]["agentark.dev/stage-kind"] == "prm"]
            api = "/apis/kubeflow.org/v1" if backend == "PyTorchJob" else "/apis/batch/v1"
            remove(bench, api, f"{backend.lower()}s", child)
            found = bench.server.awaited(path, OVER)
    assert phase(found) == "Succeeded", found["status"]
    prm = stage(found, "prm")
    assert (prm["attempt"], prm["interruptions"]) == (2, 1) and "failures" not in prm
    assert prm["lastFailure"].startswith("PodDeleted: " if victim == "pod" else "ObjectGone: ")
    assert sound(player)


# --- silence, waits, fences


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_attempt_that_falls_silent_is_replaced(
    bench: Bench, operator: Operators, player: Player, backend: str
) -> None:
    player.act = in_turn(Play(None), GOOD, kind="prm")
    found = bench.server.awaited(trained(bench, backend, stallTimeoutSeconds=4), OVER)
    assert phase(found) == "Succeeded", found["status"]
    prm = stage(found, "prm")
    assert (prm["attempt"], prm["failures"]) == (2, 1)
    assert prm["lastFailure"].startswith("StallDetected: ") and "for 4 s (runPolicy.stallTi" in prm["lastFailure"]
    assert sound(player)


def test_the_last_attempt_that_falls_silent_keeps_no_machine(bench: Bench, operator: Operators, player: Player) -> None:
    player.act = hold
    policy = {"stallTimeoutSeconds": 1, "backoffLimit": 0}
    found = bench.server.awaited(bench.apply(bench.debate_run("talk", runPolicy=policy)), OVER)
    assert phase(found) == "Failed" and "StallDetected" in condition(found)["message"]
    until(lambda: not bench.jobs and not alive(bench))


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_next_attempt_waits_for_the_last_pod_of_the_one_before(
    bench: Bench, operator: Operators, player: Player, backend: str
) -> None:
    def act(pod: Body) -> Play:
        labels, annotations = pod["metadata"]["labels"], pod["metadata"].get("annotations") or {}
        if labels["agentark.dev/stage-kind"] != "prm" or labels["agentark.dev/attempt"] != "1":
            return GOOD
        main = "master" in labels.values() or annotations.get("batch.kubernetes.io/job-completion-index") == "0"
        return Play(1, "boom") if main else Play(None)

    player.act = act
    found = bench.server.awaited(trained(bench, backend), OVER)
    assert phase(found) == "Succeeded" and stage(found, "prm").get("failures") == 1, found["status"]
    assert "exit code 1: boom" in stage(found, "prm")["lastFailure"]
    assert sound(player)


def test_nothing_begins_while_a_pod_hangs_on_a_lost_node(bench: Bench, operator: Operators, player: Player) -> None:
    """A node that nobody plays: its pods never end, as far as the API server hears."""
    player.act = hold
    room = {"cpu": "8", "memory": "8Gi", "pods": "10", "ephemeral-storage": "8Gi"}
    name = f"lost-{bench.namespace}"
    mark = [{"key": "lost", "value": bench.namespace, "effect": "NoSchedule"}]
    node = {"metadata": {"name": name, "labels": {"lost": bench.namespace}}, "status": {"allocatable": room}}
    assert bench.server.request("POST", "/api/v1/nodes", node).status == 201
    bench.server.request("PATCH", f"/api/v1/nodes/{name}", {"spec": {"taints": mark}}, form=MERGE)
    there = {"nodeSelector": {"lost": bench.namespace}, "tolerations": [{"key": "lost", "operator": "Exists"}]}
    path = bench.apply(bench.debate_run("talk", pods={"spec": there}))
    until(lambda: [pod for pod in bench.pods if pod["spec"].get("nodeName")])
    (pod,) = bench.pods
    where = f"/api/v1/namespaces/{bench.namespace}/pods/{pod['metadata']['name']}"
    started = {"status": {"phase": "Running", "startTime": pod["metadata"]["creationTimestamp"]}}
    assert bench.server.request("PATCH", f"{where}/status", started, form=MERGE).status == 200
    bench.server.awaited(path, settled("Running"))
    (job,) = bench.jobs
    remove(bench, "/apis/batch/v1", "jobs", job)
    found = bench.server.awaited(path, lambda one: condition(one)["reason"] == "PodsEnding")
    assert "attempt 2 begins when the last pod has ended; if their node is lost" in condition(found)["message"]
    change(bench, path, {"pods": None})
    found = bench.server.awaited(path, settled("Pending"))
    assert condition(found)["reason"] == "PodsEnding" and not bench.jobs
    # What the message says.
    player.act = succeed
    assert bench.server.request("DELETE", where, {"gracePeriodSeconds": 0}).status == 200
    found = bench.server.awaited(path, OVER)
    assert phase(found) == "Succeeded" and stage(found, "debate")["attempt"] == 2 and sound(player)
    bench.server.request("DELETE", f"/api/v1/nodes/{name}")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_preemption_by_the_real_scheduler_is_an_interruption(
    bench: Bench, operator: Operators, player: Player, playground: Playground, backend: str
) -> None:
    label = {"only": bench.namespace}
    playground.add_node(f"small-{bench.namespace}", gpus=2, labels=label)
    urgent = {"metadata": {"name": bench.namespace}, "value": 1000}
    assert bench.server.request("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", urgent).status == 201
    player.act = in_turn(Play(None), GOOD, kind="prm")
    training = {"backend": backend, "gpusPerNode": 2}
    pods = {"spec": {"nodeSelector": label}}
    path = bench.apply(bench.prm_training("scores", training=training, pods=pods, runPolicy={"backoffLimit": 0}))
    until(lambda: player.alive == 1 and [pod for pod in bench.pods if trains(pod) and runs(pod)])
    (victim,) = [pod for pod in bench.pods if trains(pod) and runs(pod)]
    other = important(bench.namespace, label)
    where = f"/api/v1/namespaces/{bench.namespace}/pods"
    with lasting(bench, victim):
        assert bench.server.request("POST", where, other).status == 201
        bench.server.awaited(path, lambda one: "interruptions" in stage(one, "prm"))
    waits = bench.server.awaited(path, lambda one: condition(one)["reason"] == "Unschedulable")
    assert stage(waits, "prm")["interruptions"] == 1 and "Insufficient nvidia.com/gpu" in condition(waits)["message"]
    bench.server.request("DELETE", f"{where}/{other['metadata']['name']}")
    found = bench.server.awaited(path, OVER)
    assert phase(found) == "Succeeded" and "failures" not in stage(found, "prm"), found["status"]
    assert sound(player)
    for one in (
        f"/api/v1/nodes/small-{bench.namespace}",
        f"/apis/scheduling.k8s.io/v1/priorityclasses/{bench.namespace}",
    ):
        bench.server.request("DELETE", one)


def trains(pod: Body) -> bool:
    return pod["metadata"].get("labels", {}).get("agentark.dev/stage-kind") == "prm"


def runs(pod: Body) -> bool:
    return bool(pod["status"]["phase"] == "Running")


def important(priority: str, node: Body) -> Body:
    """A pod of somebody else's that goes first, and takes both GPUs of a node."""
    rights = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True}
    rights["seccompProfile"] = {"type": "RuntimeDefault"}
    container = {"name": "a", "image": "a", "securityContext": rights}
    container["resources"] = {"limits": {"nvidia.com/gpu": "2"}}
    spec = {"priorityClassName": priority, "nodeSelector": node, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "important"}, "spec": spec}


def test_an_image_that_cannot_be_pulled_is_named_and_costs_nothing(
    bench: Bench, operator: Operators, player: Player
) -> None:
    pods = {"spec": {"containers": [{"name": "stage", "image": MISSING_IMAGE}]}}
    path = bench.apply(bench.debate_run("talk", pods=pods))
    found = bench.server.awaited(path, lambda one: condition(one)["reason"] == "ImagePullBackOff")
    assert phase(found) == "Pending" and health(found) == "InProgress"
    assert f"image '{MISSING_IMAGE}' cannot be pulled" in condition(found)["message"]
    assert "failures" not in stage(found, "debate")
    answer = bench.server.request("PATCH", path, {"spec": {"pods": None}}, form=MERGE)
    assert answer.status == 200
    assert phase(bench.server.awaited(path, OVER)) == "Succeeded" and sound(player)


# --- embedded resources


def test_a_failure_of_what_a_job_embeds_is_the_job_s_and_so_is_the_next_try(
    bench: Bench, operator: Operators, player: Player
) -> None:
    player.act = in_turn(Play(2, "no column answer"), GOOD, kind="debate")
    path = bench.apply(bench.distill_job("student", "PAD", training={"backend": "Job"}))
    found = bench.server.awaited(path, OVER)
    assert phase(found) == "Failed" and health(found) == "Failed"
    assert condition(found, "Failed")["reason"] == "InvalidInput"
    assert "debate: DebateRun/student-debate failed: debate: is not tried again" in condition(found)["message"]
    assert "no column answer" in condition(found)["message"]
    ask_again(bench, path)
    found = bench.server.awaited(path, OVER)
    assert phase(found) == "Succeeded", found["status"]
    debate = bench.server.request("GET", bench.path("DebateRun", "student-debate")).body
    assert debate["status"]["requestedAt"] == found["status"]["requestedAt"] and sound(player)
