"""The whole life of resources on real controllers and simulated pods: from `kubectl apply` to Succeeded."""

import json

from tests.operator.kstatus import health
from tests.operator.running import Bench, Operators, condition, phase, states
from tests.servers.player import Play, Player


def succeeded(resource: dict[str, object]) -> bool:
    return phase(resource) in ("Succeeded", "Failed")


def test_a_debate_runs_in_a_job(bench: Bench, operators: Operators, player: Player) -> None:
    with operators.running():
        found = bench.server.awaited(bench.apply(bench.debate_run("talk")), succeeded)
    assert phase(found) == "Succeeded", found["status"]
    assert states(found) == {"debate": "Done"} and health(found) == "Current"
    assert found["status"]["usage"]["tokens"] == 7200
    (job,) = bench.jobs
    assert job["metadata"]["ownerReferences"][0]["name"] == "talk"
    assert "finalizers" not in found["metadata"] and "annotations" not in found["metadata"]


def test_a_reward_model_trains_in_a_pytorchjob_after_its_debate(
    bench: Bench, operators: Operators, player: Player
) -> None:
    training = {"nodes": 2, "gpusPerNode": 1}
    player.act = lambda pod: Play(delay_s=2.0)
    with operators.running(AGENTARK_PRICES="nvidia.com/gpu=3600", AGENTARK_LOG_FORMAT="json"):
        found = bench.server.awaited(bench.apply(bench.prm_training("scores", training=training)), succeeded)
        ended = f'agentark_runs_total{{kind="PRMTraining",namespace="{bench.namespace}",phase="Succeeded"}} 1.0'
        metrics = operators.metrics(once=ended)
    assert phase(found) == "Succeeded", found["status"]
    usage = found["status"]["usage"]
    assert usage["gpuSeconds"] >= 2 and float(usage["cost"]) == usage["gpuSeconds"] and usage["currency"] == "USD"
    labels = 'kind="PRMTraining",outcome="Succeeded",reason="Succeeded",stage="prm"'
    assert f"agentark_stage_attempts_total{{{labels}}} 1.0" in metrics
    assert 'agentark_stage_cache_total{kind="PRMTraining",result="miss",stage="prm"} 1.0' in metrics
    assert 'agentark_queue_wait_seconds_count{backend="PyTorchJob"} 1.0' in metrics
    lines = [json.loads(line) for line in operators.log.splitlines()]
    (line,) = [one for one in lines if one.get("stage") == "prm" and one["message"] == "attempt ended"]
    assert line["resource"] == f"PRMTraining/{bench.namespace}/scores" and line["run"] == found["status"]["runId"]
    assert set(states(found).values()) == {"Done"}
    (training_job,) = bench.pytorchjobs
    assert training_job["spec"]["pytorchReplicaSpecs"]["Worker"]["replicas"] == 1
    assert not player.overlaps and set(player.commits.values()) == {1}


def test_a_job_gives_its_debate_and_reward_model_to_resources_of_their_own(
    bench: Bench, operators: Operators, player: Player
) -> None:
    with operators.running():
        path = bench.apply(bench.distill_job("student", "RSFT", "PAD", training={"backend": "Job"}))
        found = bench.server.awaited(path, succeeded)
        assert phase(found) == "Succeeded", found["status"]
        debate = bench.server.request("GET", bench.path("DebateRun", "student-debate")).body
        reward = bench.server.request("GET", bench.path("PRMTraining", "student-prm")).body
    assert phase(debate) == phase(reward) == "Succeeded"
    assert set(states(found).values()) <= {"Done", "Cached"}
    assert found["status"]["score"] == "0.7500"
    assert debate["metadata"]["ownerReferences"][0]["kind"] == "DistillJob"
    assert not player.overlaps and set(player.commits.values()) == {1}
    assert condition(found)["reason"] == "Complete"
