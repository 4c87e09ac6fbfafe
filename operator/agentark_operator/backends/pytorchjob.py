"""Attempts as PyTorchJobs of the Kubeflow Training Operator."""

from collections.abc import Mapping, Sequence
from typing import Any

from agentark_operator.attempts.workload import Workload, child_metadata, stamped_template
from agentark_operator.backends.backend import Backend
from agentark_operator.backends.reading import Body, Reading, condition, ended
from agentark_operator.diagnosis.failures import Ended
from agentark_operator.reasons import Reason

_INSTALL = (
    "kubectl apply --server-side -k "
    "'github.com/kubeflow/training-operator.git/manifests/overlays/standalone?ref=v1.9.3'"
)

_CONTAINER = "pytorch"
"""What the Training Operator wants the container to be called."""


def render(workload: Workload, schema: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """The PyTorchJob of an attempt.

    A training of fixed size has a Master and Workers. An elastic one has Workers only, since the Training Operator
    counts and replaces these: its rendezvous is at the first of them.
    """
    # Imported here: it takes 0.2 s beyond the Kubernetes client, and only those pay who train on this backend.
    from kubeflow.training import models  # type: ignore[import-untyped]

    elastic = workload.elastic
    template = stamped_template(workload, _CONTAINER)

    def replicas(count: int) -> Any:
        # Attempts are the operator's. Elastic ones replace pods that were killed, not pods that ended by themselves.
        policy = "ExitCode" if elastic else "Never"
        return models.KubeflowOrgV1ReplicaSpec(replicas=count, restart_policy=policy, template=template)

    if elastic:
        specs = {"Worker": replicas(min(max(workload.pods, elastic.min_nodes), elastic.max_nodes))}
    else:
        specs = {"Master": replicas(1)} | ({"Worker": replicas(workload.pods - 1)} if workload.pods > 1 else {})
    job = models.KubeflowOrgV1PyTorchJob(
        api_version="kubeflow.org/v1",
        kind="PyTorchJob",
        metadata=child_metadata(workload),
        spec=models.KubeflowOrgV1PyTorchJobSpec(
            # Not elasticPolicy.nProcPerNode: the Training Operator's webhook refuses both together.
            nproc_per_node=str(workload.processes),
            pytorch_replica_specs=specs,
            run_policy=_run_policy(workload, models),
            elastic_policy=models.KubeflowOrgV1ElasticPolicy(
                rdzv_backend="c10d",
                min_replicas=elastic.min_nodes,
                max_replicas=elastic.max_nodes,
                max_restarts=elastic.max_restarts,
            )
            if elastic
            else None,
        ),
    )
    rendered: dict[str, Any] = _plain(job)
    return [rendered]


def _read(child: Body, pods: Sequence[Body]) -> Reading:
    status = child.get("status") or {}
    failed = ended(condition(child, "Failed"))
    if failed is not None and "longer than specified deadline" in failed.message:
        # Its reason is PyTorchJobFailed whatever happened.
        failed = Ended(Reason.DEADLINE_EXCEEDED, failed.message, failed.at)
    return Reading(
        succeeded=condition(child, "Succeeded") is not None,
        failed=failed,
        started_at=str(status.get("startTime") or ""),
        ended_at=str(status.get("completionTime") or (failed.at if failed else "")),
        needs_all="elasticPolicy" not in child["spec"],
    )


def _run_policy(workload: Workload, models: Any) -> Any:
    gang = workload.gang
    scheduling = gang and models.KubeflowOrgV1SchedulingPolicy(
        queue=gang.queue or None,
        priority_class=gang.priority_class or None,
        min_available=gang.min_available,
        schedule_timeout_seconds=gang.schedule_timeout_seconds,
    )
    # No backoffLimit: with restartPolicy Never nothing is tried again anyway, and with a limit the Training Operator
    # deletes the pods that failed before anybody has seen why.
    return models.KubeflowOrgV1RunPolicy(
        clean_pod_policy="Running",  # those that failed stay, to tell why
        suspend=workload.suspend,
        scheduling_policy=scheduling,
    )


def _plain(value: Any) -> Any:
    """A model of the client as what goes over the wire; fields that are not set are left out."""
    if hasattr(value, "attribute_map"):
        fields = ((wire, getattr(value, name)) for name, wire in value.attribute_map.items())
        return {wire: _plain(inner) for wire, inner in fields if inner is not None}
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return value


BACKEND = Backend(
    kind="PyTorchJob",
    api_version="kubeflow.org/v1",
    plural="pytorchjobs",
    container=_CONTAINER,
    main_label=("training.kubeflow.org/job-role", "master"),
    suspend_path=("runPolicy", "suspend"),
    render=render,
    read=_read,
    software="Kubeflow Training Operator 1.9",
    install=_INSTALL,
)
