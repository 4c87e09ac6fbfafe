"""One attempt at one stage, as every backend gets it, and what its objects are called and labelled. Pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentark.api import API_VERSION, Elastic, Gang, RuntimeRef

GROUP = "agentark.dev"
CONTAINER = "stage"
"""Name of the container in pod overlays, whatever a backend calls it."""

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "agentark-operator"
"""Value of MANAGED_BY on everything that the operator makes."""
KIND, NAME, UID = f"{GROUP}/kind", f"{GROUP}/name", f"{GROUP}/uid"
"""Labels: the resource that an object belongs to."""
STAGE, STAGE_KIND, ATTEMPT = f"{GROUP}/stage", f"{GROUP}/stage-kind", f"{GROUP}/attempt"
"""Labels: the stage's key, its kind, and which attempt it is."""
STORE = f"{GROUP}/store"
"""Annotation: address of the store that an attempt writes to."""
STAGE_NAME, RUN_ID = f"{GROUP}/stage-name", f"{GROUP}/run-id"
"""Annotations: what may be longer than a label's value."""
REPLACES = "replaces"
"""In the metadata of a pod as the informers keep it: uid of one that ran under its name and was gone from one moment to
the next, as by `kubectl delete --force`. Whoever makes pods anew under the same name leaves no other trace of it."""
KUEUE = "kueue.x-k8s.io/"
QUEUE = f"{KUEUE}queue-name"
"""Label of what Kueue admits."""

_LONGEST_NAME = 45
"""Of a child. Pods of a TrainJob are called NAME-node-0-1023-abcde, those of a PyTorchJob NAME-worker-1023, and their
names are host names too, which end at 63 letters."""
_LONGEST_OWNER = 30
_DIGITS, _DIGITS_OF_CUT = 6, 12
"""Of the digest in a child's name: where the resource's name stands in it whole, and where it is cut."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The custom resource that an object is made for."""

    kind: str
    name: str
    namespace: str
    uid: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Workload:
    """One attempt at one stage, whatever the backend."""

    owner: Owner
    stage_kind: str
    stage_name: str
    key: str
    """The stage's key in the plan and in the store."""
    attempt: int
    run_id: str
    name: str
    """Of the object; see `child_name`."""
    template: dict[str, Any]
    """Pod template, {metadata, spec}, with the container CONTAINER; an overlay of the user is in it already."""
    pods: int = 1
    """Nodes of a training, or workers that share the questions."""
    processes: int = 1
    """In each pod."""
    distributed: bool = False
    """The pods form one training that meets at a rendezvous, rather than sharing questions."""
    elastic: Elastic | None = None
    gang: Gang | None = None
    runtime: RuntimeRef | None = None
    suspend: bool = False
    """Created suspended, as Kueue wants it: the resource has a queue's label."""


def child_name(owner: Owner, stage_kind: str, key: str, attempt: int) -> str:
    """The name of the object that runs an attempt, a DNS label from which pods and Services can take theirs.

    A resource that is made anew under the same name has a new uid, so its children have new names.
    """
    digest = hashlib.sha256(f"{owner.uid}{key}".encode()).hexdigest()
    # PyTorchJobs, TrainJobs and Services have to begin with a letter; resources need not.
    name = owner.name if owner.name[0].isalpha() else f"run-{owner.name}"

    def suffix(digits: int) -> str:
        return f"-{stage_kind}-{digest[:digits]}-{attempt}"

    if len(name) <= _longest_owner(suffix(_DIGITS)):
        return name + suffix(_DIGITS)
    # The digest alone tells many resources apart whose names begin alike, rather than a few stages of one.
    return name[: _longest_owner(suffix(_DIGITS_OF_CUT))].rstrip("-") + suffix(_DIGITS_OF_CUT)


def _longest_owner(suffix: str) -> int:
    return min(_LONGEST_OWNER, _LONGEST_NAME - len(suffix))


def labels(workload: Workload) -> dict[str, str]:
    """On the child and on its pods: whose they are."""
    return {
        MANAGED_BY: MANAGER,
        "app.kubernetes.io/part-of": "agentark",
        KIND: workload.owner.kind,
        NAME: workload.owner.name,
        UID: workload.owner.uid,
        STAGE: workload.key,
        STAGE_KIND: workload.stage_kind,
        ATTEMPT: str(workload.attempt),
    }


def attempt_number(child: Mapping[str, Any]) -> int:
    """Number of the attempt that an object or pod is; 0 for none."""
    return int((child["metadata"].get("labels") or {}).get(ATTEMPT, 0))


def annotations(workload: Workload) -> dict[str, str]:
    """On the child and on its pods: for people."""
    return {STAGE_NAME: workload.stage_name, RUN_ID: workload.run_id}


def owner_of(body: Mapping[str, Any]) -> Owner:
    """A resource as the owner of its children."""
    metadata = body["metadata"]
    return Owner(
        kind=body["kind"],
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata["uid"],
        labels=metadata.get("labels") or {},
        annotations=metadata.get("annotations") or {},
    )


def owner_reference(owner: Owner) -> dict[str, Any]:
    """The reference of a child to the resource that controls it, with which it is deleted."""
    return {
        "apiVersion": API_VERSION,
        "kind": owner.kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def child_metadata(workload: Workload) -> dict[str, Any]:
    """The metadata of a child. Kueue's labels stand on it alone: on its pods they would be admitted one by one."""
    queueing = {name: value for name, value in workload.owner.labels.items() if name.startswith(KUEUE)}
    return {
        "name": workload.name,
        "namespace": workload.owner.namespace,
        "labels": queueing | labels(workload),
        "annotations": annotations(workload),
        "ownerReferences": [owner_reference(workload.owner)],
    }


def stamped_template(workload: Workload, container: str = CONTAINER) -> dict[str, Any]:
    """The pod template with our labels and annotations, which no overlay takes away.

    Args:
        container: What the backend calls the stage's container.
    """
    metadata = dict(workload.template.get("metadata") or {})
    metadata["labels"] = {**(metadata.get("labels") or {}), **labels(workload)}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), **annotations(workload)}
    spec = dict(workload.template["spec"])
    spec["containers"] = [
        {**entry, "name": container} if entry["name"] == CONTAINER else entry for entry in spec["containers"]
    ]
    return {"metadata": metadata, "spec": spec}
