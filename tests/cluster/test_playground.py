"""The tests' own cluster: that what it shows of pods and their owners is what a real one would show."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentark.planning import Plan, Stage
from agentark.store import open_store, read_manifest, verify_outputs
from tests.servers import kwok
from tests.servers.kubernetes import ApiServer
from tests.servers.player import Play, Player
from tests.servers.playground import Playground
from tests.servers.s3 import ACCESS_KEY, SECRET_KEY, S3Server

KEY, OTHER = "0123456789abcdef", "fedcba9876543210"


@pytest.fixture
def server(playground: Playground) -> ApiServer:
    return playground.server


@pytest.fixture
def namespace(playground: Playground) -> Iterator[str]:
    with playground.namespace(restricted=True) as name:
        yield name


@pytest.fixture
def player(playground: Playground, namespace: str) -> Iterator[Player]:
    with Player(playground.plane.as_user("player"), namespace=namespace) as running:
        yield running


def template(store: str, key: str = KEY, *, name: str = "worker", attempt: int = 1, **spec: Any) -> dict[str, Any]:
    """Of a pod as the operator makes them, within the restricted pod security standard."""
    command = ["python", "-m", "agentark", "stage", "curate", "--plan", "/plan/plan.json", "--key", key]
    security: dict[str, Any] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {"name": name, "image": "agentark:test", "command": command, "securityContext": security}
    container |= {"args": ["--store", "$(STORE)"], "env": [{"name": "STORE", "value": store}]}
    pod = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    labels = {"agentark.dev/stage": key, "agentark.dev/attempt": str(attempt)}
    made = {"restartPolicy": "Never", "securityContext": pod, "containers": [container]} | spec
    return {"metadata": {"labels": labels}, "spec": made}


def job(name: str, pod: dict[str, Any], *, pods: int = 1) -> dict[str, Any]:
    spec = {"completions": pods, "parallelism": pods, "backoffLimit": 0, "template": pod}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": spec | {"completionMode": "Indexed"},
    }


def pytorchjob(name: str, pod: dict[str, Any]) -> dict[str, Any]:
    replica = {"replicas": 1, "restartPolicy": "Never", "template": pod}
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": {"name": name},
        "spec": {"pytorchReplicaSpecs": {"Master": replica, "Worker": replica}},
    }


def create(server: ApiServer, namespace: str, made: dict[str, Any]) -> str:
    """Returns the new object's path."""
    group = made["apiVersion"]
    base = f"/api/{group}" if "/" not in group else f"/apis/{group}"
    path = f"{base}/namespaces/{namespace}/{made['kind'].lower()}s"
    answer = server.request("POST", path, made)
    assert answer.status == 201, answer.message
    return f"{path}/{made['metadata']['name']}"


def holds(kind: str) -> Callable[[dict[str, Any]], bool]:
    """Whether a condition of this type is True."""

    def check(found: dict[str, Any]) -> bool:
        conditions = found.get("status", {}).get("conditions") or []
        return any(one["type"] == kind and one["status"] == "True" for one in conditions)

    return check


def pods(server: ApiServer, namespace: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.request("GET", f"/api/v1/namespaces/{namespace}/pods").body["items"]
    return found


def until(right: Callable[[], object], within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not right():
        assert time.monotonic() < deadline, f"not within {within_s:g} s"
        time.sleep(0.05)


def state(pod: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = pod["status"]["containerStatuses"][0]["state"]
    return found


def test_an_indexed_job_completes_and_only_its_first_pod_commits(
    server: ApiServer, namespace: str, player: Player, tmp_path: Path
) -> None:
    path = create(server, namespace, job("two", template(str(tmp_path)), pods=2))
    done = server.awaited(path, holds("Complete"))
    assert done["status"]["completedIndexes"] == "0,1"
    manifest = read_manifest(open_store(str(tmp_path)), "curate", KEY)
    assert manifest is not None and manifest.metrics["rows"] == 16 and manifest.attempt == 1
    until(lambda: player.completions == {KEY: 2})
    assert (player.commits, player.pods, player.overlaps) == ({KEY: 1}, {KEY: 2}, [])
    for pod in pods(server, namespace):
        assert pod["spec"]["nodeName"].startswith("node-")
        ended = state(pod)["terminated"]
        assert (ended["exitCode"], ended["reason"]) == (0, "Completed")
        assert ended["startedAt"] <= ended["finishedAt"]


def test_a_pytorchjob_succeeds_under_the_real_training_operator(
    server: ApiServer, namespace: str, player: Player, tmp_path: Path
) -> None:
    path = create(server, namespace, pytorchjob("train", template(str(tmp_path), name="pytorch")))
    done = server.awaited(path, holds("Succeeded"))
    assert done["status"]["replicaStatuses"]["Master"]["succeeded"] == 1
    assert read_manifest(open_store(str(tmp_path)), "curate", KEY) is not None
    until(lambda: player.completions[KEY] >= 1)
    assert player.commits == {KEY: 1}, "the worker commits nothing"


def test_of_an_elastic_pytorchjob_one_worker_commits(
    server: ApiServer, namespace: str, player: Player, tmp_path: Path
) -> None:
    made = pytorchjob("elastic", template(str(tmp_path), name="pytorch"))
    worker = made["spec"]["pytorchReplicaSpecs"]["Worker"] | {"replicas": 2, "restartPolicy": "ExitCode"}
    elastic = {"rdzvBackend": "c10d", "minReplicas": 1, "maxReplicas": 2, "maxRestarts": 3}
    made["spec"] = {"pytorchReplicaSpecs": {"Worker": worker}, "elasticPolicy": elastic}
    server.awaited(create(server, namespace, made), holds("Succeeded"))
    until(lambda: player.completions == {KEY: 2})
    assert player.commits == {KEY: 1}


def test_a_stage_is_committed_where_its_container_says_as_its_plan_says(
    server: ApiServer, namespace: str, player: Player, minio_server: S3Server
) -> None:
    uri = f"s3://{minio_server.bucket}/{namespace}"
    store = open_store(uri, endpoint=minio_server.endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY)
    params = {"subjects": {"sums": ["base", "student"]}}
    stage = Stage(kind="compare", name="compare", key=KEY, params=params, inputs={"sums/base": OTHER})
    plan = Plan(kind="DistillJob", name="a", namespace="b", run_id="a-1", manifest={}, pins={}, stages=(stage,))
    store.write("plans/a.json", plan.model_dump_json().encode())
    pod = template(uri)
    (container,) = pod["spec"]["containers"]
    container["command"] = ["python", "-m", "agentark"]
    container["args"] = ["stage", "compare", "--plan=store:plans/a.json", "--store", uri, "--key", KEY]
    container["env"] = [{"name": "AWS_ENDPOINT_URL", "value": minio_server.endpoint}]
    server.awaited(create(server, namespace, job("s3", pod)), holds("Complete"))
    manifest = read_manifest(store, "compare", KEY)
    assert manifest is not None and (manifest.params, manifest.inputs) == (params, {"sums/base": OTHER})
    assert manifest.metrics["sums/student"] == 0.75
    verify_outputs(store, manifest)


def test_a_wrong_pytorchjob_is_refused_by_the_real_webhook(server: ApiServer, namespace: str) -> None:
    made = pytorchjob("wrong", template("/nowhere", name="other"))
    path = f"/apis/kubeflow.org/v1/namespaces/{namespace}/pytorchjobs"
    answer = server.request("POST", path, made)
    assert answer.status == 403
    assert "validator.pytorchjob" in answer.message and "container with name pytorch" in answer.message


@pytest.mark.parametrize(
    ("play", "reason"),
    [(Play(1, message="no space left"), "Error"), (Play(137, reason="OOMKilled"), "OOMKilled"), (Play(75), "Error")],
)
def test_how_a_container_failed_is_in_the_pods_status(
    server: ApiServer, namespace: str, player: Player, tmp_path: Path, play: Play, reason: str
) -> None:
    player.act = lambda pod: play
    path = create(server, namespace, job("bad", template(str(tmp_path))))
    server.awaited(path, holds("Failed"))
    (pod,) = pods(server, namespace)
    ended = state(pod)["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (play.exit_code, reason)
    assert ended.get("message", "") == play.message
    assert pod["status"]["phase"] == "Failed"
    until(lambda: player.failures == {KEY: 1})
    assert not player.commits


def test_an_image_that_cannot_be_pulled_keeps_the_pod_pending(
    server: ApiServer, namespace: str, player: Player, tmp_path: Path
) -> None:
    pod = template(str(tmp_path))
    pod["spec"]["containers"][0]["image"] = kwok.MISSING_IMAGE
    create(server, namespace, job("image", pod))
    until(lambda: [one for one in pods(server, namespace) if one["status"].get("containerStatuses")])
    (found,) = pods(server, namespace)
    assert state(found)["waiting"]["reason"] == "ImagePullBackOff"
    assert kwok.MISSING_IMAGE in state(found)["waiting"]["message"]
    assert found["status"]["phase"] == "Pending" and not player.completions


def test_a_pod_that_is_told_to_wait_runs_once_it_is_told_no_more(
    server: ApiServer, namespace: str, player: Player, tmp_path: Path
) -> None:
    pod = template(str(tmp_path))
    pod["metadata"]["annotations"] = {kwok.WAITING: "CreateContainerConfigError", kwok.MESSAGE: "no secret"}
    path = create(server, namespace, job("wait", pod))
    until(lambda: [one for one in pods(server, namespace) if one["status"].get("containerStatuses")])
    (found,) = pods(server, namespace)
    assert state(found)["waiting"] == {"reason": "CreateContainerConfigError", "message": "no secret"}
    where = f"/api/v1/namespaces/{namespace}/pods/{found['metadata']['name']}"
    change = {"metadata": {"annotations": {kwok.WAITING: None}}}
    assert server.request("PATCH", where, change, form="application/merge-patch+json").status == 200
    server.awaited(path, holds("Complete"))


def test_what_fits_nowhere_is_said_by_the_real_scheduler(
    server: ApiServer, namespace: str, playground: Playground, player: Player, tmp_path: Path
) -> None:
    pod = template(str(tmp_path))
    pod["spec"]["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": "9"}}
    path = create(server, namespace, job("large", pod))

    def unschedulable() -> bool:
        conditions = [one for each in pods(server, namespace) for one in each["status"].get("conditions") or []]
        return any("Insufficient nvidia.com/gpu" in one.get("message", "") for one in conditions)

    until(unschedulable)
    playground.add_node(f"{namespace}-large", gpus=16)
    server.awaited(path, holds("Complete"))
    assert server.request("DELETE", f"/api/v1/nodes/{namespace}-large").status == 200


def test_a_quota_holds(server: ApiServer, namespace: str, player: Player, tmp_path: Path) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    server.awaited(create(server, namespace, quota), lambda one: "hard" in one.get("status", {}))
    create(server, namespace, job("held", template(str(tmp_path))))

    def refused() -> bool:
        events = server.request("GET", f"/api/v1/namespaces/{namespace}/events").body["items"]
        return any("exceeded quota: none" in one["message"] for one in events)

    until(refused)
    assert not pods(server, namespace)


def test_a_deployment_becomes_available_and_stays(server: ApiServer, namespace: str) -> None:
    pod = template("/nowhere")
    pod["metadata"]["labels"] = {"app": "teacher"}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "teacher"}}, "template": pod}
    pod["spec"]["restartPolicy"] = "Always"
    made = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "teacher"}, "spec": spec}
    path = create(server, namespace, made)
    server.awaited(path, lambda one: one.get("status", {}).get("availableReplicas") == 2)
    assert {one["status"]["phase"] for one in pods(server, namespace)} == {"Running"}


def test_children_go_with_their_owner(server: ApiServer, namespace: str, player: Player, tmp_path: Path) -> None:
    player.act = lambda pod: Play(None)
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}}
    path = create(server, namespace, owner)
    uid = server.request("GET", path).body["metadata"]["uid"]
    made = job("child", template(str(tmp_path)))
    made["metadata"]["ownerReferences"] = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}]
    child = create(server, namespace, made)
    until(lambda: player.alive == 1)
    server.request("DELETE", f"{path}?propagationPolicy=Background")
    until(lambda: server.request("GET", child).status == 404 and not pods(server, namespace))
    until(lambda: player.alive == 0)
    assert not player.completions


def test_what_is_deleted_while_it_runs_ends_as_a_stage_that_is_told_to_stop(
    server: ApiServer, namespace: str, player: Player, tmp_path: Path
) -> None:
    player.act = lambda pod: Play(None)
    path = create(server, namespace, job("stopped", template(str(tmp_path))))
    until(lambda: [one for one in pods(server, namespace) if one["status"]["phase"] == "Running"])
    (pod,) = pods(server, namespace)
    where = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}"
    # A finalizer holds the pod, so that its end can be seen.
    held = {"metadata": {"finalizers": [*pod["metadata"]["finalizers"], "agentark.dev/test"]}}
    assert server.request("PATCH", where, held, form="application/merge-patch+json").status == 200
    server.request("DELETE", where)
    ended = server.awaited(where, lambda one: one["status"]["phase"] == "Failed")
    assert state(ended)["terminated"]["exitCode"] == 75
    server.awaited(path, holds("Failed"))
    freed = {"metadata": {"finalizers": None}}
    server.request("PATCH", where, freed, form="application/merge-patch+json")
    until(lambda: player.failures == {KEY: 1} and server.request("GET", where).status == 404)


def test_a_namespace_goes_with_all_that_is_in_it(playground: Playground, server: ApiServer, tmp_path: Path) -> None:
    with playground.namespace() as name:
        create(server, name, job("runs", template(str(tmp_path))))
        create(server, name, pytorchjob("trains", template(str(tmp_path), name="pytorch")))
        until(lambda: sum(one["status"]["phase"] == "Running" for one in pods(server, name)) == 3)
    until(lambda: server.request("GET", f"/api/v1/namespaces/{name}").status == 404)


def test_two_attempts_at_once_are_noticed(server: ApiServer, namespace: str, player: Player, tmp_path: Path) -> None:
    player.act = lambda pod: Play(None)
    create(server, namespace, job("first", template(str(tmp_path))))
    create(server, namespace, job("apart", template(str(tmp_path), OTHER)))
    until(lambda: player.alive == 2)
    assert not player.overlaps
    create(server, namespace, job("second", template(str(tmp_path), attempt=2)))
    until(lambda: player.alive == 3)
    (overlap,) = player.overlaps
    assert overlap.key == KEY and re.search(r"/second-0-\w+ attempt 2$", overlap.pods[-1])


def test_behaviour_changes_in_the_middle(server: ApiServer, namespace: str, player: Player, tmp_path: Path) -> None:
    player.act = lambda pod: Play(None)
    path = create(server, namespace, job("long", template(str(tmp_path))))
    until(lambda: [one for one in pods(server, namespace) if one["status"]["phase"] == "Running"])
    player.act = lambda pod: Play(0, metrics={"rows": 5})
    player.revisit()
    server.awaited(path, holds("Complete"))
    manifest = read_manifest(open_store(str(tmp_path)), "curate", KEY)
    assert manifest is not None and manifest.metrics["rows"] == 5


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_everything_survives_the_api_server(
    playground: Playground, server: ApiServer, namespace: str, player: Player, tmp_path: Path, kill: bool
) -> None:
    player.act = lambda pod: Play(delay_s=0.5)
    before = create(server, namespace, job("before", template(str(tmp_path))))
    training = create(server, namespace, pytorchjob("training", template(str(tmp_path), OTHER, name="pytorch")))
    until(lambda: player.alive >= 2)
    playground.restart(down_s=1.0, kill=kill)
    server.awaited(before, holds("Complete"))
    # The Training Operator looks again after a while that grows with each restart, to half a minute.
    server.awaited(training, holds("Succeeded"), within_s=120)
    after = create(server, namespace, job("after", template(str(tmp_path / "after")), pods=2))
    server.awaited(after, holds("Complete"))
    assert not player.overlaps and player.commits == {KEY: 2, OTHER: 1}
    server.request("DELETE", f"{after}?propagationPolicy=Background")
    until(lambda: server.request("GET", after).status == 404)


def test_the_audit_log_tells_who_did_what(playground: Playground, server: ApiServer, namespace: str) -> None:
    mark = playground.audit.mark()
    account = playground.account(namespace, "default")
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine"}}
    assert account.request("POST", path, made).status == 403
    assert server.request("POST", path, made).status == 201

    users = (f"system:serviceaccount:{namespace}:default", "admin")

    def rows() -> list[tuple[str, str, int]]:
        found = [one for one in playground.audit.requests(since=mark) if one.user in users]
        return [(one.user, one.verb, one.code) for one in found if one.resource == "configmaps"]

    until(lambda: rows() == [(users[0], "create", 403), (users[1], "create", 201)], 5)
