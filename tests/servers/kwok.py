"""KWOK for tests: fake nodes whose pods live as their annotations say (`kwok_stages.yaml`)."""

import contextlib
import subprocess
from collections.abc import Mapping
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


class Kwok:
    """KWOK for the nodes that `add_node` adds; it serves nothing itself, so look at the nodes whether it works.

    Runs while its context is open.
    """

    def __init__(self, folder: Path, server: ApiServer) -> None:
        """Prepare it.

        Args:
            folder: For its files; must not be there.
            server: As it sees the API server.
        """
        folder.mkdir()
        self._folder = folder
        self._command: list[str | Path] = [binary(), f"--kubeconfig={server.kubeconfig(folder / 'kubeconfig')}"]
        self._command += [f"--config={Path(__file__).with_name('kwok_stages.yaml')}"]
        self._command += ["--manage-nodes-with-label-selector", ",".join(f"{key}={one}" for key, one in _LABEL.items())]
        # RFC 2544's range, which is never routed: nothing may take a fake pod's address for a real one.
        self._command += ["--node-ip=198.18.0.2", "--cidr=198.19.0.0/16"]
        self._running = contextlib.ExitStack()

    def __enter__(self) -> subprocess.Popen[bytes]:
        # Its own home: KWOK reads settings there.
        env = {"HOME": str(self._folder)}
        return self._running.enter_context(
            serving(self._command, env=env, folder=self._folder, ready=lambda: True, deadline_s=5)
        )

    def __exit__(self, *exception: object) -> None:
        self._running.close()

    def restart(self) -> None:
        """End it and start it again; it then looks at all pods anew."""
        self._running.close()
        self.__enter__()


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
