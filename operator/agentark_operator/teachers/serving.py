"""A teacher's weights behind vLLM: the objects that serve them, and whether they do. Pure.

A teacher belongs to all resources of its namespace that ask for the same weights served in the same way. Each of them
is an owner that does not control, so the server goes when the last of them does, or when the operator takes it away.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from agentark.api import Serving
from agentark.planning.stage import canonical_json
from agentark_operator.attempts.pods import PORT
from agentark_operator.attempts.workload import GROUP, MANAGED_BY, MANAGER, Owner, owner_reference
from agentark_operator.diagnosis.pending import Waiting, refused, waiting
from agentark_operator.reasons import Reason, reason_of

Body = Mapping[str, Any]

TEACHER = f"{GROUP}/teacher"
"""Label: which teacher an object is of."""


def teacher_name(identity: str, serving: Serving) -> str:
    """Name of the Deployment and of the Service, the same for all who ask for the same.

    Args:
        identity: What the model's address stood for when the run began.
    """
    content = canonical_json({"model": identity, "serving": serving.canonical()})
    return f"teacher-{hashlib.sha256(content.encode()).hexdigest()[:10]}"


def teacher_url(name: str, namespace: str) -> str:
    """Root of the API that a teacher serves."""
    return f"http://{name}.{namespace}.svc:{PORT}/v1"


def teacher_objects(
    name: str, template: Mapping[str, Any], serving: Serving, owners: Sequence[Owner]
) -> list[dict[str, Any]]:
    """The Deployment and the Service of a teacher.

    Args:
        name: Of both; see `teacher_name`.
        template: Of its pods; see `vllm_template`.
        owners: All resources of the namespace that use it now, at least one. Applied on the server, the list replaces
            what the operator applied before.
    """
    own = {MANAGED_BY: MANAGER, "app.kubernetes.io/part-of": "agentark", TEACHER: name.removeprefix("teacher-")}
    selector = {TEACHER: own[TEACHER]}
    metadata = {
        "name": name,
        "namespace": owners[0].namespace,
        "labels": own,
        "ownerReferences": [_reference(owner) for owner in sorted(owners, key=lambda owner: owner.uid)],
    }
    inside = dict(template.get("metadata") or {})
    inside["labels"] = {**(inside.get("labels") or {}), **own}
    deployment = {
        "replicas": serving.replicas,
        "selector": {"matchLabels": selector},
        # GPUs for one pod more than asked for need not be there.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
        # Fetching the weights counts as well, and the startup probe begins after it.
        "progressDeadlineSeconds": 2 * serving.start_deadline_seconds,
        "template": {"metadata": inside, "spec": template["spec"]},
    }
    service = {"selector": selector, "ports": [{"name": "http", "port": PORT, "targetPort": "http", "protocol": "TCP"}]}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": deployment},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
    ]


def _reference(owner: Owner) -> dict[str, Any]:
    controlling = owner_reference(owner)
    return {name: controlling[name] for name in ("apiVersion", "kind", "name", "uid")}


def serving_state(deployment: Body, pods: Sequence[Body]) -> Waiting | None:
    """Why a teacher does not answer yet; None where it does."""
    status = deployment.get("status") or {}
    name = deployment["metadata"]["name"]
    # One pod is enough to begin: the others join behind the Service.
    if status.get("readyReplicas"):
        return None
    conditions = {entry["type"]: entry for entry in status.get("conditions") or () if entry["status"] == "True"}
    failure = conditions.get("ReplicaFailure")
    cause = waiting(pods)
    if failure is not None and not pods:
        text = str(failure.get("message") or "")
        cause = refused(text) or Waiting(reason_of(failure.get("reason") or Reason.FAILED_CREATE), text)
    if cause is None or cause.reason == Reason.STARTING:
        cause = _restarted(pods) or cause
    if cause is not None:
        return Waiting(cause.reason, f"teacher {name}: {cause.message}")
    if pods:
        text = f"teacher {name}: {len(pods)} pod{'s' * (len(pods) > 1)} load the model"
        return Waiting(Reason.ENDPOINT_NOT_READY, text)
    return Waiting(Reason.NO_PODS, f"teacher {name} has no pods yet")


def _restarted(pods: Sequence[Body]) -> Waiting | None:
    """A container that has ended before and is being tried again."""
    for pod in pods:
        for container in (pod.get("status") or {}).get("containerStatuses") or ():
            state, before = container.get("state") or {}, container.get("lastState") or {}
            last = state.get("terminated") or before.get("terminated")
            if last:
                said = str(last.get("message") or "").strip()[-1500:] or str(last.get("reason") or "")
                where = f"container {container['name']} of pod {pod['metadata']['name']}"
                text = f"{where} ended with exit code {last.get('exitCode')} and is tried again: {said}"
                return Waiting(Reason.RESTARTED, text)
    return None
