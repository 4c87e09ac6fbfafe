"""A Kubernetes API server and its etcd for tests, built once from their Go modules into the user's cache folder."""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3
import yaml
from Crypto.PublicKey import RSA

from tests.servers.golang import program
from tests.servers.process import LOOPBACK, ServerFailed, free_ports, serving

TOKEN = "only-for-tests-on-loopback"  # of servers that live as long as one test run
_COMPONENT_VERSION = "k8s.io/component-base/version"


def binaries() -> tuple[Path, Path]:
    """Return the paths of etcd and kube-apiserver, built first if need be (about 3 minutes on two cores).

    Raises:
        ServerFailed: If Go is missing or a build fails.
    """
    etcd = program("etcd", "go.etcd.io/etcd/server/v3", "etcd")
    # The server says which version it is by what the linker writes into it.
    flags = f"-X {_COMPONENT_VERSION}.gitVersion={{version}} -X {_COMPONENT_VERSION}.gitMajor=1"
    flags += f" -X {_COMPONENT_VERSION}.gitMinor=35"
    server = program(
        "kube-apiserver",
        "k8s.io/kubernetes/cmd/kube-apiserver",
        "kubernetes",
        required="k8s.io/kubernetes",
        flags=flags,
        tags="providerless",
    )
    return etcd, server


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API server said."""

    status: int
    body: dict[str, Any]
    warnings: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """Of an error, as kubectl shows it."""
        return str(self.body.get("message", ""))


@dataclass(frozen=True, slots=True)
class ApiServer:
    """A running API server."""

    url: str
    authority: Path
    """Certificate to check it by."""
    pool: urllib3.PoolManager
    """Connections to it."""
    token: str = field(default=TOKEN, repr=False)

    def request(self, method: str, path: str, content: Any = None, *, form: str = "application/json") -> Answer:
        """Ask as the cluster's administrator."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": form}
        body = json.dumps(content).encode() if content is not None else None
        reply = self.pool.request(method, self.url + path, body=body, headers=headers)
        return Answer(reply.status, json.loads(reply.data or b"{}"), tuple(reply.headers.getlist("Warning")))

    def apply(self, path: str, content: Any, *, manager: str = "tests", dry_run: bool = False) -> Answer:
        """Apply on the server, as `kubectl apply --server-side` does."""
        query = f"?fieldManager={manager}&fieldValidation=Strict&force=true" + ("&dryRun=All" if dry_run else "")
        return self.request("PATCH", path + query, content, form="application/apply-patch+yaml")

    def awaited(self, path: str, right: Callable[[dict[str, Any]], bool], *, within_s: float = 60.0) -> dict[str, Any]:
        """Watch one object until it is as wanted.

        Raises:
            ServerFailed: If it is not within the time; shows how it was last.
        """
        folder, name = path.rsplit("/", 1)
        query = f"?watch=1&fieldSelector=metadata.name%3D{name}&timeoutSeconds={max(1, int(within_s))}"
        headers = {"Authorization": f"Bearer {self.token}"}
        timeout = urllib3.Timeout(connect=5.0, read=within_s + 5)
        last: dict[str, Any] = {}
        with self.pool.request(
            "GET", f"{self.url}{folder}{query}", headers=headers, preload_content=False, timeout=timeout
        ) as reply:
            rest = b""
            for chunk in reply.stream():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    last = json.loads(line)["object"]
                    if right(last):
                        reply.close()
                        return last
        raise ServerFailed(f"{path} was not as wanted within {within_s:g} s: {json.dumps(last)[:3000]}")

    def kubeconfig(self, file: Path) -> Path:
        """Write a kubeconfig for the administrator."""
        cluster = {"server": self.url, "certificate-authority": str(self.authority)}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "tests", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": self.token}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "admin"}}],
            "current-context": "tests",
        }
        file.write_text(json.dumps(content))
        return file


def install(server: ApiServer, folder: Path) -> None:
    """Apply the CustomResourceDefinitions of a folder and wait until they are served."""
    for file in sorted(folder.glob("*.yaml")):
        definition = yaml.safe_load(file.read_text())
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{definition['metadata']['name']}"
        answer = server.apply(path, definition)
        if answer.status not in (200, 201) or answer.warnings:
            raise ServerFailed(f"{file.name}: {answer.message} {answer.warnings}")
        server.awaited(path, _established)
        _await_served(server, definition["spec"]["names"]["plural"])


def _established(definition: dict[str, Any]) -> bool:
    conditions = {one["type"]: one["status"] for one in definition.get("status", {}).get("conditions") or []}
    return conditions.get("Established") == "True" and conditions.get("NonStructuralSchema") != "True"


def _await_served(server: ApiServer, plural: str) -> None:
    # A moment after it is established; there is nothing to watch for that.
    deadline = time.monotonic() + 30
    while server.request("GET", f"/apis/agentark.dev/v1alpha1/namespaces/default/{plural}").status != 200:
        if time.monotonic() > deadline:
            raise ServerFailed(f"{plural} is not served within 30 s")
        time.sleep(0.05)


@contextlib.contextmanager
def api_server(folder: Path) -> Iterator[ApiServer]:
    """Run etcd and the API server on loopback, with their data and logs in `folder`."""
    etcd_binary, server_binary = binaries()
    client, peer, port = free_ports(3)
    with contextlib.ExitStack() as stack:
        store = f"http://{LOOPBACK}:{client}"
        command: list[str | Path] = [etcd_binary, "--data-dir", folder / "data", "--unsafe-no-fsync"]
        command += ["--listen-client-urls", store, "--advertise-client-urls", store]
        command += ["--listen-peer-urls", f"http://{LOOPBACK}:{peer}", "--log-level", "warn"]
        stack.enter_context(_serving(command, folder / "etcd", f"{store}/health"))
        certificates = folder / "certificates"
        certificates.mkdir()
        (folder / "tokens.csv").write_text(f"{TOKEN},admin,1,system:masters\n")
        key = _signing_key(certificates / "accounts.key")
        command = [server_binary, f"--etcd-servers={store}", f"--bind-address={LOOPBACK}", f"--secure-port={port}"]
        command += [f"--advertise-address={LOOPBACK}", f"--cert-dir={certificates}"]
        command += [f"--token-auth-file={folder / 'tokens.csv'}", "--authorization-mode=RBAC"]
        command += ["--service-cluster-ip-range=198.18.2.0/24", f"--service-account-key-file={key}"]
        command += [f"--service-account-signing-key-file={key}", "--service-account-issuer=https://tests.invalid"]
        url = f"https://{LOOPBACK}:{port}"
        authority = certificates / "apiserver.crt"  # which the server makes when it starts
        stack.enter_context(_serving(command, folder / "kube-apiserver", f"{url}/readyz", authority))
        pool = urllib3.PoolManager(ca_certs=str(authority), timeout=30.0, retries=False)
        yield ApiServer(url, authority, stack.enter_context(pool))


@contextlib.contextmanager
def _serving(command: list[str | Path], folder: Path, ready_url: str, authority: Path | None = None) -> Iterator[None]:
    folder.mkdir()

    def ready() -> bool:
        if authority and not authority.exists():
            return False
        with urllib3.PoolManager(ca_certs=authority and str(authority), timeout=2.0, retries=False) as pool:
            try:
                return pool.request("GET", ready_url, headers={"Authorization": f"Bearer {TOKEN}"}).status == 200
            except urllib3.exceptions.HTTPError:
                return False

    with serving(command, env={}, folder=folder, ready=ready, deadline_s=120):
        yield


def _signing_key(path: Path) -> Path:
    path.write_bytes(RSA.generate(2048).export_key())
    return path


if __name__ == "__main__":
    print(*binaries(), sep="\n", file=sys.stdout)
