"""What a cluster puts in a run's way: the condition names it, and the run goes on once it is out of the way."""

import pytest

from tests.operator.mending import succeeds, waiting
from tests.operator.running import Bench, Operators
from tests.servers import kwok
from tests.servers.player import Player
from tests.servers.playground import GPUS, Playground


def quota(bench: Bench, **hard: str) -> str:
    path = f"/api/v1/namespaces/{bench.namespace}/resourcequotas/tight"
    made = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "tight"}, "spec": {"hard": hard}}
    answer = bench.server.apply(path, made)
    assert answer.status in (200, 201), answer.message
    bench.server.awaited(path, lambda one: (one.get("status") or {}).get("hard") == hard)
    return path


def test_a_quota_of_pods(bench: Bench, operator: Operators, player: Player) -> None:
    path = quota(bench, pods="0")
    run = bench.apply(bench.debate_run("talk"))
    waiting(bench, run, "QuotaExceeded", "exceeded quota: tight", "raise the quota")
    bench.server.request("DELETE", path)
    succeeds(bench, run)


@pytest.mark.parametrize("backend", ["Job", "PyTorchJob"])
def test_a_quota_of_gpus(bench: Bench, operator: Operators, player: Player, backend: str) -> None:
    quota(bench, **{"requests.nvidia.com/gpu": "1"})
    training = {"backend": backend, "gpusPerNode": 2}
    run = bench.apply(bench.prm_training("scores", training=training))
    waiting(bench, run, "QuotaExceeded", "exceeded quota: tight", "requested: requests.nvidia.com/gpu=2")
    quota(bench, **{"requests.nvidia.com/gpu": "2"})
    succeeds(bench, run, within_s=120)


def test_a_quota_of_jobs(bench: Bench, operator: Operators, player: Player) -> None:
    path = quota(bench, **{"count/jobs.batch": "0"})
    run = bench.apply(bench.debate_run("talk"))
    waiting(bench, run, "Refused", "exceeded quota: tight", "raise the quota")
    bench.server.request("DELETE", path)
    succeeds(bench, run)


def test_a_limit_range_in_the_way(bench: Bench, operator: Operators, player: Player) -> None:
    path = f"/api/v1/namespaces/{bench.namespace}/limitranges/tight"
    limits = [{"type": "Container", "max": {"memory": "64Mi"}}]
    made = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "tight"}, "spec": {"limits": limits}}
    assert bench.server.apply(path, made).status == 201
    resources = {"limits": {"memory": "1Gi"}}
    pods = {"spec": {"containers": [{"name": "stage", "resources": resources}]}}
    run = bench.apply(bench.debate_run("talk", pods=pods))
    waiting(bench, run, "LimitRange", "maximum memory usage per Container is 64Mi", "set resources of the container")
    bench.server.request("DELETE", path)
    succeeds(bench, run)


def test_an_image_that_a_registry_does_not_give_for_a_while(bench: Bench, operator: Operators, player: Player) -> None:
    pods = {"metadata": {"annotations": {kwok.WAITING: "ImagePullBackOff", kwok.MESSAGE: "registry: no route to host"}}}
    run = bench.apply(bench.debate_run("talk", pods=pods))
    parts = (
        "container stage of pod talk-debate-",
        "image 'agentark-worker:latest' cannot be pulled",
        "no route to host",
    )
    waiting(bench, run, "ImagePullBackOff", *parts)
    (pod,) = bench.pods
    path = f"/api/v1/namespaces/{bench.namespace}/pods/{pod['metadata']['name']}"
    change = {"metadata": {"annotations": {kwok.WAITING: None}}}
    bench.server.request("PATCH", path, change, form="application/merge-patch+json")
    found = succeeds(bench, run)
    assert found["status"]["stages"][0]["attempt"] == 1


def test_an_image_that_is_not_there(bench: Bench, operator: Operators, player: Player) -> None:
    pods = {"spec": {"containers": [{"name": "stage", "image": kwok.MISSING_IMAGE}]}}
    run = bench.apply(bench.debate_run("talk", pods=pods))
    waiting(bench, run, "ImagePullBackOff", f"image '{kwok.MISSING_IMAGE}' cannot be pulled", "check its name")
    bench.apply(bench.debate_run("talk"))  # the spec itself is wrong
    succeeds(bench, run)
    assert not player.overlaps


def test_gpus_that_no_node_has(bench: Bench, operator: Operators, player: Player, playground: Playground) -> None:
    gpus = GPUS + 1
    run = bench.apply(bench.prm_training("scores", training={"backend": "Job", "gpusPerNode": gpus}))
    waiting(bench, run, "Unschedulable", "has no node", "Insufficient nvidia.com/gpu")
    playground.add_node(f"large-{bench.namespace}", gpus=gpus)
    succeeds(bench, run)
