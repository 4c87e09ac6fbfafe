"""Objects that the pods of tests have in common, as pure functions."""

from collections.abc import Mapping, Sequence
from typing import Any

RESTRICTED: Mapping[str, Any] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
"""Security context of a container that the restricted pod security standard admits, in such a pod as `pod`."""


def pod(containers: Sequence[Mapping[str, Any]], **fields: Any) -> dict[str, Any]:
    """Return the spec of a pod that the restricted pod security standard admits.

    Args:
        containers: With name and image; what they do not say of security and resources is filled in.
        fields: Further fields of the spec.
    """
    small = {"cpu": "10m", "memory": "16Mi"}
    filled = [{"securityContext": dict(RESTRICTED), "resources": {"requests": small}, **one} for one in containers]
    security = {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    return {
        "securityContext": security,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 2,
        "containers": filled,
        **fields,
    }


def deployment(name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a Deployment of one pod at a time, labelled `app`."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": dict(spec)},
        },
    }


def service(name: str, port: int) -> dict[str, Any]:
    """Return the Service of a `deployment`, on the port that its pod listens on."""
    ports = [{"name": "http", "port": port, "targetPort": port}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"selector": {"app": name}, "ports": ports},
    }
