"""A real Kubernetes of one node: real kubelet, containers, Services and DNS, in a network of its own.

`python -m tests.e2e.cluster.node` runs one until Ctrl-C.
"""

import contextlib
import dataclasses
import fcntl
import json
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.e2e.cluster import agents, leftovers
from tests.e2e.cluster.network import ENTER, NODE, network
from tests.e2e.cluster.phases import PHASES
from tests.e2e.cluster.requirements import folder as default_folder
from tests.e2e.cluster.runtime import NETWORK, Runtime, plugins, pod_tools
from tests.servers.audit import Audit
from tests.servers.kubernetes import ApiServer, ControlPlane, Site, component
from tests.servers.kubernetes import binaries as server_binaries
from tests.servers.process import ServerFailed, serving

KUBECTL = Path(sys.executable).with_name("kubectl")
LOCK = Path("/run/lock/agentark-e2e.lock")
"""Held by the process whose node runs."""
_MANAGER, _SCHEDULER = "system:kube-controller-manager", "system:kube-scheduler"  # RBAC knows them by these names
_USERS: Mapping[str, Sequence[str]] = {_MANAGER: (), _SCHEDULER: (), **agents.USERS}
_COMPONENTS = ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")


def binaries() -> list[Path]:
    """Return the paths of all programs, built first if need be (about 10 minutes on two cores).

    Raises:
        ServerFailed: If Go is missing or a build fails.
    """
    found = [*server_binaries(), *(component(name) for name in _COMPONENTS)]
    return [*found, agents.coredns_binary(), pod_tools(), *plugins().values()]


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
    """A running cluster of one node, whose pods and Services can be reached from this machine by their addresses."""

    plane: ControlPlane
    runtime: Runtime
    folder: Path
    """What tests put in there is gone at the end."""
    kubeconfig: Path
    """Of the administrator."""
    address: str = NODE
    enter: tuple[str, ...] = ENTER
    """Command that runs another where the node's programs run."""

    @property
    def server(self) -> ApiServer:
        """The API server, as the administrator sees it."""
        return self.plane.server

    @property
    def audit(self) -> Audit:
        """Every request since the start, where `node` was asked for it."""
        return Audit(self.plane.audit_log)

    def kubectl(self, *arguments: str, content: str = "", within_s: float = 60.0) -> str:
        """Run kubectl as the administrator and return what it prints.

        Args:
            arguments: As on a command line.
            content: What it reads from standard input.
            within_s: Time it has, in seconds.

        Raises:
            ServerFailed: If it fails, with what it says, or takes longer.
        """
        command = [str(KUBECTL), f"--kubeconfig={self.kubeconfig}", *arguments]
        try:
            done = subprocess.run(command, input=content, capture_output=True, text=True, timeout=within_s, check=False)
        except subprocess.TimeoutExpired as error:
            raise ServerFailed(f"kubectl {' '.join(arguments)} takes longer than {within_s:g} s") from error
        if done.returncode:
            raise ServerFailed(f"kubectl {' '.join(arguments)}: {done.stdout}{done.stderr}".strip())
        return done.stdout

    def apply(self, objects: Iterable[Mapping[str, Any]], *, namespace: str = "") -> str:
        """Apply objects, in their order; those that name no namespace go to `namespace`."""
        items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        flags = ["--server-side", "--force-conflicts", "--field-manager=e2e", *(["-n", namespace] if namespace else [])]
        return self.kubectl("apply", *flags, "-f", "-", content=json.dumps(items), within_s=120)

    def wait(self, what: str, until: str, *, namespace: str = "default", within_s: float = 120.0) -> None:
        """Wait for one or more objects.

        Args:
            what: E.g. `deployment/web`.
            until: As `kubectl wait --for` takes it, e.g. `condition=Available`.
            namespace: Where they are.
            within_s: Time they have, in seconds.

        Raises:
            ServerFailed: If it does not come; shows how they were last.
        """
        flags = (f"--for={until}", f"--timeout={within_s:g}s", "-n", namespace)
        try:
            self.kubectl("wait", what, *flags, within_s=within_s + 10)
        except ServerFailed as error:
            shown = [("describe", what), ("get", "pods", "-o", "wide"), ("get", "events", "--sort-by=.lastTimestamp")]
            raise ServerFailed("\n".join([str(error), *(self._shown(namespace, *words) for words in shown)])) from None

    def load_image(self, archive: Path) -> None:
        """Import the images of an OCI archive, which is deleted then."""
        self.runtime.load(archive)

    def account(self, namespace: str, name: str) -> ApiServer:
        """The API server as a service account sees it, with a token as pods have one (of an hour)."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        answer = self.server.request("POST", path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"})
        if answer.status != 201:
            raise ServerFailed(f"{namespace}/{name}: {answer.message}")
        return dataclasses.replace(self.server, token=answer.body["status"]["token"])

    @contextlib.contextmanager
    def namespace(self, name: str = "", *, restricted: bool = True) -> Iterator[str]:
        """A namespace with its service account; deleted at the end, with all that is in it.

        Args:
            name: What it is called; a new name by default.
            restricted: Whether its pods must keep to the restricted pod security standard.
        """
        name = name or f"e2e-{uuid.uuid4().hex[:8]}"
        self.apply([namespace(name, restricted=restricted)])
        self.server.awaited(f"/api/v1/namespaces/{name}/serviceaccounts/default", bool)
        try:
            yield name
        finally:
            self.server.request("DELETE", f"/api/v1/namespaces/{name}")

    def _shown(self, namespace: str, *words: str) -> str:
        try:
            return self.kubectl(*words, "-n", namespace)[-4000:]
        except ServerFailed as error:
            return str(error)


def namespace(name: str, *, restricted: bool = True) -> dict[str, Any]:
    """Return a Namespace, whose pods must keep to the restricted pod security standard if `restricted`."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"} if restricted else {}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


@contextlib.contextmanager
def node(folder: Path | None = None, *, audit: bool = False) -> Iterator[Node]:
    """Run a node; one at a time on a machine. What it leaves in `folder` at the end are its logs.

    Args:
        folder: Where its images and containers are, on a disk with room; below the user's cache by default.
        audit: Whether each request to the API server is written down.

    Raises:
        ServerFailed: If a part of it does not come up.
    """
    place = (folder or default_folder()).absolute()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_alone())
        state = stack.enter_context(_cleaned(place))
        with PHASES.phase("node Ready"):
            running = _started(stack, state, audit)
        yield running


def _started(stack: contextlib.ExitStack, state: Path, audit: bool) -> Node:
    stack.enter_context(network())
    certificates = agents.client_certificate(state / "certificates")
    flags = ["--allow-privileged=true", "--kubelet-preferred-address-types=InternalIP"]
    flags += ["--enable-admission-plugins=NodeRestriction"]
    flags += [f"--kubelet-client-certificate={certificates['certificate']}"]
    flags += [f"--kubelet-client-key={certificates['key']}"]
    site = Site(address=NODE, port=6443, enter=ENTER, authorization="Node,RBAC", flags=tuple(flags))
    control = state / "control-plane"
    control.mkdir()
    runtime = Runtime(state / "containerd")
    stack.enter_context(runtime.running())
    plane = stack.enter_context(ControlPlane(control, users=_USERS, audit=audit, site=site))
    stack.enter_context(_manager(state / "controller-manager", plane))
    stack.enter_context(_scheduler(state / "scheduler", plane))
    stack.enter_context(agents.kubelet(state / "kubelet", plane, runtime.socket, certificates["authority"]))
    stack.enter_context(agents.kube_proxy(state / "kube-proxy", plane))
    stack.enter_context(agents.coredns(state / "coredns", plane))
    plane.server.awaited(f"/api/v1/nodes/{agents.NAME}", _ready)
    plane.server.awaited("/api/v1/namespaces/default/serviceaccounts/default", bool)
    return Node(plane, runtime, state, plane.server.kubeconfig(state / "kubeconfig"))


def _ready(found: dict[str, Any]) -> bool:
    conditions = found.get("status", {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another node runs on this machine: waiting for its end", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _cleaned(place: Path) -> Iterator[Path]:
    state = place / "node"

    def clean() -> None:
        leftovers.end_containers(state / "containerd" / "containerd.sock", state / "containerd" / "state")
        leftovers.unmount(state)
        leftovers.remove_cgroup()
        leftovers.forget(NETWORK, state)
        _keep_logs(state, place / "logs")
        leftovers.remove_files(state)

    clean()  # of one that was killed
    leftovers.make_cgroup()
    state.mkdir(parents=True)
    try:
        yield state
    finally:
        clean()


def _keep_logs(state: Path, logs: Path) -> None:
    found = sorted(state.glob("**/server.log"))
    if not found:
        return
    logs.mkdir(exist_ok=True)
    for file in found:
        file.replace(logs / f"{file.parent.name}.log")


def _manager(folder: Path, plane: ControlPlane) -> contextlib.AbstractContextManager[object]:
    key, authority = plane.accounts_key, plane.server.authority
    flags = [f"--service-account-private-key-file={key}", f"--root-ca-file={authority}"]
    flags += [f"--flex-volume-plugin-dir={folder / 'volume-plugins'}"]
    return _controller(folder, plane, "kube-controller-manager", [*flags, "--use-service-account-credentials"])


def _scheduler(folder: Path, plane: ControlPlane) -> contextlib.AbstractContextManager[object]:
    return _controller(folder, plane, "kube-scheduler", [])


def _controller(
    folder: Path, plane: ControlPlane, name: str, flags: Sequence[str]
) -> contextlib.AbstractContextManager[object]:
    folder.mkdir()
    config = plane.as_user(f"system:{name}").kubeconfig(folder / "kubeconfig")
    command: list[str | Path] = [
        *ENTER,
        component(name),
        f"--kubeconfig={config}",
        "--leader-elect=false",
        "--secure-port=0",
        *flags,
    ]
    return serving(command, env={}, folder=folder, ready=lambda: True, deadline_s=5)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell switches off for what runs behind its `&`
    binaries()
    with contextlib.suppress(KeyboardInterrupt), node() as started:
        print(*PHASES.lines(), f"export KUBECONFIG={started.kubeconfig}", sep="\n", flush=True)
        while True:
            time.sleep(3600)
