"""Our system on a node, installed as a platform team would: by the charts, from the images, with MinIO as the store."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.cluster.node import Node, namespace
from tests.e2e.cluster.store import Store
from tests.servers.helm import helm as helm_program
from tests.servers.process import ServerFailed
from tests.servers.s3 import ACCESS_KEY, BUCKET, SECRET_KEY, client

ROOT = Path(__file__).parents[3]
CHARTS = ROOT / "charts"
SYSTEM, TEAM = "agentark-system", "team-a"
QUICKSTART = ROOT / "examples" / "quickstart"
RESULTS = ROOT / "build" / "e2e"
"""What a run leaves for people: its transcript and figures."""


@dataclass(frozen=True, slots=True)
class System:
    """AgentArk on a node, and a team that uses it."""

    node: Node
    store: Store

    def helm(self, *arguments: str, within_s: float = 300.0) -> str:
        """Run Helm as the administrator and return what it prints.

        Raises:
            ServerFailed: If it fails, with what it says.
        """
        command = [str(helm_program()), f"--kubeconfig={self.node.kubeconfig}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=within_s, check=False)
        if done.returncode:
            raise ServerFailed(f"helm {' '.join(arguments)}: {done.stdout}{done.stderr}".strip())
        return done.stdout

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """A resource of ours in the team's namespace."""
        path = f"/apis/agentark.dev/v1alpha1/namespaces/{TEAM}/{kind.lower()}s/{name}"
        found = self.node.server.request("GET", path)
        if found.status != 200:
            raise ServerFailed(f"{kind} {name}: {found.message}")
        return found.body

    def listed(self, kind: str, selector: Mapping[str, str], *, api: str = "/api/v1") -> list[dict[str, Any]]:
        """Objects of a kind (its plural) in the team's namespace that have these labels."""
        labels = ",".join(f"{name}={value}" for name, value in selector.items())
        path = f"{api}/namespaces/{TEAM}/{kind}?labelSelector={labels}"
        return list(self.node.server.request("GET", path).body.get("items") or ())

    def address(self, service: str, *, port: int = 80) -> str:
        """Where a Service of the team's namespace is reached from this machine."""
        found = self.node.server.request("GET", f"/api/v1/namespaces/{TEAM}/services/{service}")
        if found.status != 200:
            raise ServerFailed(f"Service {service}: {found.message}")
        return f"http://{found.body['spec']['clusterIP']}:{port}"


def image_values(tag: str) -> list[str]:
    """Values of the operator's chart that name the images of this checkout."""
    names = {"image": "operator", "worker.image": "worker", "teachers.image": "inference"}
    flags = []
    for place, name in names.items():
        values = {"registry": "localhost", "repository": f"agentark-{name}", "tag": tag}
        flags += [f"--set-string={place}.{field}={value}" for field, value in values.items()]
    return flags


def operator_values(tag: str) -> list[str]:
    """All values of the operator's chart that a run here sets."""
    monitors = ("serviceMonitor", "podMonitor", "rules", "dashboards")
    watched = [f"--set=metrics.{one}.enabled=true" for one in monitors]
    quick = ["--set=pollSeconds=2", "--set=retrySeconds=2"]
    cost = [r"--set-string=cost.prices.nvidia\.com/gpu=2.50", "--set-string=cost.budgetPerHour=40"]
    return [*image_values(tag), *watched, *quick, *cost, f"--set=watchNamespaces={{{TEAM}}}"]


def upload(store: Store) -> None:
    """Put the quickstart's questions and model into the bucket, as `mc cp` would."""
    target = client(store.outside.endpoint)
    for name in ("train.jsonl", "test.jsonl"):
        target.fput_object(BUCKET, f"data/{name}", str(QUICKSTART / "data" / name))
    for file in sorted((QUICKSTART / "base").iterdir()):
        target.fput_object(BUCKET, f"models/base/{file.name}", str(file))


def make_team(node: Node) -> None:
    """The team's namespace, restricted, with the Secret of its store."""
    node.apply([namespace(TEAM)])
    keys = {"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "store"}, "stringData": keys}
    node.apply([secret], namespace=TEAM)


def packaged(system: System, version: str, folder: Path) -> Path:
    """The charts packed as another version of themselves, as a registry would keep them; the folder they are in."""
    for name in ("agentark-crds", "agentark-operator"):
        system.helm("package", str(CHARTS / name), f"--version={version}", f"--destination={folder}")
    return folder


def install(system: System, tag: str, *further: str, version: str | None = None, folder: Path = CHARTS) -> None:
    """The two charts of a cluster, as docs/install.md says; where they are installed already, they are upgraded.

    Args:
        system: Where.
        tag: Of the images.
        further: Values of the operator's chart.
        version: Of the packages in `folder`; without it, the charts there are not packed.
        folder: Where the charts are.
    """
    end = f"-{version}.tgz" if version else ""
    system.helm("upgrade", "--install", "agentark-crds", str(folder / f"agentark-crds{end}"))
    flags = ["--namespace", SYSTEM, "--create-namespace", "--wait", "--timeout=180s", *operator_values(tag), *further]
    system.helm("upgrade", "--install", "agentark", str(folder / f"agentark-operator{end}"), *flags)


def versions(system: System) -> list[str]:
    """The versions of the operator's chart that were installed, oldest first."""
    told = json.loads(system.helm("history", "agentark", "-n", SYSTEM, "-o", "json"))
    return [str(one["chart"]).removeprefix("agentark-operator-") for one in told]
