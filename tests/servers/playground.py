"""A Kubernetes for tests in which everything is real but the machines: fake nodes, whose pods do as they are told.

etcd, API server, controller manager, scheduler and the Training Operator are the real ones; KWOK plays the kubelets.
"""

import contextlib
import dataclasses
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.servers import kwok as kwok_nodes
from tests.servers import training_operator as training
from tests.servers.audit import Audit
from tests.servers.kubernetes import ApiServer, ControlPlane, component, define, install
from tests.servers.kubernetes import binaries as server_binaries
from tests.servers.process import ServerFailed, serving

NODES = 4
GPUS = 8
"""Of each of the nodes that are there from the start, as nvidia.com/gpu."""
_MANAGER, _SCHEDULER = "system:kube-controller-manager", "system:kube-scheduler"  # RBAC knows them by these names
_USERS: Mapping[str, Sequence[str]] = {
    _MANAGER: (),
    _SCHEDULER: (),
    "kwok": ("system:masters",),
    "training-operator": ("system:masters",),
    "player": ("system:masters",),
}
# No node lifecycle: nothing renews the leases of fake nodes, and their pods must not be evicted for that.
_CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "deployment-controller",
    "disruption-controller",
    "endpoints-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "pod-garbage-collector-controller",
    "replicaset-controller",
    "resourcequota-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "ttl-after-finished-controller",
)


def binaries() -> list[Path]:
    """Return the paths of all programs, built first if need be (about 10 minutes on two cores).

    Raises:
        ServerFailed: If Go is missing or a build fails.
    """
    found = [*server_binaries(), component("kube-controller-manager"), component("kube-scheduler")]
    return [*found, kwok_nodes.binary(), training.binary()]


@dataclasses.dataclass(frozen=True, slots=True)
class Playground:
    """A running cluster without machines."""

    plane: ControlPlane
    """The API server can be stopped and started here; everything else lives on and finds it again."""
    machines: kwok_nodes.Kwok

    @property
    def server(self) -> ApiServer:
        """The API server, as the administrator sees it."""
        return self.plane.server

    @property
    def audit(self) -> Audit:
        """Every request since the start."""
        return Audit(self.plane.audit_log)

    def restart(self, *, down_s: float = 0.0, kill: bool = False) -> None:
        """Stop the API server, or kill it, and start it again after a while: the same data, the same port.

        A kubelet tries again what the server did not answer; KWOK gives up what broke off in the middle, and would
        leave that pod as it is for ever. So it starts anew.
        """
        if kill:
            self.plane.kill()
        else:
            self.plane.stop()
        time.sleep(down_s)
        self.plane.start()
        self.machines.restart()

    def add_node(
        self,
        name: str,
        *,
        gpus: int = 0,
        labels: Mapping[str, str] | None = None,
        capacity: Mapping[str, str] | None = None,
    ) -> None:
        """Add a fake node and wait until pods can go there."""
        kwok_nodes.add_node(self.server, name, gpus=gpus, labels=labels, capacity=capacity)
        self.server.awaited(f"/api/v1/nodes/{name}", _ready)

    def account(self, namespace: str, name: str) -> ApiServer:
        """The API server as a service account sees it, with a token as pods have one (of an hour)."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        answer = self.server.request("POST", path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"})
        if answer.status != 201:
            raise ServerFailed(f"{namespace}/{name}: {answer.message}")
        return dataclasses.replace(self.server, token=answer.body["status"]["token"])

    @contextlib.contextmanager
    def namespace(self, *, restricted: bool = False, labels: Mapping[str, str] | None = None) -> Iterator[str]:
        """A namespace of a new name with its service account; deleted at the end, with all that is in it.

        Args:
            restricted: Whether its pods must keep to the restricted pod security standard.
            labels: Further labels.
        """
        name = f"play-{uuid.uuid4().hex[:8]}"
        level = {"pod-security.kubernetes.io/enforce": "restricted"} if restricted else {}
        metadata = {"name": name, "labels": level | dict(labels or {})}
        answer = self.server.request("POST", "/api/v1/namespaces", {"metadata": metadata})
        if answer.status != 201:
            raise ServerFailed(f"namespace {name}: {answer.message}")
        self.server.awaited(f"/api/v1/namespaces/{name}/serviceaccounts/default", bool)
        try:
            yield name
        finally:
            self.server.request("DELETE", f"/api/v1/namespaces/{name}")


@contextlib.contextmanager
def playground(folder: Path, definitions: Path) -> Iterator[Playground]:
    """Run a cluster on loopback, with its data and logs in `folder`.

    Args:
        folder: Empty.
        definitions: Folder of further CustomResourceDefinitions. They are there before the garbage collector starts,
            which looks for new kinds every half a minute only.
    """
    with contextlib.ExitStack() as stack:
        plane = stack.enter_context(ControlPlane(folder, users=_USERS, audit=True))
        for definition in training.definitions():
            define(plane.server, definition)
        install(plane.server, definitions)
        machines = kwok_nodes.Kwok(folder / "kwok", plane.as_user("kwok"))
        started = {
            "controller-manager": stack.enter_context(_controller_manager(folder / "controller-manager", plane)),
            "scheduler": stack.enter_context(_scheduler(folder / "scheduler", plane)),
            "kwok": stack.enter_context(machines),
        }
        stack.enter_context(
            training.training_operator(folder / "training-operator", plane.as_user("training-operator"))
        )
        running = Playground(plane, machines)
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        _await_begun(lambda: plane.server.request("GET", account).status == 200, started, folder)
        for number in range(NODES):
            running.add_node(f"node-{number}", gpus=GPUS)
        yield running


def _controller_manager(
    folder: Path, plane: ControlPlane
) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    folder.mkdir()
    key, authority = plane.accounts_key, plane.server.authority
    command = [component("kube-controller-manager"), *_as_user(folder, plane, _MANAGER)]
    command += [f"--controllers={','.join(_CONTROLLERS)}", "--use-service-account-credentials"]
    command += [f"--service-account-private-key-file={key}", f"--root-ca-file={authority}"]
    return serving(command, env={}, folder=folder, ready=lambda: True, deadline_s=5)


def _scheduler(folder: Path, plane: ControlPlane) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    folder.mkdir()
    command = [component("kube-scheduler"), *_as_user(folder, plane, _SCHEDULER)]
    return serving(command, env={}, folder=folder, ready=lambda: True, deadline_s=5)


def _as_user(folder: Path, plane: ControlPlane, name: str) -> list[str | Path]:
    file = plane.as_user(name).kubeconfig(folder / "kubeconfig")
    # Port 0 serves nothing. The rates are above the defaults, else tests of many pods measure these.
    return [
        f"--kubeconfig={file}",
        "--leader-elect=false",
        "--secure-port=0",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
    ]


def _await_begun(begun: Callable[[], bool], started: Mapping[str, "subprocess.Popen[bytes]"], folder: Path) -> None:
    deadline = time.monotonic() + 60
    while not begun():
        ended = [name for name, process in started.items() if process.poll() is not None]
        if ended or time.monotonic() > deadline:
            logs = "".join(
                f"\n{name}:\n{(folder / name / 'server.log').read_text()[-1500:]}" for name in ended or started
            )
            raise ServerFailed(f"the cluster does not begin to work{logs}")
        time.sleep(0.05)


def _ready(node: dict[str, Any]) -> bool:
    conditions = node.get("status", {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


if __name__ == "__main__":
    print(*binaries(), sep="\n", file=sys.stdout)
