"""A Kubernetes API server and its etcd for tests, built once from their Go modules into the user's cache folder."""

import contextlib
import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import urllib3
import yaml
from Crypto.PublicKey import RSA

from tests.servers.golang import program
from tests.servers.process import LOOPBACK, ServerFailed, free_ports, serving

TOKEN = "only-for-tests-on-loopback"  # of servers that live as long as one test run
_COMPONENT_VERSION = "k8s.io/component-base/version"


def component(name: str) -> Path:
    """Return the path of a program of Kubernetes' own, e.g. kube-apiserver, built first if need be.

    Raises:
        ServerFailed: If Go is missing or the build fails.
    """
    # The program says which version it is by what the linker writes into it.
    flags = f"-X {_COMPONENT_VERSION}.gitVersion={{version}} -X {_COMPONENT_VERSION}.gitMajor=1"
    flags += f" -X {_COMPONENT_VERSION}.gitMinor=35"
    package = f"k8s.io/kubernetes/cmd/{name}"
    return program(name, package, "kubernetes", required="k8s.io/kubernetes", flags=flags, tags="providerless")


def binaries() -> tuple[Path, Path]:
    """Return the paths of etcd and kube-apiserver, built first if need be (about 3 minutes on two cores).

    Raises:
        ServerFailed: If Go is missing or a build fails.
    """
    return program("etcd", "go.etcd.io/etcd/server/v3", "etcd"), component("kube-apiserver")


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
        """Watch one object until it is as wanted, through restarts of the server as well.

        Raises:
            ServerFailed: If it is not within the time; shows how it was last.
        """
        folder, name = path.rsplit("/", 1)
        url = f"{self.url}{folder}?watch=1&fieldSelector=metadata.name%3D{name}"
        deadline = time.monotonic() + within_s
        while (left := deadline - time.monotonic()) > 0:
            # A watch without a version begins with the object as it is.
            with contextlib.suppress(urllib3.exceptions.HTTPError):
                for found in self._changes(f"{url}&timeoutSeconds={max(1, int(left))}", left):
                    if right(found):
                        return found
            time.sleep(0.05)
        last = json.dumps(self.request("GET", path).body)
        raise ServerFailed(f"{path} was not as wanted within {within_s:g} s: {last[:3000]}")

    def _changes(self, url: str, within_s: float) -> Iterator[dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self.token}"}
        timeout = urllib3.Timeout(connect=5.0, read=within_s + 5)
        with self.pool.request("GET", url, headers=headers, preload_content=False, timeout=timeout) as reply:
            try:
                # A server that has just begun does not know custom resources yet.
                rest = b""
                for chunk in reply.stream() if reply.status == 200 else ():
                    *lines, rest = (rest + chunk).split(b"\n")
                    yield from (json.loads(line)["object"] for line in lines)
            finally:
                reply.close()  # else what comes later would lie in the connection

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
        answer = define(server, yaml.safe_load(file.read_text()))
        if answer.warnings:
            raise ServerFailed(f"{file.name}: {answer.warnings}")


def define(server: ApiServer, definition: dict[str, Any]) -> Answer:
    """Apply a CustomResourceDefinition and wait until it is served.

    Raises:
        ServerFailed: If the server refuses it or does not serve it in time.
    """
    name = definition["metadata"]["name"]
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
    answer = server.apply(path, definition)
    if answer.status not in (200, 201):
        raise ServerFailed(f"{name}: {answer.message}")
    server.awaited(path, _established)
    _await_served(server, definition["spec"])
    return answer


def _established(definition: dict[str, Any]) -> bool:
    conditions = {one["type"]: one["status"] for one in definition.get("status", {}).get("conditions") or []}
    return conditions.get("Established") == "True" and conditions.get("NonStructuralSchema") != "True"


def _await_served(server: ApiServer, spec: dict[str, Any]) -> None:
    # A moment after it is established; there is nothing to watch for that.
    version = next(one["name"] for one in spec["versions"] if one["served"])
    path = f"/apis/{spec['group']}/{version}/{spec['names']['plural']}?limit=1"
    deadline = time.monotonic() + 30
    while server.request("GET", path).status != 200:
        if time.monotonic() > deadline:
            raise ServerFailed(f"{path} is not served within 30 s")
        time.sleep(0.05)


@dataclass(frozen=True, slots=True)
class Site:
    """Where a control plane runs, and what its API server is told beyond what all are."""

    address: str = LOOPBACK
    port: int = 0
    """Of the API server; 0 for a free one."""
    enter: tuple[str, ...] = ()
    """Command that runs another inside a network namespace."""
    authorization: str = "RBAC"
    flags: tuple[str, ...] = ()


class ControlPlane:
    """etcd and the API server on loopback; the server can be stopped and started again on the same data and port."""

    def __init__(
        self,
        folder: Path,
        *,
        users: Mapping[str, Sequence[str]] | None = None,
        audit: bool = False,
        site: Site = Site(),
    ) -> None:
        """Prepare it; entering the context starts it.

        Args:
            folder: Where data and logs are kept.
            users: Groups of further users beside the administrator, by name; see `as_user`.
            audit: Whether each request is written to the file `audit_log`.
            site: Where it runs, if not on loopback.
        """
        self._folder = folder
        self._site = site
        self._users = {"admin": ("system:masters",), **(users or {})}
        self._audited = audit
        self._running = contextlib.ExitStack()  # of the API server alone
        self._whole = contextlib.ExitStack()
        self._port = site.port or free_ports(1)[0]
        self._store = ""
        self.server: ApiServer
        self.process: subprocess.Popen[bytes]
        """Of the API server."""

    @property
    def audit_log(self) -> Path:
        """A line of JSON for each request, where asked for."""
        return self._folder / "audit.log"

    @property
    def accounts_key(self) -> Path:
        """Private key of the tokens of service accounts."""
        return self._folder / "certificates" / "accounts.key"

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as started:
            self._store = started.enter_context(_etcd(self._folder, self._site))
            self._prepare()
            started.callback(self.stop)
            self.start()
            authority = self._folder / "certificates" / "apiserver.crt"  # which the server makes when it starts
            pool = urllib3.PoolManager(ca_certs=str(authority), maxsize=8, timeout=30.0, retries=False)
            self.server = ApiServer(self._url, authority, started.enter_context(pool))
            self._whole = started.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._whole.close()

    def as_user(self, name: str) -> ApiServer:
        """The server as one of `users` sees it."""
        return dataclasses.replace(self.server, token=_token(name))

    def start(self) -> None:
        """Start the API server, on the data that is there. From the main thread: the server ends with its thread."""
        authority = self._folder / "certificates" / "apiserver.crt"
        ready = f"{self._url}/readyz"
        self.process = self._running.enter_context(
            # It waits for those who watch to go, who do not: 2 s are enough for the requests under way.
            _serving(self._command(), self._folder / "kube-apiserver", ready, authority, grace_s=2.0)
        )

    def stop(self) -> None:
        """End the API server as an upgrade does: it goes on a little for those who are connected."""
        self._running.close()

    def kill(self) -> None:
        """End the API server at once, as a crash does."""
        self.process.kill()
        self.stop()

    @property
    def _url(self) -> str:
        return f"https://{self._site.address}:{self._port}"

    def _prepare(self) -> None:
        self.accounts_key.parent.mkdir()
        self.accounts_key.write_bytes(RSA.generate(2048).export_key())
        lines = [
            f'{_token(name)},{name},{number},"{",".join(groups)}"\n'
            for number, (name, groups) in enumerate(self._users.items())
        ]
        (self._folder / "tokens.csv").write_text("".join(lines))
        rules = [{"level": "Metadata"}]
        policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules, "omitStages": ["RequestReceived"]}
        (self._folder / "audit.json").write_text(json.dumps(policy))

    def _command(self) -> list[str | Path]:
        key, address = self.accounts_key, self._site.address
        command: list[str | Path] = [*self._site.enter, component("kube-apiserver"), f"--etcd-servers={self._store}"]
        command += [f"--bind-address={address}", f"--secure-port={self._port}", f"--advertise-address={address}"]
        command += [f"--cert-dir={key.parent}", f"--token-auth-file={self._folder / 'tokens.csv'}"]
        command += [f"--authorization-mode={self._site.authorization}", "--service-cluster-ip-range=198.18.2.0/24"]
        # As on OpenShift: who holds up an owner's deletion needs the right to.
        command += ["--enable-admission-plugins=OwnerReferencesPermissionEnforcement"]
        command += [f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}"]
        command += ["--service-account-issuer=https://tests.invalid"]
        if self._audited:
            command += [f"--audit-log-path={self.audit_log}", f"--audit-policy-file={self._folder / 'audit.json'}"]
            command += ["--audit-log-maxsize=4000"]  # megabytes: one file for a whole test run
        return [*command, *self._site.flags]


def _token(user: str) -> str:
    return TOKEN if user == "admin" else f"{TOKEN}-{user}"


@contextlib.contextmanager
def api_server(folder: Path) -> Iterator[ApiServer]:
    """Run etcd and the API server on loopback, with their data and logs in `folder`."""
    with ControlPlane(folder) as running:
        yield running.server


@contextlib.contextmanager
def _etcd(folder: Path, site: Site) -> Iterator[str]:
    client, peer = free_ports(2)
    store = f"http://{LOOPBACK}:{client}"
    command: list[str | Path] = [*site.enter, binaries()[0], "--data-dir", folder / "data", "--unsafe-no-fsync"]
    command += ["--listen-client-urls", store, "--advertise-client-urls", store]
    command += ["--listen-peer-urls", f"http://{LOOPBACK}:{peer}", "--log-level", "warn"]
    # In another network namespace nobody here can ask it; the API server waits for it.
    with _serving(command, folder / "etcd", "" if site.enter else f"{store}/health"):
        yield store


@contextlib.contextmanager
def _serving(
    command: list[str | Path], folder: Path, ready_url: str, authority: Path | None = None, *, grace_s: float = 10.0
) -> Iterator[subprocess.Popen[bytes]]:
    folder.mkdir(exist_ok=True)

    def ready() -> bool:
        if not ready_url:
            return True
        if authority and not authority.exists():
            return False
        with urllib3.PoolManager(ca_certs=authority and str(authority), timeout=2.0, retries=False) as pool:
            try:
                return pool.request("GET", ready_url, headers={"Authorization": f"Bearer {TOKEN}"}).status == 200
            except urllib3.exceptions.HTTPError:
                return False

    with serving(command, env={}, folder=folder, ready=ready, deadline_s=120, grace_s=grace_s) as process:
        yield process


if __name__ == "__main__":
    print(*binaries(), sep="\n", file=sys.stdout)
