"""Attempts as TrainJobs of Kubeflow Trainer.

The pods come from a runtime of the platform, and a TrainJob says what is otherwise. How it says so has changed within
one API version: podSpecOverrides in 2.0, podTemplateOverrides in 2.1, runtimePatches since 2.2. So the schema in the
cluster decides, field by field; what it has no place for (in 2.0 and 2.1 security contexts and pod labels) the runtime
has to bring.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from agentark.api import RuntimeRef
from agentark.errors import InvalidInput
from agentark_operator.attempts.workload import GROUP, MANAGER, Workload, child_metadata, labels, stamped_template
from agentark_operator.backends.backend import Backend
from agentark_operator.backends.job import INDEX
from agentark_operator.backends.reading import Body, Reading, condition, ended, first_start

_INSTALL = (
    "kubectl apply --server-side -k 'github.com/kubeflow/trainer.git/manifests/overlays/manager?ref=v2.3.0' && "
    "kubectl apply --server-side -k 'github.com/kubeflow/trainer.git/manifests/overlays/runtimes?ref=v2.3.0'"
)

_CONTAINER = _JOB = "node"
"""What Trainer calls the container of the training, and its replicated job in the runtime."""
_POD_FIELDS = frozenset({"serviceAccountName", "nodeSelector", "affinity", "tolerations", "schedulingGates"}) | {
    *("volumes", "containers", "imagePullSecrets", "securityContext")
}
_CONTAINER_FIELDS = frozenset({"volumeMounts", "securityContext"})
"""What 2.3 lets a TrainJob say of pods and of the container; taken where the schema cannot be asked."""
_LEFT_TO_RUNTIME = {
    *("automountServiceAccountToken", "enableServiceLinks", "terminationGracePeriodSeconds", "restartPolicy"),
    *("securityContext", "imagePullSecrets"),
}
"""What our template says of pods and not every TrainJob can."""
_IN_TRAINER = {"image", "command", "args", "env", "resources"}
_CONTAINER_LEFT_TO_RUNTIME = {"name", "imagePullPolicy", "securityContext", "terminationMessagePolicy", "ports"}


def render(workload: Workload, schema: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """The TrainJob of an attempt.

    Args:
        schema: openAPIV3Schema of TrainJob in the cluster; the newest known shape without it.

    Raises:
        InvalidInput: spec.pods says what a TrainJob cannot.
    """
    template = stamped_template(workload, _CONTAINER)
    container = next(container for container in template["spec"]["containers"] if container["name"] == _CONTAINER)
    runtime = workload.runtime or RuntimeRef()
    known = None if schema is None else _properties(schema, "spec")
    spec: dict[str, Any] = {
        "runtimeRef": {"name": runtime.name, "kind": runtime.kind, "apiGroup": "trainer.kubeflow.org"},
        "trainer": {
            "image": container["image"],
            "command": container["command"],
            "args": container["args"],
            "env": container.get("env") or [],
            "numNodes": workload.pods,
            "numProcPerNode": workload.processes,
            "resourcesPerNode": container.get("resources") or {},
        },
        "suspend": workload.suspend,
        **_overrides(template, known or {}),
    }
    if known is not None and "labels" in known:
        spec["labels"] = labels(workload)
    metadata = child_metadata(workload)
    return [{"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "metadata": metadata, "spec": spec}]


def _read(child: Body, pods: Sequence[Body]) -> Reading:
    complete, failed = condition(child, "Complete"), ended(condition(child, "Failed"))
    return Reading(
        succeeded=complete is not None,
        failed=failed,
        started_at=first_start(pods),
        ended_at=failed.at if failed else str((complete or {}).get("lastTransitionTime") or ""),
        needs_all=True,
        # Unless the runtime says otherwise its Jobs start containers again, and take their pods away in the end.
        keeps_pods=False,
    )


def _overrides(template: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """The pod template in the field that the TrainJobs of this cluster have for it."""
    target = {"targetJobs": [{"name": _JOB}]}
    if "podSpecOverrides" in known:
        return {"podSpecOverrides": [target | _pod(template["spec"], known["podSpecOverrides"]["items"])]}
    metadata = template["metadata"]
    if "podTemplateOverrides" in known:
        spec = _pod(template["spec"], _inside(known["podTemplateOverrides"], "spec"))
        return {"podTemplateOverrides": [target | {"metadata": metadata, "spec": spec}]}
    path = ("trainingRuntimeSpec", "template", "spec", "replicatedJobs", "template", "spec", "template", "spec")
    spec = _pod(template["spec"], _inside(known.get("runtimePatches", {}), *path))
    jobs = [{"name": _JOB, "template": {"spec": {"template": {"metadata": metadata, "spec": spec}}}}]
    patch = {"template": {"spec": {"replicatedJobs": jobs}}}
    return {"runtimePatches": [{"manager": f"{GROUP}/{MANAGER}", "trainingRuntimeSpec": patch}]}


def _pod(spec: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """What of a pod's spec a TrainJob can say; the rest is the runtime's."""
    fields = set(_properties(schema)) or _POD_FIELDS
    inside = set(_properties(schema, "containers")) or _CONTAINER_FIELDS
    more = [container["name"] for container in spec["containers"] if container["name"] != _CONTAINER]
    more += [container["name"] for container in spec.get("initContainers") or ()]
    if more:
        raise InvalidInput(
            f"spec.pods has the container {more[0]!r}, and a TrainJob cannot add any; put it into the training runtime"
        )
    (container,) = spec["containers"]
    _refuse(spec.keys() - fields - _LEFT_TO_RUNTIME, "spec.pods.spec")
    _refuse(container.keys() - inside - _IN_TRAINER - _CONTAINER_LEFT_TO_RUNTIME, "spec.pods.spec.containers")
    kept = {field: value for field, value in spec.items() if field in fields and field != "initContainers"}
    said = {field: value for field, value in container.items() if field in inside and field not in _IN_TRAINER}
    return kept | {"containers": [said | {"name": _CONTAINER}]}


def _refuse(fields: set[str], place: str) -> None:
    if fields:
        names = ", ".join(sorted(fields))
        raise InvalidInput(f"{place} has {names}, which a TrainJob has no place for; put it into the training runtime")


def _properties(schema: Mapping[str, Any], *path: str) -> dict[str, Any]:
    return dict(_inside(schema, *path).get("properties", {}))


def _inside(schema: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """The schema of a field below, through lists; empty where there is none."""
    for name in path:
        schema = schema.get("items", schema).get("properties", {}).get(name, {})
    inside: Mapping[str, Any] = schema.get("items", schema)
    return inside


BACKEND = Backend(
    kind="TrainJob",
    api_version="trainer.kubeflow.org/v1alpha1",
    plural="trainjobs",
    container=_CONTAINER,
    main_label=(INDEX, "0"),  # its pods are those of Jobs
    suspend_path=("suspend",),
    render=render,
    read=_read,
    software="Kubeflow Trainer 2",
    install=_INSTALL,
    asks_schema=True,
)
