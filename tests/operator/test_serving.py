"""A teacher that several resources share, and why it does not serve."""

from dataclasses import replace
from typing import Any

import pytest
from agentark_operator.attempts.pods import Image, vllm_template
from agentark_operator.attempts.workload import Owner
from agentark_operator.diagnosis.pending import Waiting
from agentark_operator.teachers.serving import (
    serving_state,
    teacher_name,
    teacher_objects,
    teacher_url,
)

from agentark.api import Serving, StoreSource

SERVING = Serving(replicas=2)
FIRST = Owner("DebateRun", "a", "team", "uid-1", {}, {})
SECOND = Owner("DistillJob", "b", "team", "uid-2", {}, {})


def objects(*owners: Owner, serving: Serving = SERVING) -> list[dict[str, Any]]:
    template = vllm_template(
        uri="hf://a/b",
        identity="commit:1",
        served_name="m",
        serving=serving,
        image=Image("vllm:1"),
        worker=Image("worker:1"),
        store=StoreSource(uri="s3://bucket"),
    )
    return teacher_objects(teacher_name("commit:1", serving), template, serving, owners)


def test_those_who_ask_for_the_same_share_it() -> None:
    name = teacher_name("commit:1", SERVING)
    assert name == teacher_name("commit:1", Serving(replicas=2))
    assert len({name, teacher_name("commit:2", SERVING), teacher_name("commit:1", Serving())}) == 3
    assert teacher_url(name, "team") == f"http://{name}.team.svc:8000/v1"


def test_owners_do_not_control_it_and_their_order_does_not_matter() -> None:
    deployment, service = objects(SECOND, FIRST)
    assert [deployment, service] == objects(FIRST, SECOND)
    references = deployment["metadata"]["ownerReferences"]
    assert [(one["kind"], one["uid"]) for one in references] == [("DebateRun", "uid-1"), ("DistillJob", "uid-2")]
    assert not any("controller" in one for one in references)
    assert service["metadata"]["ownerReferences"] == references


def test_the_service_finds_the_pods_whatever_an_overlay_labels() -> None:
    pods = {"metadata": {"labels": {"agentark.dev/teacher": "other", "team": "a"}}}
    deployment, service = objects(FIRST, serving=Serving(pods=pods))
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]
    assert (labels["team"], labels["app.kubernetes.io/managed-by"]) == ("a", "agentark-operator")
    port = deployment["spec"]["template"]["spec"]["containers"][0]["ports"][0]
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]


def state(status: dict[str, Any], *pods: dict[str, Any]) -> Waiting | None:
    return serving_state({"metadata": {"name": "teacher-x"}, "status": status}, pods)


def pod(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "status": {"phase": "Pending", **status}}


def container(waiting: dict[str, str] | None = None, **more: Any) -> list[dict[str, Any]]:
    state = {"waiting": waiting} if waiting else {"running": {}}
    return [{"name": "vllm", "image": "vllm:1", "state": state, **more}]


LAST = {"terminated": {"exitCode": 1, "message": "CUDA out of memory\n"}}
UNSCHEDULABLE = [
    {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/4 nodes: Insufficient nvidia.com/gpu",
    }
]
QUOTA = {
    "type": "ReplicaFailure",
    "status": "True",
    "reason": "FailedCreate",
    "message": 'pods "p" is forbidden: exceeded quota: team, requested: requests.nvidia.com/gpu=4',
}
CASES: list[tuple[dict[str, Any], list[dict[str, Any]], str, str]] = [
    ({}, [], "NoPods", "no pods yet"),
    ({"conditions": [QUOTA]}, [], "QuotaExceeded", "exceeded quota: team"),
    ({"conditions": [QUOTA | {"message": "webhook says no"}]}, [], "FailedCreate", "webhook says no"),
    ({}, [pod(conditions=UNSCHEDULABLE)], "Unschedulable", "Insufficient nvidia.com/gpu"),
    ({}, [pod(containerStatuses=container({"reason": "ImagePullBackOff"}))], "ImagePullBackOff", "vllm:1"),
    (
        {},
        [
            pod(
                phase="Running",
                containerStatuses=container({"reason": "CrashLoopBackOff"}, lastState=LAST, restartCount=3),
            )
        ],
        "CrashLoopBackOff",
        "CUDA out of memory",
    ),
    (
        {},
        [pod(initContainerStatuses=container({"reason": "CrashLoopBackOff"}, lastState=LAST))],
        "CrashLoopBackOff",
        "exit code 1",
    ),
    ({}, [pod(phase="Running", containerStatuses=container(lastState=LAST))], "Restarted", "CUDA out of memory"),
    ({}, [pod(phase="Running", containerStatuses=container())], "EndpointNotReady", "1 pod load"),
    ({}, [pod(containerStatuses=container({"reason": "ContainerCreating"}))], "Starting", "starts"),
    ({"readyReplicas": 0}, [], "NoPods", ""),
]


@pytest.mark.parametrize(("status", "pods", "reason", "text"), CASES)
def test_why_nothing_serves(status: dict[str, Any], pods: list[dict[str, Any]], reason: str, text: str) -> None:
    found = state(status, *pods)
    assert found is not None
    assert found.reason == reason
    assert text in found.message and "teacher-x" in found.message


def test_one_pod_is_enough() -> None:
    assert state({"readyReplicas": 1, "conditions": [QUOTA]}, pod()) is None


def test_owners_of_a_namespace() -> None:
    (deployment, _) = objects(replace(FIRST, namespace="elsewhere"))
    assert deployment["metadata"]["namespace"] == "elsewhere"
