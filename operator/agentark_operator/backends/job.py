"""Attempts as Indexed Jobs of Kubernetes itself: stages of one pod, workers that share questions, small trainings."""

from collections.abc import Mapping, Sequence
from typing import Any

from agentark_operator.attempts.workload import CONTAINER, Workload, child_metadata, labels, stamped_template
from agentark_operator.backends.backend import Backend
from agentark_operator.backends.reading import Body, Reading, condition, ended
from agentark_operator.diagnosis.failures import Ended
from agentark_operator.reasons import Reason

_PORT = 29500
INDEX = "batch.kubernetes.io/job-completion-index"
"""Label and annotation that the Job controller gives each pod."""


def render(workload: Workload, schema: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """The Job of an attempt; with pods that meet at a rendezvous also the Service that gives them names."""
    template = stamped_template(workload)
    together = workload.distributed and workload.pods > 1
    if together:
        template["spec"]["subdomain"] = workload.name
    if workload.distributed and workload.pods * workload.processes > 1:
        rendezvous = _rendezvous(workload)
        template["spec"]["containers"] = [
            {**entry, "env": [*(entry.get("env") or ()), *rendezvous]} if entry["name"] == CONTAINER else entry
            for entry in template["spec"]["containers"]
        ]
    spec: dict[str, Any] = {
        "completionMode": "Indexed",
        "completions": workload.pods,
        "parallelism": workload.pods,
        "backoffLimit": 0,  # attempts are the operator's
        "podReplacementPolicy": "Failed",
        # Both rules say in the Job's condition what happened, for when the pods are gone. The order counts: an evicted
        # pod has an exit code as well.
        "podFailurePolicy": {
            "rules": [
                {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                {
                    "action": "FailJob",
                    "onExitCodes": {"containerName": CONTAINER, "operator": "NotIn", "values": [0]},
                },
            ]
        },
        "suspend": workload.suspend,
        "template": template,
    }
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": child_metadata(workload), "spec": spec}
    return [job, _service(workload)] if together else [job]


def _read(child: Body, pods: Sequence[Body]) -> Reading:
    status = child.get("status") or {}
    failed = ended(condition(child, "Failed")) or _forgotten(child, pods)
    return Reading(
        succeeded=condition(child, "Complete") is not None,
        failed=failed,
        started_at=str(status.get("startTime") or ""),
        ended_at=failed.at if failed else str(status.get("completionTime") or ""),
        needs_all="subdomain" in child["spec"]["template"]["spec"],
    )


def _forgotten(child: Body, pods: Sequence[Body]) -> Ended | None:
    """The end of a Job that its controller has counted and does not say.

    One that was cut off while its pod was made, and then finds it on its way out, waits for it to come, and looks at
    the Job again only when somebody changes that. It will make no other pod: `backoffLimit` is 0.
    """
    status = child.get("status") or {}
    uncounted = (status.get("uncountedTerminatedPods") or {}).get("failed")
    if pods or not status.get("failed") or status.get("active") or status.get("terminating") or uncounted:
        return None
    if condition(child, "FailureTarget") is not None:  # on its way to Failed
        return None
    return Ended(Reason.PODS_GONE, "its Job has counted the pod as failed", str(status.get("startTime") or ""))


def _rendezvous(workload: Workload) -> list[dict[str, Any]]:
    """What torchrun reads, as the Training Operator and Trainer set it."""
    master = f"{workload.name}-0.{workload.name}" if workload.pods > 1 else "localhost"
    return [
        {"name": "PET_NNODES", "value": str(workload.pods)},
        {"name": "PET_NPROC_PER_NODE", "value": str(workload.processes)},
        {"name": "PET_NODE_RANK", "valueFrom": {"fieldRef": {"fieldPath": f"metadata.annotations['{INDEX}']"}}},
        {"name": "PET_MASTER_ADDR", "value": master},
        {"name": "PET_MASTER_PORT", "value": str(_PORT)},
    ]


def _service(workload: Workload) -> dict[str, Any]:
    spec = {
        "clusterIP": "None",
        "selector": {"batch.kubernetes.io/job-name": workload.name},
        "publishNotReadyAddresses": True,  # the pods meet before they are ready
        "ports": [{"name": "rendezvous", "port": _PORT, "protocol": "TCP"}],
    }
    # Kueue's labels belong to the Job alone.
    metadata = child_metadata(workload) | {"labels": labels(workload)}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


BACKEND = Backend(
    kind="Job",
    api_version="batch/v1",
    plural="jobs",
    container=CONTAINER,
    main_label=(INDEX, "0"),
    suspend_path=("suspend",),
    render=render,
    read=_read,
    purpose="stages, and trainings on this backend",
    beside={"services": "names for the pods of a training on more than one"},
)
