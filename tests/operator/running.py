"""The operator as a process of its own, and resources for it to look after."""

import base64
import contextlib
import copy
import io
import os
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3
from agentark_operator.backends import BACKENDS
from agentark_operator.permissions import manifests as permissions

from tests.servers.kubernetes import ApiServer
from tests.servers.process import free_ports
from tests.servers.s3 import S3Server, client

ROOT = Path(__file__).parents[2]
KUBECTL = Path(sys.executable).with_name("kubectl")
"""Of the test environment (`make dev`)."""
QUESTIONS = "".join(f'{{"id": "q{i}", "question": "What is {i} + 1?", "answer": "{i + 1}"}}\n' for i in range(8))
Body = dict[str, Any]


@dataclass
class Operators:
    """Starts and stops operators on one cluster."""

    server: ApiServer
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to this process's, or in its place."""
    address: str = field(default_factory=lambda: f"127.0.0.1:{free_ports(1)[0]}")

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.server.kubeconfig(self.folder / "kubeconfig")

    @property
    def log(self) -> str:
        """What all of them said so far."""
        return (self.folder / "operator.log").read_text(errors="replace")

    def metrics(self, *, once: str, within_s: float = 10.0) -> str:
        """What Prometheus would scrape of the one that runs, once a line is there: counted is what stands written."""
        deadline = time.monotonic() + within_s
        with urllib3.PoolManager(retries=False, timeout=5.0) as pool:
            while once not in (found := pool.request("GET", f"http://{self.address}/metrics").data.decode()):
                assert time.monotonic() < deadline, f"{once} is not among the metrics:\n{found}"
                time.sleep(0.05)
        return found

    def start(self, **environment: str) -> "subprocess.Popen[bytes]":
        """Start one; whoever starts it stops it."""
        names = ("AWS_", "MINIO_", "KUBE", "AGENTARK_")
        bare = {name: value for name, value in os.environ.items() if not name.startswith(names)}
        own = {
            "KUBECONFIG": str(self.folder / "kubeconfig"),
            "AGENTARK_ADDRESS": self.address,
            "AGENTARK_POLL_SECONDS": "0.5",
            "AGENTARK_RETRY_SECONDS": "0.2",
            "XDG_CACHE_HOME": str(self.folder / "cache"),
        }
        with (self.folder / "operator.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "agentark_operator"],
                cwd=ROOT / "operator",
                env={**bare, **own, **self.environment, **environment},
                stdout=log,
                stderr=log,
            )

    @contextlib.contextmanager
    def running(self, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Run one for the length of the block; it must leave with 0 when told to stop, unless it was killed."""
        process = self.start(**environment)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            code = process.wait(timeout=20)
        assert code in (0, -9), self.log[-3000:]


@dataclass(frozen=True)
class Bench:
    """A namespace with data, a store and its Secret."""

    server: ApiServer
    s3: S3Server
    namespace: str

    def upload(self, name: str, content: str) -> None:
        """Put a file beside the namespace's data."""
        data = content.encode()
        client(self.s3.endpoint).put_object(self.s3.bucket, f"{self.namespace}/{name}", io.BytesIO(data), len(data))

    def prepare(self, folder: Path) -> None:
        """Upload the data and a model, and make the Secret."""
        store = client(self.s3.endpoint)
        (folder / "questions.jsonl").write_text(QUESTIONS)
        (folder / "config.json").write_text("{}")
        store.fput_object(self.s3.bucket, f"{self.namespace}/questions.jsonl", str(folder / "questions.jsonl"))
        store.fput_object(self.s3.bucket, f"{self.namespace}/model/config.json", str(folder / "config.json"))
        self.make_secret()

    def make_secret(self, name: str = "store", **values: str) -> None:
        """The Secret with the store's credentials, or with others."""
        given = {"accessKey": self.s3.access_key, "secretKey": self.s3.secret_key, **values}
        data = {key: base64.b64encode(value.encode()).decode() for key, value in given.items()}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
        answer = self.server.apply(f"/api/v1/namespaces/{self.namespace}/secrets/{name}", secret)
        assert answer.status in (200, 201), answer.message

    def make_account(
        self,
        *,
        without: tuple[str, str, str] | None = None,
        backends: Collection[str] = tuple(BACKENDS),
        teachers: bool = True,
    ) -> str:
        """The operator's service account with its roles in this namespace; returns its name.

        Args:
            without: Group, resource and verb that is taken away.
            backends: That it may use.
            teachers: Whether it may serve teachers' weights.
        """
        made = permissions(self.namespace, watched=[self.namespace], backends=backends, teachers=teachers)
        for one in made:
            group, kind = one["apiVersion"], one["kind"].lower()
            root = f"/apis/{group}" if "/" in group else f"/api/{group}"
            rules = [_less(rule, without) for rule in one.get("rules", ())] if without else one.get("rules")
            content = one | ({"rules": rules} if rules else {})
            path = f"{root}/namespaces/{self.namespace}/{kind}s/{one['metadata']['name']}"
            answer = self.server.apply(path, content)
            assert answer.status in (200, 201), answer.message
        return str(made[0]["metadata"]["name"])

    @property
    def address(self) -> str:
        """Where the namespace's data lies."""
        return f"s3://{self.s3.bucket}/{self.namespace}"

    @property
    def store(self) -> Body:
        """`spec.store`."""
        secret = {"name": "store"}
        return {"uri": f"{self.address}/store", "endpoint": self.s3.endpoint, "credentialsSecretRef": secret}

    def debate(self, **spec: Any) -> Body:
        """What a DebateRun says of its debate."""
        made: Body = {
            "dataset": {"uri": f"{self.address}/questions.jsonl"},
            "teacher": {"endpoint": {"baseUrl": "http://127.0.0.1:9/v1", "model": "test"}},
            "protocol": {"agents": 3, "rounds": 2, "tie": "First"},
        }
        return made | spec

    def debate_run(self, name: str, **spec: Any) -> Body:
        """A DebateRun."""
        return self.resource("DebateRun", name, self.debate() | spec)

    def prm_training(self, name: str, **spec: Any) -> Body:
        """A PRMTraining with a debate of its own."""
        return self.resource("PRMTraining", name, {"debate": self.debate(), "model": self.model} | spec)

    def distill_job(self, name: str, *methods: str, **spec: Any) -> Body:
        """A DistillJob with a debate of its own."""
        made = {
            "debate": self.debate(),
            "student": {"model": self.model},
            "methods": list(methods or ("RSFT",)),
            "evaluation": {
                "suites": [{"name": "test", "dataset": {"uri": f"{self.address}/questions.jsonl"}}],
                "controls": [],
            },
        }
        return self.resource("DistillJob", name, made | spec)

    @property
    def model(self) -> Body:
        """A model's address."""
        return {"uri": f"{self.address}/model"}

    def resource(self, kind: str, name: str, spec: Body) -> Body:
        """A resource in the namespace, with its store."""
        metadata = {"name": name, "namespace": self.namespace}
        made = {"apiVersion": "agentark.dev/v1alpha1", "kind": kind, "metadata": metadata}
        return copy.deepcopy({**made, "spec": {"store": self.store, **spec}})

    def apply(self, made: Body) -> str:
        """Apply a resource as a user does; returns its path."""
        path = self.path(made["kind"], made["metadata"]["name"])
        answer = self.server.apply(path, made)
        assert answer.status in (200, 201) and not answer.warnings, answer
        return path

    def gone(self, path: str, *, within_s: float = 30.0) -> None:
        """Wait until an object is not there any more."""
        deadline = time.monotonic() + within_s
        while self.server.request("GET", path).status != 404:
            assert time.monotonic() < deadline, f"{path} is still there after {within_s:g} s"
            time.sleep(0.05)  # a watch of one that is gone already would never end

    def gone_all(self, api: str, plural: str, *, within_s: float = 30.0) -> None:
        """Wait until no object of a kind is left in the namespace."""
        deadline = time.monotonic() + within_s
        while found := self.listed(api, plural):
            assert time.monotonic() < deadline, [one["metadata"]["name"] for one in found]
            time.sleep(0.05)

    def path(self, kind: str, name: str) -> str:
        """Of a resource of ours."""
        return f"/apis/agentark.dev/v1alpha1/namespaces/{self.namespace}/{kind.lower()}s/{name}"

    def listed(self, api: str, plural: str) -> list[Body]:
        """Objects of a kind in the namespace."""
        found = self.server.request("GET", f"{api}/namespaces/{self.namespace}/{plural}").body
        return list(found.get("items") or ())

    @property
    def jobs(self) -> list[Body]:
        """Jobs of Kubernetes itself."""
        return self.listed("/apis/batch/v1", "jobs")

    @property
    def pytorchjobs(self) -> list[Body]:
        """PyTorchJobs."""
        return self.listed("/apis/kubeflow.org/v1", "pytorchjobs")

    @property
    def pods(self) -> list[Body]:
        """Pods."""
        return self.listed("/api/v1", "pods")


def _less(rule: Body, without: tuple[str, str, str]) -> Body:
    """A rule without one verb."""
    group, resource, verb = without
    if group not in rule["apiGroups"] or resource not in rule["resources"]:
        return rule
    others = [one for one in rule["resources"] if one != resource]
    assert not others or rule["verbs"] != [verb], "split the row"
    return rule | {"verbs": [one for one in rule["verbs"] if one != verb]}


def phase(resource: Body) -> str:
    """Of a resource's status."""
    return str(resource.get("status", {}).get("phase", ""))


def condition(resource: Body, type: str = "Ready") -> Body:
    """A condition of a resource; an empty one where it is not there."""
    conditions = resource.get("status", {}).get("conditions", [])
    return next((one for one in conditions if one["type"] == type), {"reason": "", "message": "", "status": ""})


def states(resource: Body) -> dict[str, str]:
    """Stage -> state."""
    return {one["name"]: one["state"] for one in resource["status"].get("stages", [])}
