"""Resources end as if nothing had happened: `benchmarks/operator_chaos.py` at a size for every day; single blows."""

from pathlib import Path

import pytest
from agentark_operator.attempts.workload import MANAGED_BY, MANAGER

from benchmarks.chaos.bucket import bucket
from benchmarks.chaos.disturbances import Amount
from benchmarks.operator_chaos import ROOT, Surroundings, compare
from tests.operator.running import Bench, Operators, phase
from tests.servers.player import Play, Player
from tests.servers.playground import playground

POD = {"spec": {"restartPolicy": "Never", "containers": [{"name": "stage", "image": "none"}]}}
SEED = 7
AMOUNT = Amount(kills=12, restarts=1, store_down_s=6.0, faults=0.2, removals=8)


def test_an_operator_makes_what_the_last_one_had_no_time_for(
    bench: Bench, operators: Operators, player: Player
) -> None:
    player.act = lambda pod: Play(exit_code=None if "-prm-" in pod["metadata"]["name"] else 0)
    path = bench.apply(bench.prm_training("scores", training={"backend": "Job", "nodes": 2}))
    with operators.running():
        bench.server.awaited(path, lambda one: one.get("status", {}).get("currentStage") == "prm" and runs(one))
        (service,) = bench.listed("/api/v1", "services")
    # As if the operator had been killed between the Job and the Service that gives its pods their names.
    place = f"/api/v1/namespaces/{bench.namespace}/services/{service['metadata']['name']}"
    bench.server.request("DELETE", place)
    with operators.running():
        found = bench.server.awaited(place, lambda one: one["metadata"]["uid"] != service["metadata"]["uid"])
    assert found["spec"]["selector"] == service["spec"]["selector"]
    assert found["metadata"]["ownerReferences"] == service["metadata"]["ownerReferences"]


def test_what_a_former_resource_of_the_name_left_behind_goes(
    bench: Bench, operators: Operators, player: Player
) -> None:
    # The garbage collector misses a resource that is deleted and made anew while it does not watch.
    former = {"kind": "DistillJob", "name": "student", "uid": "11111111-2222-3333-4444-555555555555"}
    labels = {MANAGED_BY: MANAGER} | {f"agentark.dev/{name}": value for name, value in former.items()}
    debate = bench.debate_run("student-debate", suspend=True)
    debate["metadata"]["labels"] = labels
    bench.apply(debate)
    job = f"/apis/batch/v1/namespaces/{bench.namespace}/jobs/student-left"
    content = {"metadata": {"name": "student-left", "labels": labels}, "spec": {"suspend": True, "template": POD}}
    assert bench.server.request("POST", job.rsplit("/", 1)[0], content).status == 201
    path = bench.apply(bench.distill_job("student"))
    with operators.running():
        found = bench.server.awaited(path, lambda one: phase(one) in ("Succeeded", "Failed"))
    assert phase(found) == "Succeeded", found["status"]
    assert bench.server.request("GET", job).status == 404
    made = bench.server.request("GET", bench.path("DebateRun", "student-debate")).body
    assert made["metadata"]["ownerReferences"][0]["uid"] == found["metadata"]["uid"]


def runs(resource: dict[str, object]) -> bool:
    return phase(resource) == "Running"


@pytest.mark.built("playground", "minio_server")
def test_chaos_changes_no_end(tmp_path: Path) -> None:
    for name in ("cluster", "s3"):
        (tmp_path / name).mkdir()
    # A cluster of its own: after the restart, controllers take half a minute to look again.
    with playground(tmp_path / "cluster", ROOT / "crds") as cluster, bucket(tmp_path / "s3") as store:
        surroundings = Surroundings(cluster, store, tmp_path / "runs", SEED, ttl_s=4)
        found = compare(surroundings, 8, AMOUNT, patience_s=60.0)
    assert not found["differences"], found
    done = found["disturbed"]
    assert done["kills"] == AMOUNT.kills and sum(done["faults"].values()) > 20, done
    assert done["stages_completed"] == found["undisturbed"]["stages_completed"], found
