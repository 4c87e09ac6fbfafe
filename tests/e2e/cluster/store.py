"""MinIO in the cluster, as a user would run it: a Deployment whose volume outlives its pods."""

import os
import time
from dataclasses import dataclass
from typing import Any

from tests.e2e.cluster.images import write_image
from tests.e2e.cluster.node import Node, namespace
from tests.e2e.cluster.workloads import deployment, pod, service
from tests.servers.minio import binary
from tests.servers.process import ServerFailed
from tests.servers.s3 import ACCESS_KEY, SECRET_KEY, S3Server, answers, takes_bucket

NAMESPACE = "minio"
_NAME, _PORT, _IMAGE, _USER = "minio", 9000, "localhost/minio:1", 65532
_ROOM = "20Gi"  # the volume is a folder, so this is a word only


@dataclass(frozen=True, slots=True)
class Store:
    """A running MinIO."""

    node: Node
    outside: S3Server
    """As this machine reaches it."""
    inside: str = f"http://{_NAME}.{NAMESPACE}.svc:{_PORT}"
    """Address for pods."""

    def restart(self, *, within_s: float = 60.0) -> None:
        """Delete its pod and wait until the next one answers.

        Raises:
            ServerFailed: If it does not in time.
        """
        old = self._pods()
        self.node.kubectl("delete", "pod", *old, "-n", NAMESPACE, "--grace-period=1", "--wait=true")
        deadline = time.monotonic() + within_s
        # The Service leads to a new pod a moment after that is ready.
        while not answers(f"{self.outside.endpoint}/minio/health/ready") or set(self._pods()) & set(old):
            if time.monotonic() > deadline:
                raise ServerFailed(f"MinIO does not answer within {within_s:g} s of its pod's deletion")
            time.sleep(0.1)

    def _pods(self) -> list[str]:
        answer = self.node.server.request("GET", f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app%3D{_NAME}")
        return [found["metadata"]["name"] for found in answer.body["items"]]


def minio(node: Node) -> Store:
    """Install MinIO with the tests' bucket and wait until it answers.

    Raises:
        ServerFailed: If it does not.
    """
    files = {"bin/minio": binary()}
    node.load_image(write_image(node.folder / "minio.tar", _IMAGE, files, entrypoint=["/bin/minio"]))
    data = node.folder / "minio-data"
    data.mkdir()
    os.chown(data, _USER, _USER)
    node.apply([namespace(NAMESPACE)])
    node.apply(_objects(str(data)), namespace=NAMESPACE)
    node.wait(f"deployment/{_NAME}", "condition=Available", namespace=NAMESPACE)
    found = node.server.request("GET", f"/api/v1/namespaces/{NAMESPACE}/services/{_NAME}").body
    endpoint = f"http://{found['spec']['clusterIP']}:{_PORT}"
    # It is ready a moment before it takes anything.
    deadline = time.monotonic() + 30
    while not takes_bucket(endpoint):
        if time.monotonic() > deadline:
            raise ServerFailed(f"MinIO is Available, but at {endpoint} no bucket can be made")
        time.sleep(0.1)
    return Store(node, S3Server("minio", endpoint))


def _objects(data: str) -> list[dict[str, Any]]:
    claim = {"accessModes": ["ReadWriteOnce"], "storageClassName": "", "resources": {"requests": {"storage": _ROOM}}}
    volume = {
        "capacity": {"storage": _ROOM},
        "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Retain",
        "claimRef": {"namespace": NAMESPACE, "name": _NAME},
        "hostPath": {"path": data, "type": "Directory"},
    }
    secret = {"MINIO_ROOT_USER": ACCESS_KEY, "MINIO_ROOT_PASSWORD": SECRET_KEY}
    named = {"name": _NAME}
    return [
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": named, "spec": volume},
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": named,
            "spec": {**claim, "volumeName": _NAME},
        },
        {"apiVersion": "v1", "kind": "Secret", "metadata": named, "stringData": secret},
        service(_NAME, _PORT),
        deployment(_NAME, _pod()),
    ]


def _pod() -> dict[str, Any]:
    settings = {"MINIO_BROWSER": "off", "MINIO_UPDATE": "off", "HOME": "/tmp"}
    container = {
        "name": _NAME,
        "image": _IMAGE,
        "args": ["server", "--quiet", "--certs-dir", "/no-certificates", "--address", f":{_PORT}", "/data"],
        "env": [{"name": name, "value": value} for name, value in settings.items()],
        "envFrom": [{"secretRef": {"name": _NAME}}],
        "ports": [{"name": "http", "containerPort": _PORT}],
        "readinessProbe": {"httpGet": {"path": "/minio/health/ready", "port": _PORT}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": _NAME}}
    return pod([container], volumes=[volume])
