"""Resources whose stages are in the store already, on a real API server with a real MinIO: no pod, a true status.

No controller runs here, so a Job that is made gets no pods.
"""

import base64
import contextlib
import copy
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml

from tests.operator.asking import until
from tests.operator.kstatus import health
from tests.servers.kubernetes import ApiServer
from tests.servers.process import free_ports
from tests.servers.s3 import S3Server, client

ROOT = Path(__file__).parents[2]
QUESTIONS = "".join(f'{{"id": "q{i}", "question": "What is {i} + 1?", "answer": "{i + 1}"}}\n' for i in range(8))
Start = Callable[[], "subprocess.Popen[bytes]"]
JOBS = "/apis/batch/v1/namespaces/default/jobs"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("operator")


@pytest.fixture(scope="module")
def environment(cluster: ApiServer, minio_server: S3Server, place: Path) -> dict[str, str]:
    """Of the operator: where the API server and the data are."""
    return {
        **os.environ,
        "KUBECONFIG": str(cluster.kubeconfig(place / "kubeconfig")),
        "AWS_ACCESS_KEY_ID": minio_server.access_key,
        "AWS_SECRET_ACCESS_KEY": minio_server.secret_key,
        "XDG_CACHE_HOME": str(place / "cache"),
        "AGENTARK_ADDRESS": f"127.0.0.1:{free_ports(1)[0]}",
    }


@pytest.fixture(scope="module")
def debated(minio_server: S3Server, place: Path, environment: dict[str, str]) -> dict[str, Any]:
    """A DebateRun that has run on a laptop, with its data and its store in MinIO."""
    s3 = client(minio_server.endpoint)
    data = place / "questions.jsonl"
    data.write_text(QUESTIONS)
    s3.fput_object(minio_server.bucket, "operator/questions.jsonl", str(data))
    command = [sys.executable, "benchmarks/server.py", "--template", "The answer is {index}."]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as model:
        assert model.stdout is not None
        url = model.stdout.readline().strip()
        spec = {
            "dataset": {"uri": f"s3://{minio_server.bucket}/operator/questions.jsonl"},
            "teacher": {"endpoint": {"baseUrl": url, "model": "test"}},
            "protocol": {"agents": 3, "rounds": 2, "tie": "First"},
            "store": {"uri": f"s3://{minio_server.bucket}/operator/store", "endpoint": minio_server.endpoint},
        }
        made = {"apiVersion": "agentark.dev/v1alpha1", "kind": "DebateRun", "metadata": {"name": "talk"}, "spec": spec}
        (place / "run.yaml").write_text(yaml.safe_dump(made))
        run = [sys.executable, "-m", "agentark", "run", "-f", str(place / "run.yaml")]
        done = subprocess.run(run, cwd=place, env=environment, capture_output=True, text=True, check=False)
        model.terminate()
    assert done.returncode == 0, done.stdout + done.stderr
    return made


@pytest.fixture
def operator(environment: dict[str, str], place: Path) -> Iterator[Start]:
    """Start an operator; it is stopped by SIGTERM, and must leave with 0."""
    with contextlib.ExitStack() as stack:

        def start() -> "subprocess.Popen[bytes]":
            log = stack.enter_context((place / "operator.log").open("ab"))
            command = [sys.executable, "-m", "agentark_operator"]
            process = subprocess.Popen(command, cwd=ROOT / "operator", env=environment, stdout=log, stderr=log)
            stack.callback(stop, process)
            return process

        def stop(process: "subprocess.Popen[bytes]") -> None:
            if process.poll() is None:
                process.terminate()
            code = process.wait(timeout=20)
            assert code in (0, -9), (place / "operator.log").read_text()[-3000:]

        yield start


def path_of(name: str, plural: str = "debateruns") -> str:
    return f"/apis/agentark.dev/v1alpha1/namespaces/default/{plural}/{name}"


def named(manifest: dict[str, Any], name: str, **spec: Any) -> dict[str, Any]:
    made = copy.deepcopy(manifest)
    made["metadata"] = {"name": name, "namespace": "default"}
    made["spec"] |= spec
    return made


@pytest.fixture
def apply(cluster: ApiServer) -> Iterator[Callable[[dict[str, Any]], str]]:
    """Apply a resource; returns its path. Deleted at the end, at once: nothing holds it."""
    applied: list[str] = []

    def act(made: dict[str, Any]) -> str:
        path = path_of(made["metadata"]["name"], f"{made['kind'].lower()}s")
        answer = cluster.apply(path, made)
        assert answer.status in (200, 201), answer.message
        applied.append(path)
        return path

    yield act
    for path in applied:
        cluster.request("DELETE", path)
        assert cluster.request("GET", path).status == 404
    # Nobody collects what they owned here.
    cluster.request("DELETE", f"{JOBS}?propagationPolicy=Background")


def ready(resource: dict[str, Any]) -> dict[str, Any]:
    conditions = resource.get("status", {}).get("conditions", [])
    return next((one for one in conditions if one["type"] == "Ready"), {"reason": "", "message": "", "status": ""})


def succeeded(resource: dict[str, Any]) -> bool:
    return bool(resource.get("status", {}).get("phase") == "Succeeded")


def test_what_was_run_elsewhere_is_found(
    cluster: ApiServer, operator: Start, debated: dict[str, Any], apply: Callable[[dict[str, Any]], str]
) -> None:
    operator()
    found = cluster.awaited(apply(named(debated, "again")), succeeded)
    assert [stage["state"] for stage in found["status"]["stages"]] == ["Cached"]
    assert found["status"]["runId"].startswith("again-")
    assert found["status"]["observedGeneration"] == found["metadata"]["generation"] == 1
    assert health(found) == "Current"
    assert "finalizers" not in found["metadata"] and "annotations" not in found["metadata"]
    managers = {one["manager"]: one.get("subresource", "") for one in found["metadata"]["managedFields"]}
    assert managers == {"tests": "", "agentark-operator": "status"}, "the operator writes the status and nothing else"


def test_a_restarted_operator_writes_nothing_new(
    cluster: ApiServer, operator: Start, debated: dict[str, Any], apply: Callable[[dict[str, Any]], str]
) -> None:
    first = operator()
    before = cluster.awaited(apply(named(debated, "talk")), succeeded)  # the laptop's run has the same name and id
    first.kill()
    first.wait()
    operator()
    cluster.awaited(apply(named(debated, "later")), succeeded)  # the new one works
    after = cluster.request("GET", path_of("talk")).body
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def test_what_is_not_in_the_store_waits_with_its_reason(
    cluster: ApiServer, operator: Start, debated: dict[str, Any], apply: Callable[[dict[str, Any]], str]
) -> None:
    operator()
    other = named(debated, "other", protocol={"agents": 2, "rounds": 2, "tie": "First"})
    found = cluster.awaited(apply(other), lambda one: ready(one)["reason"] == "Starting")
    (job,) = cluster.request("GET", JOBS).body["items"]
    assert job["metadata"]["name"] in ready(found)["message"]
    assert job["metadata"]["ownerReferences"][0]["uid"] == found["metadata"]["uid"]
    assert (found["status"]["phase"], found["status"]["currentStage"]) == ("Pending", "debate")
    assert health(found) == "InProgress"
    # The spec is mended to what has been run: a new generation, found in the store.
    found = cluster.awaited(apply(named(debated, "other")), succeeded)
    assert found["status"]["observedGeneration"] == 2


def test_a_path_on_a_laptop_is_refused_with_the_mend(
    cluster: ApiServer, operator: Start, debated: dict[str, Any], apply: Callable[[dict[str, Any]], str]
) -> None:
    operator()
    local = named(debated, "local", dataset={"uri": "file:questions.jsonl"})
    found = cluster.awaited(apply(local), lambda one: ready(one)["reason"] == "InvalidSpec")
    assert "upload it" in ready(found)["message"] and "file:questions.jsonl" in ready(found)["message"]
    assert health(found) == "Failed"


def test_a_missing_secret_is_named_and_the_resource_goes_on_once_it_is_there(
    cluster: ApiServer,
    operator: Start,
    debated: dict[str, Any],
    apply: Callable[[dict[str, Any]], str],
    minio_server: S3Server,
) -> None:
    operator()
    store = debated["spec"]["store"] | {"credentialsSecretRef": {"name": "store"}}
    path = apply(named(debated, "secret", store=store))
    found = cluster.awaited(path, lambda one: ready(one)["reason"] == "StoreUnavailable")
    assert "Secret 'store'" in ready(found)["message"]
    assert health(found) == "InProgress"
    data = {"accessKey": minio_server.access_key, "secretKey": minio_server.secret_key}
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "store"}, "data": encoded}
    where = "/api/v1/namespaces/default/secrets"
    assert cluster.request("POST", where, secret).status == 201
    try:
        found = cluster.awaited(path, succeeded)
        assert minio_server.secret_key not in str(found)
    finally:
        cluster.request("DELETE", f"{where}/store")


def test_a_resource_waits_for_the_one_that_it_names(
    cluster: ApiServer, operator: Start, debated: dict[str, Any], apply: Callable[[dict[str, Any]], str]
) -> None:
    operator()
    made = {"apiVersion": "agentark.dev/v1alpha1", "kind": "PRMTraining", "metadata": {"name": "scores"}}
    made["metadata"]["namespace"] = "default"
    model = {"uri": debated["spec"]["dataset"]["uri"]}  # something that is there
    made["spec"] = {"debateRef": {"name": "talk"}, "model": model, "store": debated["spec"]["store"]}
    path = apply(made)
    found = cluster.awaited(path, lambda one: ready(one)["reason"] == "DependencyNotReady")
    assert "DebateRun/talk" in ready(found)["message"]
    assert health(found) == "InProgress"
    apply(named(debated, "talk"))
    found = cluster.awaited(path, lambda one: ready(one)["reason"] == "Starting")
    assert [stage["state"] for stage in found["status"]["stages"]] == ["Cached", "Running", "Waiting"]
    (job,) = cluster.request("GET", JOBS).body["items"]
    assert job["metadata"]["labels"]["agentark.dev/stage-kind"] == "steps"


def test_metrics_and_probes_tell_what_is_done(
    cluster: ApiServer,
    operator: Start,
    debated: dict[str, Any],
    apply: Callable[[dict[str, Any]], str],
    environment: dict[str, str],
) -> None:
    operator()
    cluster.awaited(apply(named(debated, "counted")), succeeded)
    url = f"http://{environment['AGENTARK_ADDRESS']}"

    def get(path: str) -> tuple[int, str]:
        with urllib3.PoolManager(retries=False, timeout=5.0) as pool:
            reply = pool.request("GET", url + path)
            return reply.status, reply.data.decode()

    assert get("/healthz") == get("/readyz") == (200, "ok\n")
    counted = 'agentark_reconcile_total{kind="DebateRun",outcome="Done"}'
    until(lambda: counted in get("/metrics")[1])  # the status is written before its pass ends
    code, text = get("/metrics")
    assert code == 200
    assert f"{counted} 1.0" in text, "one pass was enough"
    assert 'agentark_reconcile_duration_seconds_count{kind="DebateRun"} 1.0' in text
    assert 'agentark_resources{kind="DebateRun",namespace="default"' in text
