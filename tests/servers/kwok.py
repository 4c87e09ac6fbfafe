"""KWOK for tests: fake nodes whose pods live as their annotations say (`kwok_stages.yaml`)."""

import contextlib
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.servers.golang import program
from tests.servers.kubernetes import ApiServer
from tests.servers.process import ServerFailed, serving

_PLAY = "play.agentark.dev/"
EXIT, REASON, MESSAGE, STOPPED, WAITING = (
    f"{_PLAY}exit",
    f"{_PLAY}reason",
    f"{_PLAY}message",
    f"{_PLAY}stopped",
    f"{_PLAY}waiting",
)
"""Annotations of a pod that tell its life; `kwok_stages.yaml` says how."""
MISSING_IMAGE = "missing.invalid/image:1"
"""An image that no fake node can pull."""
_MACHINE = {"cpu": "64", "memory": "512Gi", "pods": "10000", "ephemeral-storage": "4Ti"}
_LABEL = {"type": "kwok"}


def binary() -> Path:
    """Return the path of KWOK, which is built first if need be (about 2 minutes on two cores).

    Raises:
        ServerFailed: If Go is missing or the build fails.
    """
    return program("kwok", "sigs.k8s.io/kwok/cmd/kwok", "kwok", required="sigs.k8s.io/kwok")


@contextlib.contextmanager
def kwok(folder: Path, server: ApiServer) -> Iterator[subprocess.Popen[bytes]]:
    """Run KWOK for the nodes that `add_node` adds; it serves nothing itself, so look at the nodes whether it works."""
    folder.mkdir()
    command: list[str | Path] = [binary(), f"--kubeconfig={server.kubeconfig(folder / 'kubeconfig')}"]
    command += [f"--config={Path(__file__).with_name('kwok_stages.yaml')}", "--manage-nodes-with-label-selector"]
    command += [",".join(f"{name}={value}" for name, value in _LABEL.items())]
    # RFC 2544's range, which is never routed: nothing may take a fake pod's address for a real one.
    command += ["--node-ip=198.18.0.2", "--cidr=198.19.0.0/16"]
    # Its own home: KWOK reads settings there.
    with serving(command, env={"HOME": str(folder)}, folder=folder, ready=lambda: True, deadline_s=5) as process:
        yield process


def add_node(
    server: ApiServer,
    name: str,
    *,
    gpus: int = 0,
    labels: Mapping[str, str] | None = None,
    capacity: Mapping[str, str] | None = None,
) -> None:
    """Add a fake node of 64 cores and 512 GiB, where `capacity` says nothing else.

    Raises:
        ServerFailed: If the server refuses it.
    """
    offered = _MACHINE | ({"nvidia.com/gpu": str(gpus)} if gpus else {}) | dict(capacity or {})
    found = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": found | _LABEL | dict(labels or {})},
        "status": {"capacity": offered, "allocatable": offered},
    }
    path = "/api/v1/nodes"
    answer = server.request("POST", path, node)
    if answer.status == 201:
        # A new node is tainted as not ready, and the controller that would take that away does not run here.
        merge = "application/merge-patch+json"
        answer = server.request("PATCH", f"{path}/{name}", {"spec": {"taints": None}}, form=merge)
    if answer.status != 200:
        raise ServerFailed(f"node {name}: {answer.message}")
