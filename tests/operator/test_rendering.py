"""What is rendered, before a real API server, the real controllers and the restricted pod security standard."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from agentark_operator.attempts import facts
from agentark_operator.attempts.pods import Image, pod_template, vllm_template
from agentark_operator.attempts.workload import Owner, Workload, child_name, stamped_template
from agentark_operator.backends import BACKENDS
from agentark_operator.diagnosis.pending import Waiting
from agentark_operator.informers.children import alive
from agentark_operator.permissions import manifests
from agentark_operator.reasons import Reason
from agentark_operator.teachers.serving import serving_state, teacher_name, teacher_objects

from agentark.api import Elastic, Gang, Serving, StoreSource
from agentark.api.base import Reference
from agentark.planning import Stage
from tests.servers.kubernetes import ApiServer
from tests.servers.kwok import EXIT, MESSAGE, REASON
from tests.servers.playground import Playground

KEY = "0123456789abcdef"
SETTINGS = {"models": [{"endpoint": {"baseUrl": "http://x", "model": "m", "apiKeySecretRef": {"name": "k"}}}]}
STAGE = Stage(kind="distill", name="distill/RSFT", key=KEY, params={}, settings=SETTINGS)
STORE = StoreSource(uri="s3://bucket", endpoint="http://minio:9000", credentials_secret_ref=Reference(name="store"))
FOLDERS = {
    **{one.kind: f"/apis/{one.api_version}/namespaces/{{}}/{one.plural}" for one in BACKENDS.values()},
    "Service": "/api/v1/namespaces/{}/services",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "Pod": "/api/v1/namespaces/{}/pods",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
}


@pytest.fixture
def place(playground: Playground) -> Iterator[str]:
    """A namespace of the restricted standard."""
    with playground.namespace(restricted=True) as name:
        yield name


@pytest.fixture
def server(playground: Playground) -> ApiServer:
    return playground.server


@pytest.fixture
def owner(server: ApiServer, place: str) -> Owner:
    """A resource that is there: the garbage collector takes children of any other."""
    spec = {"dataset": {"uri": "s3://b/q.jsonl"}, "teacher": {"endpoint": {"baseUrl": "http://x", "model": "m"}}}
    metadata = {"name": "talk", "namespace": place}
    made = {"apiVersion": "agentark.dev/v1alpha1", "kind": "DebateRun", "metadata": metadata, "spec": spec}
    answer = server.apply(f"/apis/agentark.dev/v1alpha1/namespaces/{place}/debateruns/talk", made)
    assert answer.status == 201, answer.message
    return Owner("DebateRun", "talk", place, answer.body["metadata"]["uid"], {}, {})


def workload(owner: Owner, overlay: dict[str, Any] | None = None, gpus: int = 1, **changes: Any) -> Workload:
    image = Image("worker:1", pull_secrets=("pull",))
    template = pod_template(STAGE, image=image, store=STORE, plan="plan.json", attempt=1, gpus=gpus, overlay=overlay)
    name = child_name(owner, "distill", KEY, 1)
    made = Workload(owner, "distill", STAGE.name, KEY, 1, "talk-0a", name, template, distributed=True)
    return replace(made, **changes)


def apply(server: ApiServer, made: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
    metadata = made["metadata"]
    folder = FOLDERS[made["kind"]].format(metadata.get("namespace", ""))
    answer = server.apply(f"{folder}/{metadata['name']}", made, dry_run=dry_run)
    assert answer.status in (200, 201), f"{made['kind']}: {answer.message}"
    assert not answer.warnings, answer.warnings
    return answer.body


SHAPES: list[dict[str, Any]] = [
    {},
    {"pods": 3, "processes": 2},
    {"suspend": True, "pods": 2},
    {"distributed": False, "pods": 4},
]
OF_PYTORCHJOB = [{"pods": 3, "gang": Gang(queue="q", min_available=2)}, {"elastic": Elastic(min_nodes=1, max_nodes=4)}]
CASES = [(backend, shape) for backend in BACKENDS for shape in SHAPES] + [("PyTorchJob", one) for one in OF_PYTORCHJOB]


@pytest.mark.parametrize(("backend", "shape"), CASES)
def test_the_api_server_takes_what_is_rendered(
    server: ApiServer, owner: Owner, backend: str, shape: dict[str, Any]
) -> None:
    crd = BACKENDS[backend].crd
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{crd}"
    versions = server.request("GET", path).body["spec"]["versions"] if crd else [{"schema": {}}]
    schema = versions[0]["schema"].get("openAPIV3Schema")
    for one in BACKENDS[backend].render(workload(owner, **shape), schema):
        apply(server, one, dry_run=True)


@pytest.mark.parametrize("container", [one.container for one in BACKENDS.values()])
def test_pods_keep_to_the_restricted_standard(server: ApiServer, owner: Owner, container: str) -> None:
    template = stamped_template(workload(owner), container)
    metadata = template["metadata"] | {"name": f"as-{container}", "namespace": owner.namespace}
    apply(server, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})


def test_the_namespace_refuses_pods_that_do_not_keep_to_it(server: ApiServer, owner: Owner) -> None:
    template = stamped_template(workload(owner), "stage")
    containers = [
        {**one, "securityContext": {"allowPrivilegeEscalation": True}} for one in template["spec"]["containers"]
    ]
    metadata = {"name": "loose", "namespace": owner.namespace}
    made = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": template["spec"] | {"containers": containers},
    }
    answer = server.apply(f"{FOLDERS['Pod'].format(owner.namespace)}/loose", made, dry_run=True)
    assert answer.status == 403 and "violates PodSecurity" in answer.message


@pytest.mark.parametrize(("uri", "identity"), [("hf://a/b", "commit:0"), ("s3://b/model", "etag:1:2")])
def test_teachers_are_taken_and_keep_to_the_restricted_standard(
    server: ApiServer, owner: Owner, uri: str, identity: str
) -> None:
    serving = Serving(replicas=2, gpus_per_replica=2, args=["--max-model-len", "4096"])
    image, worker = Image("vllm:1"), Image("worker:1")
    template = vllm_template(
        uri=uri, identity=identity, served_name="m", serving=serving, image=image, worker=worker, store=STORE
    )
    name = teacher_name(identity, serving)
    other = replace(owner, name="other", uid="another")
    objects = teacher_objects(name, template, serving, [owner, other])
    for one in objects:
        apply(server, one, dry_run=True)
    metadata = objects[0]["spec"]["template"]["metadata"] | {"name": name, "namespace": owner.namespace}
    apply(server, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}, dry_run=True)


def test_a_teacher_over_quota_says_so(server: ApiServer, owner: Owner) -> None:
    quota(server, owner.namespace)
    template = vllm_template(
        uri="hf://a/b",
        identity="commit:0",
        served_name="m",
        serving=Serving(),
        image=Image("vllm:1"),
        worker=Image("worker:1"),
        store=STORE,
    )
    deployment, _ = teacher_objects("teacher-x", template, Serving(), [owner])
    apply(server, deployment)
    path = FOLDERS["Deployment"].format(owner.namespace) + "/teacher-x"

    def told(one: dict[str, Any]) -> bool:
        return serving_state(one, []) != Waiting(Reason.NO_PODS, "teacher teacher-x has no pods yet")

    found = serving_state(server.awaited(path, told), [])
    assert found is not None
    assert found.reason == "QuotaExceeded" and "exceeded quota: nothing" in found.message


def quota(server: ApiServer, namespace: str) -> None:
    made = {"metadata": {"name": "nothing"}, "spec": {"hard": {"pods": "0"}}}
    answer = server.request("POST", f"/api/v1/namespaces/{namespace}/resourcequotas", made)
    assert answer.status == 201, answer.message
    server.awaited(
        f"/api/v1/namespaces/{namespace}/resourcequotas/nothing", lambda one: "hard" in (one.get("status") or {})
    )


class Attempt:
    """A child on the cluster."""

    def __init__(self, server: ApiServer, owner: Owner, backend: str, *, deadline_s: int = 0, **shape: Any) -> None:
        self._server, self._owner, self._backend = server, owner, backend
        self.child, *others = BACKENDS[backend].render(workload(owner, **shape))
        if deadline_s:  # such as a platform's admission policy sets
            spec = self.child["spec"]
            spec.get("runPolicy", spec)["activeDeadlineSeconds"] = deadline_s
        for one in (self.child, *others):
            apply(server, one)

    def pods(self) -> list[dict[str, Any]]:
        selector = f"labelSelector=agentark.dev/uid={self._owner.uid}"
        path = f"{FOLDERS['Pod'].format(self._owner.namespace)}?{selector}"
        found: list[dict[str, Any]] = self._server.request("GET", path).body["items"]
        return found

    def observe(self) -> facts.Attempt:
        folder = FOLDERS[self._backend].format(self._owner.namespace)
        child = self._server.request("GET", f"{folder}/{self.child['metadata']['name']}").body
        events = self._server.request("GET", f"/api/v1/namespaces/{self._owner.namespace}/events").body["items"]
        return BACKENDS[self._backend].observe(child, self.pods(), events)

    def awaited(self, right: Callable[[facts.Attempt], bool]) -> facts.Attempt:
        deadline = time.monotonic() + 30
        while not right(found := self.observe()):
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
        return found

    def tell(self, ending: str, **annotations: str) -> None:
        """Annotate the pods whose name ends so."""
        for pod in self.pods():
            name = pod["metadata"]["name"]
            if ending in name:
                path = f"{FOLDERS['Pod'].format(self._owner.namespace)}/{name}"
                patch = {"metadata": {"annotations": annotations}}
                answer = self._server.request("PATCH", path, patch, form="application/merge-patch+json")
                assert answer.status == 200, answer.message


RUNNING = ["Job", "PyTorchJob"]
ENDINGS = [
    ("1", "", "Application", "Error"),
    ("2", "", "InvalidInput", "InvalidInput"),
    ("75", "", "Interruption", "Interrupted"),
    ("137", "OOMKilled", "Application", "OOMKilled"),
]


@pytest.mark.parametrize("backend", RUNNING)
@pytest.mark.parametrize(("code", "reason", "kind", "expected"), ENDINGS)
def test_how_a_pod_ends_is_how_the_attempt_fails(
    server: ApiServer, owner: Owner, backend: str, code: str, reason: str, kind: str, expected: str
) -> None:
    attempt = Attempt(server, owner, backend)
    attempt.awaited(lambda one: one.state == "Running")
    attempt.tell("", **{EXIT: code, MESSAGE: "the last line"} | ({REASON: reason} if reason else {}))
    found = attempt.awaited(lambda one: one.state not in ("Running", "Pending"))
    assert found.failure is not None
    assert (found.state, found.failure.kind, found.failure.reason) == ("Failed", kind, expected)
    assert found.failure.exit_code == int(code)
    assert "memory limit" in found.message or "ran out of memory" in found.message or "the last line" in found.message
    assert found.started_at <= found.ended_at != ""


@pytest.mark.parametrize("backend", RUNNING)
def test_a_training_on_several_pods_ends_well(server: ApiServer, owner: Owner, backend: str) -> None:
    attempt = Attempt(server, owner, backend, pods=3)
    attempt.awaited(lambda one: one.state == "Running" and alive(attempt.pods()) == 3)
    attempt.tell("", **{EXIT: "0"})
    found = attempt.awaited(lambda one: one.state != "Running")
    assert found.state == "Succeeded" and found.ended_at


@pytest.mark.parametrize("backend", RUNNING)
def test_one_worker_that_fails_is_named_though_others_are_ended_for_it(
    server: ApiServer, owner: Owner, backend: str
) -> None:
    attempt = Attempt(server, owner, backend, pods=3)
    attempt.awaited(lambda one: one.state == "Running")
    index = "worker-1" if backend == "PyTorchJob" else "-2-"
    attempt.tell(index, **{EXIT: "1", MESSAGE: "division by zero"})
    found = attempt.awaited(lambda one: one.state == "Failed")
    assert found.failure is not None
    assert (found.failure.kind, found.failure.reason) == ("Application", "Error")
    assert "division by zero" in found.message and index in found.message


@pytest.mark.parametrize("backend", RUNNING)
def test_an_evicted_pod_is_an_interruption(server: ApiServer, owner: Owner, backend: str) -> None:
    attempt = Attempt(server, owner, backend, pods=2)
    attempt.awaited(lambda one: one.state == "Running")
    name = attempt.pods()[1]["metadata"]["name"]
    path = f"{FOLDERS['Pod'].format(owner.namespace)}/{name}"
    # KWOK takes no time to end a pod, and the Training Operator none to make it anew: a look may come too late.
    hold = {"metadata": {"finalizers": ["tests.agentark.dev/seen"]}}
    assert server.request("PATCH", path, hold, form="application/merge-patch+json").status == 200
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    assert server.request("POST", f"{path}/eviction", eviction).status == 201
    try:
        found = attempt.awaited(lambda one: one.state == "Failed")
    finally:
        release = {"metadata": {"finalizers": None}}
        assert server.request("PATCH", path, release, form="application/merge-patch+json").status == 200
    assert found.failure is not None and found.failure.kind == "Interruption"


@pytest.mark.parametrize("backend", RUNNING)
def test_a_deadline_is_a_failure_of_the_work(server: ApiServer, owner: Owner, backend: str) -> None:
    attempt = Attempt(server, owner, backend, deadline_s=1)
    attempt.awaited(lambda one: one.state != "Pending")
    time.sleep(1.5)
    # The Training Operator looks at the time only when something else changes.
    attempt.tell("", touched="yes")
    found = attempt.awaited(lambda one: one.state == "Failed")
    assert found.failure is not None
    assert (found.failure.kind, found.failure.reason) == ("Application", "DeadlineExceeded")


@pytest.mark.parametrize("backend", RUNNING)
def test_what_is_over_quota_waits_and_says_so(server: ApiServer, owner: Owner, backend: str) -> None:
    quota(server, owner.namespace)
    attempt = Attempt(server, owner, backend)
    found = attempt.awaited(lambda one: one.reason != "NoPods")
    assert (found.state, found.reason) == ("Pending", "QuotaExceeded")
    assert "exceeded quota: nothing" in found.message


@pytest.mark.parametrize("backend", RUNNING)
def test_what_no_node_can_hold_waits_and_says_so(server: ApiServer, owner: Owner, backend: str) -> None:
    attempt = Attempt(server, owner, backend, gpus=64)
    found = attempt.awaited(lambda one: one.reason not in ("NoPods", "Starting"))
    assert (found.state, found.reason) == ("Pending", "Unschedulable")
    assert "Insufficient nvidia.com/gpu" in found.message


@pytest.mark.parametrize("backend", RUNNING)
def test_suspended_attempts_have_no_pods_and_go_on(server: ApiServer, owner: Owner, backend: str) -> None:
    attempt = Attempt(server, owner, backend, suspend=True)
    attempt.awaited(lambda one: one.state == "Suspended")
    assert not attempt.pods()
    path = f"{FOLDERS[backend].format(owner.namespace)}/{attempt.child['metadata']['name']}"

    def suspend(on: bool) -> None:
        patch = BACKENDS[backend].suspend(on)
        assert server.request("PATCH", path, patch, form="application/merge-patch+json").status == 200

    suspend(False)
    attempt.awaited(lambda one: one.state == "Running")
    suspend(True)
    found = attempt.awaited(lambda one: one.state != "Running" and not alive(attempt.pods()))
    assert found.state == "Suspended"


def test_the_operator_may_do_what_it_has_to_and_no_more(playground: Playground, place: str) -> None:
    for one in manifests(place, watched=[place], backends=list(BACKENDS), teachers=True):
        apply(playground.server, one)
    for one in manifests(place, watched=[], backends=list(BACKENDS), teachers=True):
        apply(playground.server, one, dry_run=True)
    account = playground.account(place, "agentark-operator")
    for kind in ("Job", "PyTorchJob", "TrainJob", "Deployment", "Service", "Pod"):
        # Services are made and go with what owns them; nobody looks at them.
        seen = 403 if kind == "Service" else 200
        assert account.request("GET", FOLDERS[kind].format(place)).status == seen, kind
        assert account.request("GET", FOLDERS[kind].format("default")).status == 403, kind
    owner = Owner("DebateRun", "talk", place, "u", {}, {})
    for one in BACKENDS["Job"].render(workload(owner, pods=2)):
        apply(account, one, dry_run=True)
    assert account.request("GET", f"/api/v1/namespaces/{place}/secrets").status == 403, "only one by its name"
    assert account.request("GET", f"/api/v1/namespaces/{place}/secrets/none").status == 404
