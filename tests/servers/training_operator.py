"""The Kubeflow Training Operator for tests: its own PyTorchJob controller and validating webhook, on loopback."""

import base64
import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import urllib3
import yaml

from tests.servers.golang import program, sources
from tests.servers.kubernetes import ApiServer
from tests.servers.process import LOOPBACK, ServerFailed, free_ports, serving

_MODULE = "github.com/kubeflow/training-operator"
_TRAINER = "github.com/kubeflow/trainer/v2"
INIT_CONTAINER = Path(__file__).with_name("init_container.yaml")
_WEBHOOK = "validator.training-operator.kubeflow.org"


def binary() -> Path:
    """Return the path of the operator, which is built first if need be (about 2 minutes on two cores).

    Raises:
        ServerFailed: If Go is missing or the build fails.
    """
    return program("training-operator", ".", "training-operator", required=_MODULE)


def upstream_binary() -> Path:
    """Return the path of the operator as its own image holds it, for a cluster with real nodes; built like `binary`.

    Raises:
        ServerFailed: If Go is missing or the build fails.
    """
    package = f"{_MODULE}/cmd/training-operator.v1"
    return program("training-operator.v1", package, "training-operator", required=_MODULE)


def manifests() -> Path:
    """Return the folder that `kubectl kustomize` makes the operator's own objects from."""
    return sources("training-operator", _MODULE) / "manifests/overlays/standalone"


def definitions() -> list[dict[str, Any]]:
    """CustomResourceDefinitions: PyTorchJob, and those of Trainer v2 (TrainJob and its runtimes)."""
    bases = sources("training-operator", _MODULE) / "manifests/base/crds"
    trainer = sources("trainer", _TRAINER) / "manifests/base/crds"
    files = [bases / "kubeflow.org_pytorchjobs.yaml", *sorted(trainer.glob("trainer.kubeflow.org_*.yaml"))]
    return [yaml.safe_load(file.read_text()) for file in files]


@contextlib.contextmanager
def training_operator(folder: Path, server: ApiServer) -> Iterator[subprocess.Popen[bytes]]:
    """Run the operator as the user of `server`, and let the API server ask it whether PyTorchJobs are right."""
    folder.mkdir()
    webhook, probes = free_ports(2)
    command: list[str | Path] = [binary(), "--kubeconfig", server.kubeconfig(folder / "kubeconfig")]
    command += ["--health-probe-bind-address", f"{LOOPBACK}:{probes}", "--webhook-port", str(webhook)]
    # The API server's own certificate is one for loopback.
    command += ["--certificates", server.authority.parent, "--certificate", server.authority.stem]
    command += ["--pytorch-init-container-template-file", INIT_CONTAINER]

    def ready() -> bool:
        with urllib3.PoolManager(timeout=2.0, retries=False) as pool:
            try:
                return pool.request("GET", f"http://{LOOPBACK}:{probes}/readyz").status == 200
            except urllib3.exceptions.HTTPError:
                return False

    with serving(command, env={}, folder=folder, ready=ready, deadline_s=60) as process:
        _validate(server, f"https://{LOOPBACK}:{webhook}")
        yield process


def _validate(server: ApiServer, url: str) -> None:
    folder = sources("training-operator", _MODULE) / "manifests/base/webhook"
    made = yaml.safe_load((folder / "manifests.yaml").read_text())
    webhook = next(one for one in made["webhooks"] if "pytorchjob" in one["name"])
    path = webhook["clientConfig"]["service"]["path"]
    authority = base64.b64encode(server.authority.read_bytes()).decode()
    webhook["clientConfig"] = {"url": url + path, "caBundle": authority}
    made = {**made, "metadata": {"name": _WEBHOOK}, "webhooks": [webhook]}
    where = f"/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/{_WEBHOOK}"
    answer = server.apply(where, made)
    if answer.status not in (200, 201):
        raise ServerFailed(f"{_WEBHOOK}: {answer.message}")
