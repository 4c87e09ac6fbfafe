"""What people are told in events: each thing once, by the reason that the condition has, and nothing of no account."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from agentark_operator.status.events import event, happenings, release_happenings

from tests.operator.running import KUBECTL, Bench, Operators, phase
from tests.servers.audit import WRITES
from tests.servers.player import Player
from tests.servers.playground import Playground

T0, T1 = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"


def condition(type: str, status: bool, reason: str, message: str = "so it is", at: str = T0) -> dict[str, Any]:
    about = {"reason": reason, "message": message, "lastTransitionTime": at}
    return {"type": type, "status": "True" if status else "False", **about}


def waits(reason: str, message: str = "so it is", **more: Any) -> dict[str, Any]:
    conditions = [condition("Ready", False, reason, message), condition("Reconciling", True, reason, message)]
    return {"phase": "Pending", "conditions": conditions, **more}


def runs(reason: str = "StageRunning", *stages: dict[str, Any], **more: Any) -> dict[str, Any]:
    about = {"runId": "talk-1", "startedAt": T0, "currentStage": "debate", "stages": list(stages or [stage()])}
    return waits(reason, "debate: so it is") | {"phase": "Running"} | about | more


def stage(**more: Any) -> dict[str, Any]:
    return {"name": "debate", "kind": "debate", "key": "0123456789abcdef", "state": "Running", **more}


def complete(**more: Any) -> dict[str, Any]:
    conditions = [
        condition("Ready", True, "Complete"),
        condition("Complete", True, "Complete", "all 1 stages are done"),
    ]
    about = {"runId": "talk-1", "startedAt": T0, "stages": [stage(state="Done")]}
    return {"phase": "Succeeded", "conditions": conditions, **about, **more}


def fails(reason: str, message: str) -> dict[str, Any]:
    found = [condition(type, True, reason, message) for type in ("Failed", "Stalled")]
    conditions = [condition("Ready", False, reason, message), *found]
    return runs() | {"phase": "Failed", "conditions": conditions}


SUSPENDED = runs("Suspended") | {
    "phase": "Suspended",
    "conditions": [condition("Ready", False, "Suspended"), condition("Suspended", True, "Suspended")],
}
RETRIED = stage(state="Waiting", counted=1, failures=1, lastFailure="Error: exit code 1", nextAttemptAt=T1)
EVICTED = stage(counted=1, interruptions=1, lastFailure="Evicted: by the kubelet")
Told = list[tuple[str, str, str]]

TABLE: dict[str, tuple[dict[str, Any], dict[str, Any], Told]] = {
    "the first status of a run": (
        {"observedGeneration": -1},
        runs("Starting", stage(state="Cached"), stage(key="b")),
        [("Normal", "Started", "run talk-1 of 2 stages, 1 of them found in the store")],
    ),
    "pods come and run": (runs("Starting"), runs("StageRunning", stage(attempt=1)), []),
    "it is on its way": (runs("NoPods"), runs("WaitingForQuota"), []),
    "progress": (runs(), runs(progress={"percent": 50}), []),
    "done": (runs(), complete(score="0.7500"), [("Normal", "Complete", "all 1 stages are done; score 0.7500")]),
    "all found in the store": ({}, complete(), [("Normal", "Complete", "all 1 stages are done")]),
    "another run, all found in the store": (complete(), complete(runId="talk-2"), [("Normal", "Complete", "all 1")]),
    "another run, after one that was through": (
        complete(),
        runs(runId="talk-2", startedAt=T1),
        [("Normal", "Started", "run talk-2 of 1 stage, 0 of them found in the store")],
    ),
    "another run, in place of one that ran": (
        runs(),
        runs(runId="talk-2", startedAt=T1),
        [("Normal", "Superseded", "run talk-1 has given way to run talk-2"), ("Normal", "Started", "run talk-2")],
    ),
    "an attempt that failed": (
        runs("StageRunning", stage(attempt=1)),
        runs("Retrying", RETRIED),
        [("Warning", "Retrying", f"debate: attempt 1 ended, Error: exit code 1; the next begins at {T1}")],
    ),
    "it still waits for its next attempt": (runs("Retrying", RETRIED), runs("Retrying", RETRIED), []),
    "an eviction, and the next attempt begins at once": (
        runs(),
        runs("Starting", EVICTED),
        [("Warning", "Retrying", "debate: attempt 1 ended, Evicted: by the kubelet")],
    ),
    "a failure for good": (
        runs("Retrying", RETRIED),
        fails("BackoffLimitExceeded", "debate: failed 2 times"),
        [("Warning", "BackoffLimitExceeded", "debate: failed 2 times")],
    ),
    "a store that is down": (
        runs(),
        runs("StoreUnavailable"),
        [("Warning", "StoreUnavailable", "debate: so it is")],
    ),
    "it is still down, in other words": (runs("StoreUnavailable"), waits("StoreUnavailable", "in other words"), []),
    "it is there again": (runs("StoreUnavailable"), runs(), []),
    "one thing in the way after another": (
        waits("InputNotReady"),
        waits("StoreUnavailable"),
        [("Warning", "StoreUnavailable", "so it is")],
    ),
    "a spec that cannot be run": ({}, waits("InvalidSpec"), [("Warning", "InvalidSpec", "so it is")]),
    "a node that nobody has": (runs("NoPods"), runs("Unschedulable"), [("Warning", "Unschedulable", "debate: so")]),
    "what only a kubelet knows": (runs(), runs("SomethingNew"), [("Warning", "SomethingNew", "debate: so it is")]),
    "what it refers to is not there": ({}, waits("DependencyNotReady"), [("Warning", "DependencyNotReady", "so it")]),
    "what it refers to is being worked on": (runs(), runs("DependencyNotReady"), []),
    "rest": (runs(), SUSPENDED, [("Normal", "Suspended", "so it is")]),
    "and on": (SUSPENDED, runs("Resumed"), [("Normal", "Resumed", "spec.suspend is false")]),
}


@pytest.mark.parametrize("case", TABLE)
def test_what_is_told_of_a_run(case: str) -> None:
    before, after, expected = TABLE[case]
    found = [(one.type, one.reason, one.message) for one in happenings(before, after)]
    assert [one[:2] for one in found] == [one[:2] for one in expected]
    assert all(one[2].startswith(other[2]) for one, other in zip(found, expected, strict=True)), found
    assert happenings(after, after) == []


def test_another_current_version_of_a_release_is_told() -> None:
    def release(version: int, reason: str = "Newest") -> dict[str, Any]:
        ready = condition("Ready", True, reason, f"version {version} is the current one")
        return {"current": {"version": version, "score": "0.7500"}, "conditions": [ready]}

    (first,) = release_happenings({}, release(1))
    assert (first.type, first.reason) == ("Normal", "Newest")
    assert first.message == "version 1 is the current one; score 0.7500"
    assert [one.reason for one in release_happenings(release(2), release(1, "Chosen"))] == ["Chosen"]
    assert release_happenings(release(2), release(2, "Chosen")) == []
    (wrong,) = release_happenings(release(1), release(1) | waits("DigestMismatch"))
    assert (wrong.type, wrong.reason) == ("Warning", "DigestMismatch")


def test_what_is_told_twice_has_one_name_and_what_happens_twice_has_two() -> None:
    metadata = {"name": "talk", "namespace": "team", "uid": "1"}
    resource = {"apiVersion": "agentark.dev/v1alpha1", "kind": "DebateRun", "metadata": metadata}

    def names(before: dict[str, Any], after: dict[str, Any], now: str = T0) -> list[str]:
        return [event(resource, one, now=now)["metadata"]["name"] for one in happenings(before, after)]

    assert names(runs(), SUSPENDED) == names(runs("Starting"), SUSPENDED, T1)
    later = SUSPENDED | {"conditions": [one | {"lastTransitionTime": T1} for one in SUSPENDED["conditions"]]}
    assert names(runs(), SUSPENDED) != names(runs(), later)
    assert names(SUSPENDED, runs()) != names(later, runs())
    (made,) = (event(resource, one, now=T0) for one in happenings(runs(), fails("Error", "x" * 5000)))
    assert len(made["message"]) == 1024 and made["message"].endswith("...")
    assert made["involvedObject"]["uid"] == "1" and made["source"] == {"component": "agentark-operator"}


def test_kubectl_shows_what_happened_and_it_costs_few_writes(
    bench: Bench, operators: Operators, player: Player, playground: Playground, tmp_path: Path
) -> None:
    mark = playground.audit.mark()
    made = bench.debate_run("talk", runPolicy={"ttlSecondsAfterFinished": 0})
    with operators.running():
        path = bench.apply(made)
        done = bench.server.awaited(path, lambda one: phase(one) == "Succeeded")
        kind, _, name = done["status"]["stages"][0]["object"].partition("/")
        assert kind == "Job"
        bench.gone(f"/apis/batch/v1/namespaces/{bench.namespace}/jobs/{name}")
    told = [one for one in bench.listed("/api/v1", "events") if one["involvedObject"]["kind"] == "DebateRun"]
    found = sorted((one["reason"], one["type"], one["source"]["component"], one["count"]) for one in told)
    assert found == [("Complete", "Normal", "agentark-operator", 1), ("Started", "Normal", "agentark-operator", 1)]
    kubeconfig = bench.server.kubeconfig(tmp_path / "admin")
    command = [
        str(KUBECTL),
        "--kubeconfig",
        str(kubeconfig),
        "-n",
        bench.namespace,
        "events",
        "--for",
        "debaterun/talk",
    ]
    shown = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert "Started" in shown and "Complete" in shown, shown
    account = f"system:serviceaccount:{bench.namespace}:agentark-operator"
    writes = [one for one in playground.audit.requests(since=mark) if one.user == account and one.verb in WRITES]
    assert len(writes) <= 8, [(one.verb, one.resource, one.subresource, one.code) for one in writes]
