"""What the node itself does, before anything of ours is on it."""

import io
import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3

from tests.e2e.cluster.network import NODE
from tests.e2e.cluster.node import Node
from tests.e2e.cluster.prometheus import prometheus
from tests.e2e.cluster.store import Store
from tests.e2e.cluster.toolbox import TOOLBOX, write_toolbox
from tests.e2e.cluster.workloads import deployment, pod, service
from tests.servers import neighbours
from tests.servers.kubernetes import define
from tests.servers.process import ServerFailed
from tests.servers.s3 import BUCKET, answers, client

PORT = 8080


@pytest.fixture(scope="module")
def toolbox(node: Node) -> str:
    """Name of an image with a shell."""
    node.load_image(write_toolbox(node.folder / "toolbox.tar"))
    return TOOLBOX


@pytest.fixture(scope="module")
def web(node: Node, toolbox: str) -> Iterator[str]:
    """A namespace in which the Service `web` says hello."""
    container: dict[str, Any]
    ready = {"httpGet": {"path": "/", "port": PORT}, "periodSeconds": 1}
    container = {"name": "web", "image": toolbox, "command": ["serve", str(PORT)], "readinessProbe": ready}
    container["ports"] = [{"name": "http", "containerPort": PORT}]
    with node.namespace() as name:
        node.apply([deployment("web", pod([container])), service("web", PORT)], namespace=name)
        node.wait("deployment/web", "condition=Available", namespace=name)
        # kube-proxy hears of a pod that is ready a moment after others do.
        deadline = time.monotonic() + 30
        while not answers(f"http://{_given(node, name)}:{PORT}/"):
            assert time.monotonic() < deadline, "the Service does not answer"
            time.sleep(0.1)
        yield name


def _given(node: Node, namespace: str) -> str:
    address: str = node.server.request("GET", f"/api/v1/namespaces/{namespace}/services/web").body["spec"]["clusterIP"]
    return address


def run(node: Node, namespace: str, name: str, script: str) -> str:
    """Run a script in a pod to its end and return what it printed."""
    spec = pod([{"name": name, "image": TOOLBOX, "command": ["sh", "-c", script]}], restartPolicy="Never")
    node.apply([{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}], namespace=namespace)
    node.server.awaited(f"/api/v1/namespaces/{namespace}/pods/{name}", _ended)
    return node.kubectl("logs", name, "-n", namespace)


def _ended(found: dict[str, Any]) -> bool:
    return found.get("status", {}).get("phase") in ("Succeeded", "Failed")


def test_a_pod_reaches_a_service_by_its_name(node: Node, web: str) -> None:
    said = run(node, web, "asks", f"nslookup web && fetch http://web.{web}.svc.cluster.local:{PORT}/")

    assert said.splitlines()[-1] == "hello"
    assert said.startswith("Name: web Address: 198.18.2.")


def test_this_machine_reaches_services_and_pods(node: Node, web: str) -> None:
    (found,) = node.server.request("GET", f"/api/v1/namespaces/{web}/pods?labelSelector=app%3Dweb").body["items"]

    with urllib3.PoolManager(retries=False, timeout=10.0) as pool:
        for address in (found["status"]["podIP"], _given(node, web)):
            assert pool.request("GET", f"http://{address}:{PORT}/").data == b"hello\n"


def test_nothing_leaves_the_machine(node: Node, web: str) -> None:
    said = run(node, web, "leaves", "fetch http://192.0.2.1/ 2>&1 || true")

    assert "unreachable" in said
    assert subprocess.check_output([*node.enter, "ip", "route", "show", "default"]) == b""


def test_a_privileged_pod_is_refused_where_pods_are_restricted(node: Node, web: str) -> None:
    spec = {"containers": [{"name": "root", "image": TOOLBOX, "securityContext": {"privileged": True}}]}

    with pytest.raises(ServerFailed, match=r'violates PodSecurity "restricted.*privileged'):
        node.apply([{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root"}, "spec": spec}], namespace=web)


def test_a_drained_pod_comes_back(node: Node, web: str) -> None:
    flags = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", "--pod-selector=app=web")
    try:
        node.kubectl("drain", "node0", *flags)
        node.wait("deployment/web", "condition=Available=False", namespace=web)
    finally:
        node.kubectl("uncordon", "node0")
    node.wait("deployment/web", "condition=Available", namespace=web)


def test_a_pod_may_not_ask_the_kubelet(node: Node, web: str) -> None:
    said = run(node, web, "pries", f"fetch https://{NODE}:10250/pods")

    assert said.startswith("401 Unauthorized")


def test_prometheus_scrapes_what_monitors_select(node: Node, web: str) -> None:
    for definition in neighbours.definitions():
        define(node.server, definition)
    chosen = {"selector": {"matchLabels": {"app": "web"}}}
    pods = {**chosen, "podMetricsEndpoints": [{"port": "http"}]}
    services = {**chosen, "endpoints": [{"port": "http", "interval": "30s"}]}
    node.apply([_monitor("PodMonitor", pods), _monitor("ServiceMonitor", services)], namespace=web)

    with prometheus(node) as watching:
        deadline = time.monotonic() + 60
        while len(found := watching.query("greetings == 7")) < 2 and time.monotonic() < deadline:
            time.sleep(0.2)

    labels = [{name: value for name, value in one["metric"].items() if name in ("job", "namespace")} for one in found]
    assert sorted(labels, key=str) == sorted(
        ({"job": "web", "namespace": web}, {"job": f"{web}/chosen", "namespace": web}), key=str
    )


def _monitor(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "monitoring.coreos.com/v1", "kind": kind, "metadata": {"name": "chosen"}, "spec": spec}


def test_minio_keeps_objects_when_its_pod_is_replaced(store: Store) -> None:
    client(store.outside.endpoint).put_object(BUCKET, "kept", io.BytesIO(b"content"), 7)

    store.restart()

    answer = client(store.outside.endpoint).get_object(BUCKET, "kept")
    try:
        assert answer.read() == b"content"
    finally:
        answer.close()


@pytest.mark.usefixtures("training_operator")
def test_the_pods_of_a_job_find_each_other_and_succeed(node: Node, toolbox: str) -> None:
    # The worker comes by the name in MASTER_ADDR, as torch does; the master ends when it has heard it.
    meeting = {
        "Master": "[ \"$(hear $MASTER_PORT)\" = 'rank 1' ]",
        "Worker": 'tell $MASTER_ADDR $MASTER_PORT "rank $RANK"',
    }
    with node.namespace() as name:
        node.apply([_job("pair", toolbox, meeting)], namespace=name)
        node.wait("pytorchjob/pair", "condition=Succeeded", namespace=name)
        said = {
            found["metadata"]["name"]: found["status"]["phase"]
            for found in json.loads(node.kubectl("get", "pods", "-n", name, "-o", "json"))["items"]
        }

    assert said == {"pair-master-0": "Succeeded", "pair-worker-0": "Succeeded"}


def _job(name: str, image: str, scripts: dict[str, str]) -> dict[str, Any]:
    replicas = {
        kind: {
            "replicas": 1,
            "restartPolicy": "Never",
            "template": {"spec": pod([{"name": "pytorch", "image": image, "command": ["sh", "-c", script]}])},
        }
        for kind, script in scripts.items()
    }
    # Pods that ended stay to be looked at.
    spec = {"runPolicy": {"cleanPodPolicy": "None"}, "pytorchReplicaSpecs": replicas}
    return {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "metadata": {"name": name}, "spec": spec}
