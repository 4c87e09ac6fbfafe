"""Attempts as Jobs, PyTorchJobs and TrainJobs: what is asked for, and what is read back."""

import json
from dataclasses import replace
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, get_args

import pytest
from agentark_operator import backends
from agentark_operator.attempts.facts import Attempt
from agentark_operator.attempts.pods import Image, pod_template
from agentark_operator.attempts.workload import QUEUE, Owner, Workload, child_name, labels
from agentark_operator.backends import BACKENDS, load
from agentark_operator.informers.children import alive
from agentark_operator.kube import path_of
from agentark_operator.permissions import TABLE

from agentark.api import Elastic, Gang, RuntimeRef, StoreSource
from agentark.api.training import BackendName
from agentark.errors import InvalidInput
from agentark.planning import Stage

KEY = "0123456789abcdef"
OWNER = Owner("DistillJob", "student", "team", "uid-1", {QUEUE: "gpus"}, {})
STAGE = Stage(kind="distill", name="distill/RSFT", key=KEY, params={})
INDEX, ROLE = ("batch.kubernetes.io/job-completion-index", "0"), ("training.kubeflow.org/job-role", "master")
EXPECTED = {
    "Job": ("batch/v1", "jobs", "stage", INDEX, {"suspend": True}),
    "PyTorchJob": ("kubeflow.org/v1", "pytorchjobs", "pytorch", ROLE, {"runPolicy": {"suspend": True}}),
    "TrainJob": ("trainer.kubeflow.org/v1alpha1", "trainjobs", "node", INDEX, {"suspend": True}),
}
"""Kind -> API version, plural, container, label of the main pod, change that suspends it, as their own APIs say."""
ALL, APPLIED = ("get", "list", "watch", "create", "patch", "delete"), ("create", "patch")
RIGHTS = {
    "Job": [("batch", "jobs", ALL), ("", "services", APPLIED)],
    "PyTorchJob": [("kubeflow.org", "pytorchjobs", ALL)],
    "TrainJob": [("trainer.kubeflow.org", "trainjobs", ALL)],
}
"""Kind -> group, plural and verbs of what the operator may do for it."""
CONTAINERS = {name: container for name, (_, _, container, *_) in EXPECTED.items()}


def workload(overlay: dict[str, Any] | None = None, **changes: Any) -> Workload:
    template = pod_template(
        STAGE,
        image=Image("worker:1", pull_secrets=("pull",)),
        store=StoreSource(uri="s3://bucket"),
        plan="plan.json",
        attempt=1,
        gpus=2,
        overlay=overlay,
    )
    name = child_name(OWNER, "distill", KEY, 1)
    made = Workload(OWNER, "distill", STAGE.name, KEY, 1, "student-0a", name, template, distributed=True)
    return replace(made, **changes)


def render(backend: str, **changes: Any) -> dict[str, Any]:
    rendered: dict[str, Any] = BACKENDS[backend].render(workload(**changes))[0]
    return rendered


def environment(container: dict[str, Any]) -> dict[str, Any]:
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container["env"]}


@pytest.mark.parametrize("backend", list(BACKENDS))
def test_what_all_backends_have_in_common(backend: str) -> None:
    child = render(backend, pods=2)
    assert json.loads(json.dumps(child)) == child, "plain data"
    assert child["kind"] == backend
    assert child["metadata"]["labels"] == labels(workload()) | {QUEUE: "gpus"}
    text = json.dumps(child)
    for word in ("--plan", "store:plan.json", "worker:1", "AGENTARK_ATTEMPT", '"nvidia.com/gpu": "2"'):
        assert word in text
    assert '"agentark.dev/attempt": "1"' in json.dumps(child["spec"]), "the pods are labelled"


@pytest.mark.parametrize("backend", list(BACKENDS))
def test_suspending_is_a_merge_patch_of_what_was_rendered(backend: str) -> None:
    for created in (True, False):
        child = render(backend, suspend=created)
        observed = BACKENDS[backend].observe(child, [])
        assert (observed.state == "Queued") == created
        patch = BACKENDS[backend].suspend(not created)
        changed = {**child, "spec": _merged(child["spec"], patch["spec"])}
        assert (BACKENDS[backend].observe(changed, []).state == "Queued") != created


def _merged(before: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    return before | {
        name: _merged(before.get(name, {}), value) if isinstance(value, dict) else value
        for name, value in patch.items()
    }


def test_every_module_of_a_backend_has_its_name_in_the_manifest_and_the_other_way_round() -> None:
    modules = (import_module(f"{backends.__name__}.{one.name}") for one in iter_modules(backends.__path__))
    kinds = [module.BACKEND.kind for module in modules if hasattr(module, "BACKEND")]
    assert sorted(kinds) == sorted(BACKENDS) == sorted(get_args(BackendName))
    assert all(backend.kind == name for name, backend in BACKENDS.items())


@pytest.mark.parametrize("backend", list(BACKENDS))
def test_a_backend_says_what_it_needs_and_how_to_get_it(backend: str) -> None:
    one = BACKENDS[backend]
    assert bool(one.install) == bool(one.software) == bool(one.crd) == (backend != "Job")


def test_a_module_whose_backend_is_none_is_refused_when_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentark_operator.backends.job.BACKEND", "Job")
    with pytest.raises(TypeError, match=r"BACKEND of agentark_operator.backends.job is of type str; make it a Backend"):
        load("Job")


def test_each_backend_asks_for_the_rights_that_it_needs_and_no_more() -> None:
    rows = {name: [row for row in TABLE if row.needed == name] for name in BACKENDS}
    asked = {name: [(row.group, *row.resources, row.verbs) for row in of] for name, of in rows.items()}
    assert asked == RIGHTS


@pytest.mark.parametrize("backend", list(BACKENDS))
def test_kinds_are_what_their_apis_say(backend: str) -> None:
    one, (version, plural, container, label, suspended) = BACKENDS[backend], EXPECTED[backend]
    assert (one.api_version, one.plural, one.container, one.main_label) == (version, plural, container, label)
    assert one.suspend(True) == {"spec": suspended}
    assert (one.group, one.version) == tuple(version.split("/"))
    assert render(backend)["apiVersion"] == version
    assert path_of(render(backend)).startswith(f"/apis/{version}/namespaces/team/{plural}/student-distill-")


def test_a_job_runs_each_pod_once_and_tells_how_it_failed() -> None:
    child = render("Job", pods=3, distributed=False)
    spec = child["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 3, 3)
    assert (spec["backoffLimit"], spec["podReplacementPolicy"]) == (0, "Failed")
    assert {rule["action"] for rule in spec["podFailurePolicy"]["rules"]} == {"FailJob"}
    assert "subdomain" not in spec["template"]["spec"]
    assert not any(name.startswith("PET_") for name in environment(spec["template"]["spec"]["containers"][0]))
    assert len(BACKENDS["Job"].render(workload(pods=3, distributed=False))) == 1


def test_pods_of_a_training_find_each_other() -> None:
    job, service = BACKENDS["Job"].render(workload(pods=4, processes=2))
    template = job["spec"]["template"]["spec"]
    found = environment(template["containers"][0])
    name = job["metadata"]["name"]
    assert (found["PET_NNODES"], found["PET_NPROC_PER_NODE"], found["PET_MASTER_PORT"]) == ("4", "2", "29500")
    assert found["PET_MASTER_ADDR"] == f"{name}-0.{template['subdomain']}"
    assert "job-completion-index" in found["PET_NODE_RANK"]["fieldRef"]["fieldPath"]
    assert service["metadata"]["name"] == template["subdomain"]
    assert service["spec"]["clusterIP"] == "None" and service["spec"]["publishNotReadyAddresses"] is True
    assert QUEUE not in service["metadata"]["labels"]


def test_processes_of_one_pod_meet_in_it() -> None:
    (job,) = BACKENDS["Job"].render(workload(pods=1, processes=2))
    found = environment(job["spec"]["template"]["spec"]["containers"][0])
    assert (found["PET_NNODES"], found["PET_NPROC_PER_NODE"], found["PET_MASTER_ADDR"]) == ("1", "2", "localhost")
    (job,) = BACKENDS["Job"].render(workload(pods=1, processes=1))
    assert "PET_NNODES" not in environment(job["spec"]["template"]["spec"]["containers"][0])


def test_a_pytorchjob_has_a_master_and_workers() -> None:
    spec = render("PyTorchJob", pods=4, processes=8, suspend=True)["spec"]
    replicas = spec["pytorchReplicaSpecs"]
    assert {name: (one["replicas"], one["restartPolicy"]) for name, one in replicas.items()} == {
        "Master": (1, "Never"),
        "Worker": (3, "Never"),
    }
    for one in replicas.values():
        assert [container["name"] for container in one["template"]["spec"]["containers"]] == ["pytorch"]
    assert spec["nprocPerNode"] == "8"
    assert spec["runPolicy"] == {"cleanPodPolicy": "Running", "suspend": True}
    assert list(render("PyTorchJob", pods=1)["spec"]["pytorchReplicaSpecs"]) == ["Master"]


def test_gang_and_elastic() -> None:
    gang = Gang(queue="q", priority_class="high", min_available=2, schedule_timeout_seconds=60)
    spec = render("PyTorchJob", pods=2, gang=gang)["spec"]
    assert spec["runPolicy"]["schedulingPolicy"] == {
        "queue": "q",
        "priorityClass": "high",
        "minAvailable": 2,
        "scheduleTimeoutSeconds": 60,
    }
    assert render("PyTorchJob", gang=Gang())["spec"]["runPolicy"]["schedulingPolicy"] == {}
    for pods, replicas in ((1, 2), (3, 3), (9, 4)):
        spec = render("PyTorchJob", pods=pods, elastic=Elastic(min_nodes=2, max_nodes=4, max_restarts=5))["spec"]
        policy = {"rdzvBackend": "c10d", "minReplicas": 2, "maxReplicas": 4, "maxRestarts": 5}
        assert spec["elasticPolicy"] == policy
        (worker,) = spec["pytorchReplicaSpecs"].values()
        assert (worker["replicas"], worker["restartPolicy"]) == (replicas, "ExitCode")


def test_a_trainjob_names_its_runtime() -> None:
    spec = render("TrainJob", pods=2, processes=4, runtime=RuntimeRef(name="mine", kind="TrainingRuntime"))["spec"]
    assert spec["runtimeRef"] == {"name": "mine", "kind": "TrainingRuntime", "apiGroup": "trainer.kubeflow.org"}
    trainer = spec["trainer"]
    assert (trainer["numNodes"], trainer["numProcPerNode"], trainer["image"]) == (2, 4, "worker:1")
    assert trainer["command"] == ["python", "-m", "agentark"]
    assert render("TrainJob")["spec"]["runtimeRef"]["name"] == "torch-distributed"


def schema(**fields: Any) -> dict[str, Any]:
    return {"properties": {"spec": {"properties": fields}}}


def props(*plain: str, **fields: Any) -> dict[str, Any]:
    return {"properties": {name: {} for name in plain} | fields}


def items(*fields: str, **deep: Any) -> dict[str, Any]:
    return {"items": props(*fields, **deep)}


MOUNTS = items("name", "env", "volumeMounts")
POD_2_0 = ("nodeSelector", "tolerations", "serviceAccountName", "volumes", "initContainers")
V2_0 = schema(labels={}, podSpecOverrides=items("targetJobs", *POD_2_0, containers=MOUNTS))
V2_1 = schema(
    labels={},
    podTemplateOverrides=items("targetJobs", "metadata", spec=props(*POD_2_0, "imagePullSecrets", containers=MOUNTS)),
)


def test_a_trainjob_takes_the_shape_that_the_cluster_knows() -> None:
    (child,) = BACKENDS["TrainJob"].render(workload(), V2_0)
    (override,) = child["spec"]["podSpecOverrides"]
    assert override["targetJobs"] == [{"name": "node"}]
    assert override.keys() == {"targetJobs", "volumes", "containers"}
    assert override["containers"][0].keys() == {"name", "volumeMounts"}, "variables of this one stand in trainer"
    assert child["spec"]["labels"] == labels(workload())

    (child,) = BACKENDS["TrainJob"].render(workload(), V2_1)
    (override,) = child["spec"]["podTemplateOverrides"]
    assert override["metadata"]["labels"] == labels(workload())
    assert override["spec"].keys() == {"volumes", "containers", "imagePullSecrets"}

    (child,) = BACKENDS["TrainJob"].render(workload(), None)
    (patch,) = child["spec"]["runtimePatches"]
    (job,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    pods = job["template"]["spec"]["template"]
    assert pods["metadata"]["labels"] == labels(workload())
    assert pods["spec"]["securityContext"]["runAsNonRoot"] is True
    assert pods["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    assert "labels" not in child["spec"]


@pytest.mark.parametrize(
    ("overlay", "known", "named"),
    [
        ({"spec": {"priorityClassName": "high"}}, None, "priorityClassName"),
        ({"spec": {"affinity": {"nodeAffinity": {}}}}, V2_0, "affinity"),
        ({"spec": {"containers": [{"name": "proxy", "image": "x"}]}}, None, "container 'proxy'"),
        ({"spec": {"containers": [{"name": "stage", "livenessProbe": {"exec": {}}}]}}, None, "livenessProbe"),
    ],
)
def test_what_a_trainjob_cannot_say_is_refused(overlay: dict[str, Any], known: Any, named: str) -> None:
    with pytest.raises(InvalidInput, match="put it into the training runtime") as error:
        BACKENDS["TrainJob"].render(workload(overlay), known)
    assert named in str(error.value)


def pod(backend: str = "Job", phase: str = "Pending", name: str = "p-0", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"batch.kubernetes.io/job-completion-index": "0"}},
        "spec": {"containers": [{"name": CONTAINERS[backend]}]},
        "status": {"phase": phase, **status},
    }


def waits(backend: str, reason: str, message: str = "") -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return pod(backend, containerStatuses=[{"name": CONTAINERS[backend], "image": "worker:1", "state": state}])


UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient GPUs"}
WAITING: list[tuple[str, str, str]] = [
    ("ImagePullBackOff", "Back-off pulling", "image 'worker:1' cannot be pulled"),
    ("ErrImagePull", "unauthorized", "unauthorized"),
    ("CreateContainerConfigError", 'secret "store" not found', 'secret "store" not found'),
    ("ContainerCreating", "", "starts"),
]


@pytest.mark.parametrize("backend", list(BACKENDS))
@pytest.mark.parametrize(("reason", "message", "told"), WAITING)
def test_what_can_be_mended_is_waited_for(backend: str, reason: str, message: str, told: str) -> None:
    found = BACKENDS[backend].observe(render(backend), [waits(backend, reason, message)])
    assert found.state == "Pending"
    assert found.reason == ("Starting" if reason == "ContainerCreating" else reason)
    assert told in found.message


@pytest.mark.parametrize("backend", list(BACKENDS))
def test_a_training_runs_when_all_of_its_pods_do(backend: str) -> None:
    child = render(backend, pods=2)
    running, waiting = pod(backend, "Running"), pod(backend, name="p-1", conditions=[UNSCHEDULABLE])
    found = BACKENDS[backend].observe(child, [running, waiting])
    assert (found.state, found.reason) == ("Pending", "Unschedulable")
    assert "Insufficient GPUs" in found.message
    assert BACKENDS[backend].observe(child, [running, pod(backend, "Running")]).state == "Running"
    assert alive([running, waiting]) == 2 and alive([running, pod(backend, "Failed")]) == 1


def test_workers_begin_before_all_are_there() -> None:
    child = render("Job", pods=2, distributed=False)
    found = BACKENDS["Job"].observe(child, [pod(phase="Running"), pod(conditions=[UNSCHEDULABLE])])
    assert found.state == "Running" and "Insufficient GPUs" in found.message


def event(reason: str, message: str, at: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
    about = {"kind": "Job", "name": "j"}
    return {"type": "Warning", "reason": reason, "message": message, "lastTimestamp": at, "involvedObject": about}


@pytest.mark.parametrize("backend", list(BACKENDS))
def test_pods_that_are_not_made_are_told_by_events(backend: str) -> None:
    observe = BACKENDS[backend].observe
    assert observe(render(backend), []).reason == "NoPods"
    quota = event("FailedCreate", 'pods "j-0" is forbidden: exceeded quota: team, requested: pods=1')
    found = observe(render(backend), [], [event("FailedCreate", "old", "2025-01-01T00:00:00Z"), quota])
    assert (found.state, found.reason) == ("Pending", "QuotaExceeded") and "exceeded quota: team" in found.message
    limits = event(
        "FailedCreatePod", "pods j is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi"
    )
    assert observe(render(backend), [], [limits]).reason == "LimitRange"
    security = event("FailedCreate", 'violates PodSecurity "restricted:latest"')
    assert observe(render(backend), [], [security]).reason == "PodSecurity"
    assert observe(render(backend), [], [event("FailedCreate", "webhook")]).reason == "FailedCreate"
    mount = event("FailedMount", 'secret "x" not found')
    assert observe(render(backend), [waits(backend, "ContainerCreating")], [mount]).reason == "FailedMount"


def ended(backend: str, type: str, **condition: Any) -> dict[str, Any]:
    status: dict[str, Any] = {"startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T01:00:00Z"}
    one = {"type": type, "status": "True", "lastTransitionTime": "2026-01-01T01:00:00Z", **condition}
    before = {"type": "Running", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    return render(backend) | {"status": status | {"conditions": [before, one]}}


@pytest.mark.parametrize(
    ("backend", "type"), [("Job", "Complete"), ("PyTorchJob", "Succeeded"), ("TrainJob", "Complete")]
)
def test_the_end_is_seen_with_its_times(backend: str, type: str) -> None:
    done = pod(backend, "Succeeded", startTime="2026-01-01T00:00:00Z")
    found = BACKENDS[backend].observe(ended(backend, type), [done])
    assert found == Attempt(
        1,
        found.body,
        "Succeeded",
        "Succeeded",
        "",
        started_at="2026-01-01T00:00:00Z",
        ended_at="2026-01-01T01:00:00Z",
    )


@pytest.mark.parametrize("backend", ["Job", "PyTorchJob", "TrainJob"])
def test_a_failure_has_its_class(backend: str) -> None:
    child = ended(backend, "Failed", reason="X", message="it failed")
    state = {"terminated": {"exitCode": 2, "message": "no column 'question'", "finishedAt": "2026-01-01T00:59:00Z"}}
    failed = pod(backend, "Failed", containerStatuses=[{"name": CONTAINERS[backend], "state": state}])
    found = BACKENDS[backend].observe(child, [failed])
    assert found.failure is not None
    assert (found.state, found.failure.kind, found.failure.exit_code) == ("Failed", "InvalidInput", 2)
    assert "no column 'question'" in found.message
    assert found.ended_at == "2026-01-01T01:00:00Z"
    gone = BACKENDS[backend].observe(child, [])
    assert gone.failure is not None
    # Trainer's Jobs take pods away when they have failed too often.
    assert gone.failure.kind == ("Application" if backend == "TrainJob" else "Interruption")


@pytest.mark.parametrize(
    ("backend", "condition"),
    [
        ("Job", {"reason": "DeadlineExceeded", "message": "Job was active longer than specified deadline"}),
        ("PyTorchJob", {"reason": "PyTorchJobFailed", "message": "it was active longer than specified deadline"}),
        ("TrainJob", {"reason": "DeadlineExceeded", "message": "TrainJob exceeded its deadline"}),
    ],
)
def test_the_deadline_is_no_interruption(backend: str, condition: dict[str, str]) -> None:
    found = BACKENDS[backend].observe(ended(backend, "Failed", **condition), [])
    assert found.failure is not None
    assert (found.failure.kind, found.failure.reason) == ("Application", "DeadlineExceeded")


@pytest.mark.parametrize("backend", ["Job", "PyTorchJob"])
def test_an_end_that_is_seen_before_those_of_its_pods_waits_for_them(backend: str) -> None:
    # Objects and pods are watched apart: a crash was once taken for an interruption, since no pod had told of it yet.
    child = ended(backend, "Failed", reason="X", message="1 replica has failed")
    state = {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T00:59:00Z"}}
    runs, other = pod(backend, "Running"), pod(backend, "Running", name="p-1")
    going = {**other, "metadata": {**other["metadata"], "deletionTimestamp": "2026-01-01T01:00:00Z"}}
    failed = pod(backend, "Failed", containerStatuses=[{"name": CONTAINERS[backend], "state": state}])
    observe = BACKENDS[backend].observe
    assert [observe(child, pods).state for pods in ([runs, other], [runs, going])] == ["Running", "Running"]
    found = observe(child, [failed, going])
    assert found.state == "Failed" and found.failure is not None
    assert (found.failure.kind, found.failure.exit_code) == ("Application", 1)
    assert observe(child, [going]).state == "Failed", "the only one was deleted"


def test_a_job_that_its_controller_has_forgotten_has_failed() -> None:
    # Seen under chaos: the pod was made and evicted while the controller could not watch.
    status = {"startTime": "2026-01-01T00:00:00Z", "failed": 1, "terminating": 0, "uncountedTerminatedPods": {}}
    child = render("Job", distributed=False) | {"status": status}
    observe = BACKENDS["Job"].observe
    seen = observe(child, [])
    assert seen.state == "Failed" and seen.failure is not None
    assert (seen.failure.kind, seen.failure.reason) == ("Interruption", "PodsGone")
    assert seen.failure.message == (
        "the attempt failed and no pod is left that tells why: its Job has counted the pod as failed"
    )
    assert observe(child, [pod()]).state == "Pending", "its pod is yet to go"
    for further in (
        {"active": 1},
        {"terminating": 1},
        {"uncountedTerminatedPods": {"failed": ["uid"]}},
        {"conditions": [{"type": "FailureTarget", "status": "True"}]},
    ):
        assert observe(child | {"status": status | further}, []).state == "Pending", further


def test_suspended_without_a_queue_is_suspended() -> None:
    child = render("Job", suspend=True)
    child["metadata"]["labels"].pop(QUEUE)
    found = BACKENDS["Job"].observe(child, [pod(phase="Running")])
    assert found.state == "Suspended"
