"""Whose fault a failed attempt was, for everything that becomes of pods."""

from typing import Any

import pytest
from agentark_operator.diagnosis.failures import Ended, Failure, FailureKind, classify

FAILED = Ended("BackoffLimitExceeded", "Job has reached the specified backoff limit", "2026-01-01T00:10:00Z")
INDEX, ROLE = "batch.kubernetes.io/job-completion-index", "training.kubeflow.org/job-role"


def pod(
    name: str = "main",
    code: int | None = None,
    *,
    at: str = "2026-01-01T00:05:00Z",
    reason: str = "Error",
    message: str = "",
    index: str = "0",
    deleted: str = "",
    container: str = "stage",
    init: bool = False,
    **status: Any,
) -> dict[str, Any]:
    """A pod; with a code one whose container ended."""
    metadata: dict[str, Any] = {"name": name, "labels": {INDEX: index}}
    if deleted:
        metadata |= {"deletionTimestamp": deleted, "deletionGracePeriodSeconds": 300}
    if code is not None:
        ended = {"exitCode": code, "reason": reason, "message": message, "finishedAt": at}
        field = "initContainerStatuses" if init else "containerStatuses"
        status.setdefault(field, []).append({"name": container, "state": {"terminated": ended}})
        status.setdefault("phase", "Failed" if code else "Succeeded")
    spec = {"containers": [{"name": "stage", "resources": {"limits": {"memory": "4Gi"}}}, {"name": "bare"}]}
    return {"metadata": metadata, "spec": spec, "status": {"phase": "Failed", **status}}


def disrupted(reason: str) -> list[dict[str, str]]:
    return [{"type": "DisruptionTarget", "status": "True", "reason": reason, "message": f"{reason}: so it is"}]


def of(*pods: dict[str, Any], ended: Ended = FAILED, **options: Any) -> Failure:
    return classify(pods, ended, container="stage", **{"main_label": (INDEX, "0"), **options})


OWN_LIMITS = {
    'Usage of EmptyDir volume "work" exceeds the limit "20Gi". ': "emptyDir.sizeLimit of volume 'work' in spec.pods",
    "Pod ephemeral local storage usage exceeds the total limit of containers 10Gi. ": (
        "resources.limits.ephemeral-storage in spec.pods"
    ),
    'Container stage exceeded its local ephemeral storage limit "10Gi". ': (
        "resources.limits.ephemeral-storage in spec.pods"
    ),
}
"""What the kubelet says of a pod that wrote more than it may, and the field that allows it more."""


def evicted(message: str, **options: Any) -> dict[str, Any]:
    """A pod that the kubelet took away."""
    made = pod(**options)
    made["status"] |= {"reason": "Evicted", "message": message}
    return made


ALONE: list[tuple[dict[str, Any], FailureKind, str]] = [
    (pod(code=1), "Application", "Error"),
    (pod(code=139), "Application", "Error"),
    (pod(code=2), "InvalidInput", "InvalidInput"),
    (pod(code=69), "Interruption", "ServiceUnavailable"),
    (pod(code=75), "Interruption", "Interrupted"),
    (pod(code=137), "Application", "Error"),
    (pod(code=137, reason="OOMKilled"), "Application", "OOMKilled"),
    (pod(code=128, reason="StartError"), "Application", "StartError"),
    (pod(code=137, reason="ContainerStatusUnknown"), "Interruption", "NodeLost"),
    (pod(code=137, conditions=disrupted("PreemptionByScheduler")), "Interruption", "PreemptionByScheduler"),
    (pod(code=143, conditions=disrupted("EvictionByEvictionAPI")), "Interruption", "EvictionByEvictionAPI"),
    (pod(code=1, conditions=disrupted("DeletionByTaintManager")), "Interruption", "DeletionByTaintManager"),
    (pod(conditions=disrupted("DeletionByPodGC")), "Interruption", "DeletionByPodGC"),
    (
        pod() | {"status": {"phase": "Failed", "reason": "Evicted"}},
        "Interruption",
        "Evicted",
    ),
    (evicted("The node was low on resource: ephemeral-storage. "), "Interruption", "Evicted"),
    (
        evicted("The node was low on resource: ephemeral-storage. Container stage was using 12Gi, request is 0. "),
        "Interruption",
        "Evicted",
    ),
    (evicted("The node had condition: [DiskPressure]. "), "Interruption", "Evicted"),
    (evicted("Pod was rejected: The node had condition: [MemoryPressure]. "), "Interruption", "Evicted"),
    (
        evicted("The node was low on resource: memory. ", conditions=disrupted("TerminationByKubelet")),
        "Interruption",
        "TerminationByKubelet",
    ),
    *((evicted(said), "Application", "StorageLimitExceeded") for said in OWN_LIMITS),
    *(
        (evicted(said, code=137, conditions=disrupted("TerminationByKubelet")), "Application", "StorageLimitExceeded")
        for said in OWN_LIMITS
    ),
    (pod(code=1, message=next(iter(OWN_LIMITS))), "Application", "Error"),
    (pod() | {"status": {"phase": "Failed", "reason": "Terminated"}}, "Interruption", "Terminated"),
    (pod() | {"status": {"phase": "Unknown", "reason": "NodeLost"}}, "Interruption", "NodeLost"),
    (pod(deleted="2026-01-01T00:08:00Z", phase="Running"), "Interruption", "PodDeleted"),
    (pod(code=143, deleted="2026-01-01T00:08:00Z"), "Interruption", "PodDeleted"),
    (pod(code=2, deleted="2026-01-01T00:08:00Z"), "InvalidInput", "InvalidInput"),
    (pod(), "Interruption", "PodLost"),
    (pod(code=2, container="fetch", init=True), "InvalidInput", "InvalidInput"),
]


@pytest.mark.parametrize(("found", "kind", "reason"), ALONE)
def test_one_pod(found: dict[str, Any], kind: str, reason: str) -> None:
    failure = of(found)
    assert (failure.kind, failure.reason) == (kind, reason)
    assert failure.message


def test_the_last_lines_and_the_pod_are_told() -> None:
    failure = of(pod(code=1, message="x" * 4000 + "ValueError: no such column\n"))
    assert failure.message.startswith("pod main, container stage: exit code 1: ")
    assert failure.message.endswith("ValueError: no such column")
    assert len(failure.message) < 1600 and failure.exit_code == 1


def test_memory_names_the_limit_and_the_mend() -> None:
    assert "memory limit of 4Gi; raise resources.limits.memory" in of(pod(code=137, reason="OOMKilled")).message
    bare = of(pod(code=137, reason="OOMKilled", container="bare"))
    assert "requests.memory" in bare.message


@pytest.mark.parametrize(("said", "field"), OWN_LIMITS.items())
def test_storage_names_the_limit_and_the_field_that_raises_it(said: str, field: str) -> None:
    failure = of(evicted(said))
    assert failure.message == f"pod main: {said.strip().rstrip('.')}; raise {field}, or let it do less at once"
    assert len(of(evicted(said + "x" * 10_000)).message) < 1700


def test_a_full_disk_explains_why_the_others_were_taken_away() -> None:
    full = evicted(next(iter(OWN_LIMITS)), name="worker", index="1")
    gone = pod("other", 143, index="2", conditions=disrupted("EvictionByEvictionAPI"), at="2026-01-01T00:01:00Z")
    assert of(gone, pod(code=1, message="connection reset"), full).reason == "StorageLimitExceeded"
    assert of(pod(code=2), full).kind == "InvalidInput", "unless it would never have worked"


def test_the_main_pod_decides_if_it_ended_by_itself() -> None:
    worker = pod("worker", 1, index="1", at="2026-01-01T00:01:00Z")
    assert of(worker, pod(code=75)).reason == "Interrupted"
    assert of(worker, pod(code=2)).kind == "InvalidInput"
    assert "pod main" in of(worker, pod(code=1)).message


def test_else_the_first_to_fail_decides() -> None:
    first = pod("first", 1, index="2", at="2026-01-01T00:01:00Z", message="the cause")
    second = pod("second", 1, index="1", at="2026-01-01T00:02:00Z", message="the consequence")
    assert "the cause" in of(second, first).message
    assert "the cause" in of(second, first, pod(code=143)).message
    master = pod(code=75, deleted="2026-01-01T00:06:01Z")  # it was asked to end because the other had failed
    assert of(master, first).kind == "Application"
    # Within the same second too.
    same = pod(code=143, deleted="2026-01-01T00:06:00Z")
    assert "the cause" in of(same, first).message


def test_a_lost_node_explains_why_the_others_failed() -> None:
    lost = pod("worker", 137, index="1", conditions=disrupted("DeletionByTaintManager"), at="2026-01-01T00:06:00Z")
    failure = of(pod(code=1, message="connection reset"), lost)
    assert (failure.kind, failure.reason) == ("Interruption", "DeletionByTaintManager")
    assert of(pod(code=2), lost).kind == "InvalidInput", "unless it would never have worked"


def test_masters_are_main() -> None:
    master, worker = pod("m", 3), pod("w", 4, at="2026-01-01T00:01:00Z")
    master["metadata"]["labels"] = {ROLE: "master"}
    worker["metadata"]["labels"] = {"training.kubeflow.org/replica-type": "worker"}
    assert of(worker, master, main_label=(ROLE, "master")).exit_code == 3
    assert of(worker, master, main_label=("other", "master")).exit_code == 4, "else the first that ended"


def test_pods_that_went_well_say_nothing() -> None:
    assert of(pod(code=0), pod("w", 1, index="1")).exit_code == 1
    assert of(pod(code=0)).reason == "PodsGone"


def test_the_deadline_comes_first() -> None:
    failure = of(pod(code=143), ended=Ended("DeadlineExceeded", "Job was active longer than specified deadline"))
    assert (failure.kind, failure.reason) == ("Application", "DeadlineExceeded")


WITHOUT_PODS: list[tuple[str, FailureKind, str, int | None]] = [
    (
        "Container stage for pod a/b failed with exit code 2 matching FailJob rule at index 1",
        "InvalidInput",
        "InvalidInput",
        2,
    ),
    ("Container stage for pod a/b failed with exit code 69 matching", "Interruption", "ServiceUnavailable", 69),
    ("Container stage for pod a/b failed with exit code 75 matching FailJob rule", "Interruption", "Interrupted", 75),
    ("Container stage for pod a/b failed with exit code 137 matching FailJob rule", "Application", "Error", 137),
    ("Pod a/b has condition DisruptionTarget matching FailJob rule", "Interruption", "DisruptionTarget", None),
    ("Job has reached the specified backoff limit", "Interruption", "PodsGone", None),
    ("", "Interruption", "PodsGone", None),
]


@pytest.mark.parametrize(("message", "kind", "reason", "code"), WITHOUT_PODS)
def test_without_pods_the_child_is_asked(message: str, kind: str, reason: str, code: int | None) -> None:
    failure = of(ended=Ended("PodFailurePolicy", message))
    assert (failure.kind, failure.reason, failure.exit_code) == (kind, reason, code)
    assert of(ended=Ended("FailedJobs", "jobset failed"), keeps_pods=False).kind == "Application"
