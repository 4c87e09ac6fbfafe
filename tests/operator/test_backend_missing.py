"""A backend that is not installed is named with the command that installs it, and the resource goes on once it is."""

from pathlib import Path

import pytest

from agentark.api import KINDS
from agentark.planning import pin_addresses
from agentark.planning import plan as lay_out
from agentark.store import open_store
from tests.operator.kstatus import health
from tests.operator.running import Bench, Operators, condition
from tests.servers.kubernetes import ApiServer, define
from tests.servers.s3 import S3Server
from tests.servers.stage_command import StageCommand
from tests.servers.stage_results import commit_result
from tests.servers.training_operator import definitions

CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/pytorchjobs.kubeflow.org"


def test_it_waits_for_a_person_and_goes_on(cluster: ApiServer, minio_server: S3Server, tmp_path: Path) -> None:
    if cluster.request("GET", CRD).status == 200:
        pytest.fail("this server has PyTorchJobs already")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bare"}}
    assert cluster.apply("/api/v1/namespaces/bare", namespace).status == 201
    bench = Bench(cluster, minio_server, "bare")
    bench.prepare(tmp_path)
    made = bench.prm_training("scores")
    keep_all_but_the_training(bench, made)
    with Operators(cluster, tmp_path / "operator").running():
        path = bench.apply(made)
        found = cluster.awaited(path, lambda one: condition(one)["reason"] == "BackendNotInstalled")
        assert "kubectl apply" in condition(found)["message"] and "training.backend: Job" in condition(found)["message"]
        assert health(found) == "Failed", "a person has to do something"
        (definition,) = [one for one in definitions() if one["metadata"]["name"] == "pytorchjobs.kubeflow.org"]
        define(cluster, definition)
        cluster.awaited(path, lambda one: "PyTorchJob/" in str(one["status"]), within_s=120)
        assert len(bench.pytorchjobs) == 1
    cluster.request("DELETE", path)
    cluster.request("DELETE", CRD)


def keep_all_but_the_training(bench: Bench, made: dict[str, object]) -> None:
    """Commit made-up results of the stages before the training."""
    resource = KINDS["PRMTraining"].model_validate(made)
    access = {"access_key": bench.s3.access_key, "secret_key": bench.s3.secret_key, "region": "us-east-1"}
    source = resource.spec.store
    assert source is not None

    def opened(uri: str) -> object:
        return open_store(uri, endpoint=bench.s3.endpoint, **access)

    store = opened(source.uri)
    pins = pin_addresses([resource], base=Path("/nonexistent"), store=store, source=source, opened=opened)
    plan = lay_out(resource, pins)
    for stage in plan.stages:
        if stage.kind != "prm":
            command = StageCommand(stage.kind, stage.key, source.uri)
            assert commit_result(store, command, plan=plan, metrics={}, outputs={})
