"""What Prometheus sees of resources and pods, from their statuses alone."""

from decimal import Decimal
from typing import Any

from agentark_operator.informers.resources import Body, Key
from agentark_operator.metrics.endings import Ending
from agentark_operator.metrics.telemetry import Telemetry

from agentark.api import OPERATOR
from tests.telemetry.scraping import Samples, names, samples, value

JOB = Key("DistillJob", "team", "math")
OF_JOB = {"kind": "DistillJob", "namespace": "team", "name": "math"}


def resource(key: Key, spec: dict[str, Any] | None = None, **status: Any) -> tuple[Key, Body]:
    metadata = {"name": key.name, "namespace": key.namespace, "uid": "u"}
    return key, {"kind": key.kind, "metadata": metadata, "spec": spec or {}, "status": status}


def condition(type: str, status: str, reason: str) -> dict[str, str]:
    return {"type": type, "status": status, "reason": reason}


def running(**more: Any) -> tuple[Key, Body]:
    """A job on its way."""
    status: dict[str, Any] = {
        "phase": "Running",
        "runId": "math-0a",
        "startedAt": "2026-01-01T00:00:00Z",
        "currentStage": "distill/PAD",
        "progress": {"percent": 40, "done": 4, "total": 10, "remainingSeconds": 90},
        "conditions": [condition("Ready", "False", "StageRunning"), condition("Reconciling", "True", "StageRunning")],
        "stages": [
            {"name": "debate", "kind": "debate", "key": "0", "state": "Done", "failures": 1, "interruptions": 2},
            {"name": "distill/PAD", "kind": "distill", "key": "1", "state": "Running", "failures": 1},
        ],
        "usage": {"tokens": 700, "gpuSeconds": 60, "cost": "1.50", "currency": "EUR"},
    }
    return resource(JOB, {"methods": ["RSFT", "PAD"], "runPolicy": {"stallTimeoutSeconds": 120}}, **(status | more))


def pod(namespace: str, phase: str = "Running", node: str = "n1", **requests: str) -> Body:
    asked = {name.replace("gpu", "nvidia.com/gpu"): text for name, text in requests.items()}
    containers = [{"name": "stage", "resources": {"requests": asked}}]
    spec = {"containers": containers} | ({"nodeName": node} if node else {})
    return {"metadata": {"name": "p", "namespace": namespace}, "spec": spec, "status": {"phase": phase}}


def shown(telemetry: Telemetry, *resources: tuple[Key, Body], pods: tuple[Body, ...] = ()) -> Samples:
    return samples(telemetry.render(resources, pods, 0).decode())


def test_a_run_on_its_way() -> None:
    telemetry = Telemetry(prices={"nvidia.com/gpu": Decimal(90)}, currency="EUR")
    telemetry.heard(JOB, {"distill/PAD": 1000.0})
    found = shown(telemetry, running())
    assert value(found, "agentark_run_info", **OF_JOB, run_id="math-0a", phase="Running", methods="RSFT+PAD") == 1
    assert value(found, "agentark_run_start_timestamp_seconds", **OF_JOB) == 1767225600
    assert value(found, "agentark_run_progress_ratio", **OF_JOB, stage_name="distill/PAD") == 0.4
    assert value(found, "agentark_run_remaining_seconds", **OF_JOB, stage_name="distill/PAD") == 90
    assert value(found, "agentark_run_heartbeat_timestamp_seconds", **OF_JOB, stage_name="distill/PAD") == 1000
    assert value(found, "agentark_run_stall_timeout_seconds", **OF_JOB) == 120
    assert value(found, "agentark_run_failed_attempts", **OF_JOB, outcome="Failed") == 2
    assert value(found, "agentark_run_failed_attempts", **OF_JOB, outcome="Interrupted") == 2
    assert value(found, "agentark_run_tokens", **OF_JOB) == 700
    assert value(found, "agentark_run_gpu_seconds", **OF_JOB) == 60
    assert value(found, "agentark_run_cost", **OF_JOB, currency="EUR") == 1.5
    assert value(found, "agentark_condition", **OF_JOB, type="Ready", status="False", reason="StageRunning") == 1
    assert value(found, "agentark_resources", kind="DistillJob", namespace="team", phase="Running") == 1
    assert "agentark_run_completed_timestamp_seconds" not in names(found)


def test_a_run_that_ended_shows_its_scores_and_waits_for_nothing() -> None:
    score = {"suite": "gsm8k", "metric": "accuracy", "subject": "student", "value": "0.6", "low": "0.5", "high": "0.7"}
    _, body = running(phase="Succeeded", completedAt="2026-01-01T01:00:00Z", scores=[score])
    del body["status"]["progress"], body["status"]["currentStage"]
    found = shown(Telemetry(), (JOB, body))
    labels = {**OF_JOB, "suite": "gsm8k", "metric": "accuracy", "subject": "student"}
    assert [value(found, f"agentark_eval_score{end}", **labels) for end in ("", "_low", "_high")] == [0.6, 0.5, 0.7]
    assert value(found, "agentark_run_completed_timestamp_seconds", **OF_JOB) == 1767229200
    assert not {"agentark_run_progress_ratio", "agentark_run_stall_timeout_seconds"} & names(found)


def test_what_is_not_reconciled_yet_or_another_s_to_look_after() -> None:
    mine = resource(Key("DebateRun", "team", "new"), {"runPolicy": {"managedBy": OPERATOR}})
    theirs = resource(Key("DebateRun", "team", "other"), {"runPolicy": {"managedBy": "kueue.x-k8s.io/multikueue"}})
    found = shown(Telemetry(), mine, theirs)
    assert value(found, "agentark_resources", kind="DebateRun", namespace="team", phase="Unknown") == 1


def test_a_release_shows_its_version_and_whether_it_is_ready() -> None:
    key = Key("ModelRelease", "team", "student")
    ready = {"conditions": [condition("Ready", "True", "Newest")], "current": {"version": 3}}
    stalled = {"conditions": [condition("Ready", "False", "VersionNotFound"), condition("Stalled", "True", "x")]}
    found = shown(Telemetry(), resource(key, **ready), resource(Key("ModelRelease", "team", "wrong"), **stalled))
    release = {"kind": "ModelRelease", "namespace": "team"}
    assert value(found, "agentark_release_current_version", **release, name="student") == 3
    assert value(found, "agentark_resources", **release, phase="Ready") == 1
    assert value(found, "agentark_resources", **release, phase="Failed") == 1


def test_what_goes_leaves_no_series_behind() -> None:
    telemetry = Telemetry()
    telemetry.heard(JOB, {"debate": 1.0})
    telemetry.ended(JOB, ending(gpu_seconds=60, release="math-student"))
    before = telemetry.render([running()], [], 0).decode()
    assert before.count('name="math"') > 10
    assert "math" not in telemetry.render([], [], 0).decode()
    assert 'name="math"' not in telemetry.render([resource(JOB)], [], 0).decode(), "nor does one made anew inherit them"


def ending(**changes: Any) -> Ending:
    given: dict[str, Any] = {
        "stage": "release",
        "name": "release",
        "attempt": 1,
        "outcome": "Succeeded",
        "reason": "Succeeded",
        "backend": "Job",
        "seconds": 1.0,
        "waited_s": 1.0,
        "gpu_seconds": 0,
    }
    return Ending(**(given | changes))


def test_a_refusal_is_seen_to_grow_from_nought() -> None:
    telemetry = Telemetry()
    job = resource(JOB, {"release": {"name": "math-student"}})
    labels = {"namespace": "team", "name": "math", "release": "math-student"}
    for decision in ("Released", "Refused"):
        assert value(shown(telemetry, job), "agentark_promotions_total", **labels, decision=decision) == 0
    telemetry.ended(JOB, ending(release="math-student", released=False))
    found = shown(telemetry, job)
    assert value(found, "agentark_promotions_total", **labels, decision="Refused") == 1
    assert value(found, "agentark_promotions_total", **labels, decision="Released") == 0


def test_runs_and_requests_to_stores_are_seen_to_grow_from_nought() -> None:
    telemetry = Telemetry()
    found = shown(telemetry, running())
    assert value(found, "agentark_runs_total", kind="DistillJob", namespace="team", phase="Failed") == 0
    assert value(found, "agentark_storage_requests_total", op="read", outcome="Failed") == 0
    telemetry.stored("read", "Failed", 0.3)
    found = shown(telemetry)
    assert value(found, "agentark_storage_requests_total", op="read", outcome="Failed") == 1
    assert value(found, "agentark_storage_request_duration_seconds_sum", op="read") == 0.3


def test_what_pods_hold_and_cost_while_they_hold_it() -> None:
    now = [0.0]
    prices = {"nvidia.com/gpu": Decimal("2.50"), "cpu": Decimal("0.10")}
    telemetry = Telemetry(prices=prices, currency="EUR", budget=Decimal(20), clock=lambda: now[0])
    busy = (
        pod("team", gpu="2", cpu="500m"),
        pod("team", phase="Pending", gpu="1"),  # has its node, and so its GPU
        pod("team", phase="Pending", node="", gpu="8"),
        pod("team", phase="Succeeded", gpu="8"),
        pod("other", cpu="2", memory="1Gi"),
    )
    found = shown(telemetry, running(), pods=busy)
    assert value(found, "agentark_held", namespace="team", resource="nvidia.com/gpu") == 3
    assert value(found, "agentark_held", namespace="team", resource="cpu") == 0.5
    assert value(found, "agentark_held", namespace="other", resource="cpu") == 2
    assert value(found, "agentark_cost_total", namespace="team", currency="EUR") == 0
    now[0] = 3600.0
    found = shown(telemetry, running(), pods=busy)
    assert value(found, "agentark_cost_total", namespace="team", currency="EUR") == 3 * 2.5 + 0.5 * 0.1
    assert value(found, "agentark_cost_total", namespace="other", currency="EUR") == 0.2
    now[0] = 7200.0
    found = shown(telemetry, running())
    assert value(found, "agentark_held", namespace="team", resource="nvidia.com/gpu") == 0
    assert value(found, "agentark_held", namespace="other", resource="cpu") is None
    assert value(found, "agentark_cost_total", namespace="team", currency="EUR") == 1.5 * (3 * 2.5 + 0.5 * 0.1)
    assert value(found, "agentark_budget_per_hour", currency="EUR") == 20


def test_without_prices_and_budget_nothing_is_said_of_money() -> None:
    found = shown(Telemetry(), running(), pods=(pod("team", gpu="1"),))
    assert value(found, "agentark_held", namespace="team", resource="nvidia.com/gpu") == 1
    assert not {"agentark_cost_total", "agentark_budget_per_hour", "agentark_run_cost"} & names(found)


def test_a_run_that_has_used_nothing_yet_shows_nought() -> None:
    _, body = running()
    del body["status"]["usage"]
    found = shown(Telemetry(prices={"cpu": Decimal(1)}, currency="EUR"), (JOB, body))
    assert value(found, "agentark_run_tokens", **OF_JOB) == value(found, "agentark_run_gpu_seconds", **OF_JOB) == 0
    assert value(found, "agentark_run_cost", **OF_JOB, currency="EUR") == 0
