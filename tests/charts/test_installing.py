"""The charts on a running cluster: what installing, upgrading, going back and uninstalling leave and take away."""

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from agentark import __version__
from agentark.api import KINDS
from tests.charts.charting import CHARTS, ROOT, Body, Helm, setting
from tests.operator.running import Bench, Operators, phase
from tests.servers import kwok
from tests.servers.kubernetes import ApiServer, api_server, install
from tests.servers.player import Play, Player
from tests.servers.playground import Playground

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NAME = "agentark-operator"
LEFT = {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")}
"""What Kubernetes itself puts into each namespace."""
FOLDERS = {
    "/api/v1": ("configmaps", "pods", "secrets", "serviceaccounts", "services"),
    "/apis/apps/v1": ("deployments", "replicasets"),
    "/apis/batch/v1": ("jobs",),
    "/apis/networking.k8s.io/v1": ("networkpolicies",),
    "/apis/policy/v1": ("poddisruptionbudgets",),
    "/apis/rbac.authorization.k8s.io/v1": ("roles", "rolebindings"),
}


@pytest.fixture(scope="module")
def new_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server that nobody else uses."""
    with api_server(tmp_path_factory.mktemp("kubernetes")) as server:
        yield server


@pytest.fixture
def bare_server(new_server: ApiServer) -> Iterator[ApiServer]:
    """An API server that does not know our kinds."""
    yield new_server
    new_server.request("DELETE", CRDS)
    without_kinds(new_server)
    new_server.request("DELETE", "/api/v1/namespaces/default/secrets")  # Helm's memory


def on(helm: Helm, server: ApiServer, folder: Path) -> Helm:
    """Helm for a cluster, as its administrator."""
    return dataclasses.replace(helm, kubeconfig=server.kubeconfig(folder / "helm-admin"))


def kinds(server: ApiServer) -> set[str]:
    return {one["spec"]["names"]["kind"] for one in server.request("GET", CRDS).body["items"]}


def established(definition: Body) -> bool:
    conditions = definition.get("status", {}).get("conditions") or ()
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


def without_kinds(server: ApiServer) -> None:
    """Wait until no kind is left: what users made goes first."""
    # Where its first try met another's write the server looks again only when it looks at all kinds, every 5 minutes.
    deadline = time.monotonic() + 330
    while left := kinds(server):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def test_kinds_and_what_users_made_stay_unless_told_otherwise(
    helm_either: Helm, bare_server: ApiServer, tmp_path: Path
) -> None:
    helm = on(helm_either, bare_server, tmp_path)
    chart = CHARTS / "agentark-crds"
    said = helm.run("install", "agentark-crds", chart)
    assert "helm install agentark charts/agentark-operator" in said and "kubectl delete crd debateruns" in said
    assert kinds(bare_server) == set(KINDS)
    made = {"apiVersion": "agentark.dev/v1alpha1", "kind": "ModelRelease", "metadata": {"name": "math"}, "spec": {}}
    path = "/apis/agentark.dev/v1alpha1/namespaces/default/modelreleases/math"
    bare_server.awaited(f"{CRDS}/modelreleases.agentark.dev", established)
    assert bare_server.apply(path, made).status == 201
    helm.run("uninstall", "agentark-crds")
    assert kinds(bare_server) == set(KINDS) and bare_server.request("GET", path).status == 200
    helm.run("install", "agentark-crds", chart)  # takes up what it left
    said = helm.run("upgrade", "agentark-crds", chart, "--set", "keep=false")
    assert "CAUTION: keep is false" in said
    helm.run("uninstall", "agentark-crds")
    without_kinds(bare_server)


def test_kinds_that_kubectl_made_are_taken_over(helm_either: Helm, bare_server: ApiServer, tmp_path: Path) -> None:
    install(bare_server, ROOT / "crds")
    helm = on(helm_either, bare_server, tmp_path)
    said = helm.run("install", "agentark-crds", CHARTS / "agentark-crds", code=1)
    assert "exists and cannot be imported into the current release" in said
    taking = ("--take-ownership", "--force-conflicts") if "Version:v4" in version(helm) else ("--take-ownership",)
    helm.run("install", "agentark-crds", CHARTS / "agentark-crds", *taking)
    helm.run("upgrade", "agentark-crds", CHARTS / "agentark-crds")
    assert kinds(bare_server) == set(KINDS)


def version(helm: Helm) -> str:
    """As `helm version` says it."""
    return helm.run("version", "--template", "Version:{{ .Version }}")


def objects(server: ApiServer, namespace: str) -> set[tuple[str, str]]:
    """(kind, name) of what is in a namespace."""
    found = set()
    for root, plurals in FOLDERS.items():
        for plural in plurals:
            listed = server.request("GET", f"{root}/namespaces/{namespace}/{plural}").body
            kind = listed["kind"].removesuffix("List")
            found |= {(kind, one["metadata"]["name"]) for one in listed["items"]}
    return found


@dataclasses.dataclass
class Installed:
    """A release of the operator's chart for one team."""

    helm: Helm
    playground: Playground
    namespace: str
    folder: Path

    def values(self, team: str, **more: Any) -> list[str]:
        return setting({"watchNamespaces": [team], "pollSeconds": 0.5, "retrySeconds": 0.2, **more})

    def environment(self) -> dict[str, str]:
        """Settings, as the pods get them."""
        path = f"/api/v1/namespaces/{self.namespace}/configmaps/{NAME}"
        return dict(self.playground.server.request("GET", path).body["data"])

    @property
    def account(self) -> ApiServer:
        """The cluster as the operator's pod sees it."""
        return self.playground.account(self.namespace, NAME)

    def deployment(self) -> Body:
        path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{NAME}"
        return self.playground.server.request("GET", path).body

    def run_hook(self) -> str:
        """Be the container of the Job that uninstalling starts; returns what it said."""
        server = self.playground.server
        folder = f"/api/v1/namespaces/{self.namespace}/pods"
        path = f"/apis/batch/v1/namespaces/{self.namespace}/jobs/{NAME}-uninstall"
        server.awaited(path, lambda one: one.get("status", {}).get("ready") == 1)
        (pod,) = server.request("GET", f"{folder}?labelSelector=app.kubernetes.io/component%3Duninstall").body["items"]
        container = pod["spec"]["containers"][0]
        assert container["command"][0] == "python"
        config = self.account.kubeconfig(self.folder / "hook")
        done = subprocess.run(
            [sys.executable, *container["command"][1:], *container["args"]],
            cwd=ROOT / "operator",
            env={"PATH": os.environ["PATH"], "KUBECONFIG": str(config), **self.environment()},
            capture_output=True,
            text=True,
            check=False,
        )
        change = {"metadata": {"annotations": {kwok.EXIT: str(done.returncode)}}}
        name = pod["metadata"]["name"]
        server.request("PATCH", f"{folder}/{name}", change, form="application/merge-patch+json")
        return done.stdout + done.stderr


@pytest.fixture
def installed(helm_either: Helm, playground: Playground, tmp_path: Path) -> Iterator[Installed]:
    """A restricted namespace for the operator; the test installs it there."""
    with playground.namespace(restricted=True) as name:
        yield Installed(on(helm_either, playground.server, tmp_path), playground, name, tmp_path)


def test_a_release_lives_and_leaves_nothing_but_what_users_made(
    installed: Installed, bench: Bench, player: Player
) -> None:
    helm, server = installed.helm, installed.playground.server
    given = installed.values(bench.namespace)
    place = ("--namespace", installed.namespace, "--wait", "--timeout", "120s")
    said = helm.run("install", "agentark", CHARTS / NAME, *place, *given)
    assert f"AgentArk {__version__} looks after {bench.namespace}." in said and "CAUTION" not in said
    assert f"rollout status deployment/{NAME}" in said
    first = installed.deployment()
    assert first["status"]["availableReplicas"] == 1

    # With the settings and the account that the chart gives, and no others.
    def play(pod: Body) -> Play:
        return Play(exit_code=None if "lasting" in pod["metadata"]["name"] else 0)

    player.act = play
    settings = {name: value for name, value in installed.environment().items() if name != "AGENTARK_ADDRESS"}
    operators = Operators(installed.account, installed.folder / "operator", settings)
    with operators.running():
        talk = bench.apply(bench.debate_run("talk"))
        assert phase(server.awaited(talk, lambda one: phase(one) in ("Succeeded", "Failed"))) == "Succeeded"
        taught = bench.debate_run("lasting", teacher={"model": bench.model}, protocol={"agents": 2, "rounds": 1})
        lasting = bench.apply(taught)
        server.awaited(lasting, lambda one: phase(one) == "Running", within_s=90)
    assert ": 403: " not in operators.log and bench.pods and bench.listed("/apis/apps/v1", "deployments")

    # New settings begin with a new pod; going back brings the former ones.
    helm.run("upgrade", "agentark", CHARTS / NAME, *place, *given, "--set", "cost.currency=EUR")
    assert installed.environment()["AGENTARK_CURRENCY"] == "EUR"
    second = installed.deployment()
    template = second["spec"]["template"]["metadata"]
    assert template["annotations"] != first["spec"]["template"]["metadata"]["annotations"]
    assert second["status"]["observedGeneration"] == second["metadata"]["generation"]
    helm.run("rollback", "agentark", *place)
    assert installed.environment()["AGENTARK_CURRENCY"] == "USD"
    assert installed.deployment()["spec"]["template"] == first["spec"]["template"]

    with ThreadPoolExecutor(1) as threads:
        hook: Future[str] = threads.submit(installed.run_hook)
        helm.run("uninstall", "agentark", "--namespace", installed.namespace, "--wait", "--timeout", "120s")
        said = hook.result()
    assert said.splitlines()[0] == f"ended operator {installed.namespace}/{NAME}"
    assert f"ended Deployment {bench.namespace}/teacher-" in said and f"ended Job {bench.namespace}/lasting-" in said
    assert objects(server, installed.namespace) == LEFT
    for one in ("deployments", "replicasets"):
        bench.gone_all("/apis/apps/v1", one)
    bench.gone_all("/apis/batch/v1", "jobs")
    bench.gone_all("/api/v1", "pods")
    assert ("Role", NAME) not in objects(server, bench.namespace)
    assert {phase(server.request("GET", path).body) for path in (talk, lasting)} == {"Succeeded", "Running"}
    assert kinds(server) >= set(KINDS)


def test_an_operator_installed_again_goes_on_with_what_uninstalling_ended(
    installed: Installed, bench: Bench, player: Player
) -> None:
    helm, server = installed.helm, installed.playground.server
    install = ("install", "agentark", CHARTS / NAME, "--namespace", installed.namespace)
    player.act = lambda pod: Play(exit_code=None)
    helm.run(*install, *installed.values(bench.namespace))
    settings = {name: value for name, value in installed.environment().items() if name != "AGENTARK_ADDRESS"}
    with Operators(installed.account, installed.folder / "first", settings).running():
        path = bench.apply(bench.debate_run("talk", runPolicy={"backoffLimit": 0}))
        server.awaited(path, lambda one: phase(one) == "Running")
    with ThreadPoolExecutor(1) as threads:
        hook = threads.submit(installed.run_hook)
        helm.run("uninstall", "agentark", "--namespace", installed.namespace)
        assert "error" not in hook.result()
    player.act = lambda pod: Play()
    helm.run(*install, *installed.values(bench.namespace))
    with Operators(installed.account, installed.folder / "second", settings).running():
        found = server.awaited(path, lambda one: phase(one) in ("Succeeded", "Failed"))
    assert phase(found) == "Succeeded", "what ends with the operator is no failure of the work"


def test_without_the_kinds_it_says_what_to_do_first(helm_either: Helm, bare_server: ApiServer, tmp_path: Path) -> None:
    helm = on(helm_either, bare_server, tmp_path)
    said = helm.run("install", "agentark", CHARTS / NAME, "--namespace", "default", "--dry-run=server")
    assert "CAUTION: this cluster does not have AgentArk's kinds yet" in said
    assert "helm install agentark-crds charts/agentark-crds" in said
    assert "This cluster has no PyTorchJobs" in said and "No registry is named" in said
