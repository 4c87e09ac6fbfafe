"""A cluster without machines on which two teams work for real: stages are processes, trainings train."""

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
import yaml

from benchmarks.dashboards.model_server import NAME
from benchmarks.dashboards.page import Shot
from tests.operator.running import ROOT, Bench, Body, Operators, phase
from tests.servers.grafana import Filling
from tests.servers.minio import minio
from tests.servers.player import Player
from tests.servers.playground import Playground, playground
from tests.servers.pod_process import PodProcesses
from tests.servers.process import LOOPBACK, free_ports, serving
from tests.servers.prometheus import Prometheus, prometheus
from tests.servers.s3 import client

QUICKSTART = ROOT / "examples" / "quickstart"
SETTINGS = {
    "AGENTARK_PRICES": "nvidia.com/gpu=3.50,cpu=0.04",
    "AGENTARK_CURRENCY": "EUR",
    "AGENTARK_BUDGET_PER_HOUR": "20",
    "AGENTARK_POLL_SECONDS": "2",
}
_LONGEST_S = 1500.0


@dataclass(frozen=True)
class World:
    """Two teams' namespaces on one cluster, with an operator and a Prometheus that watches it and its pods."""

    alpha: Bench
    beta: Bench
    source: Prometheus
    teacher: str
    """URL of a server with the quickstart's model."""
    fast: str
    """URL of a server that makes its answers up, many at once."""

    def work(self) -> Shot:
        """Let both teams work until the job of the first is done; what happened meanwhile.

        Raises:
            RuntimeError: The job has failed, or is not done in 25 minutes.
        """
        started = time.time()
        job = self.alpha.apply(self.alpha.resource("DistillJob", "word-problems", _job(self.alpha, self.teacher)))
        self.beta.apply(self.beta.resource("DebateRun", "algebra", _debate(self.beta, self.fast)))
        missing = _debate(self.beta, self.fast) | {"dataset": {"uri": f"{self.beta.address}/forgotten.jsonl"}}
        self.beta.apply(self.beta.resource("DebateRun", "geometry", missing))
        told: set[str] = set()
        while phase(resource := self.alpha.server.request("GET", job).body) not in ("Succeeded", "Failed"):
            if time.time() - started > _LONGEST_S:
                raise RuntimeError(f"the job is not done: {resource.get('status')}")
            for line in _lines(resource):
                if line not in told:
                    print(f"{time.time() - started:5.0f} s {line}", file=sys.stderr)
                    told.add(line)
            time.sleep(1)
        if phase(resource) == "Failed":
            raise RuntimeError(f"the job has failed: {resource['status']}")
        self.alpha.server.awaited(
            self.alpha.path("ModelRelease", "word-problems"), lambda release: "current" in str(release)
        )
        time.sleep(5)  # until the last figures are scraped
        end = time.time()
        return Shot(self.source, started, end, Filling(interval="20s", range_s=int(end - started)))


def _lines(resource: Body) -> Iterator[str]:
    """What to tell of a run on its way."""
    for stage in resource.get("status", {}).get("stages", ()):
        yield f"{stage['name']}: {stage['state']}"
        if "lastFailure" in stage:
            yield f"{stage['name']}, attempt {stage['counted']}: {stage['lastFailure']}"


@contextlib.contextmanager
def world() -> Iterator[World]:
    """Set it up in a temporary folder, and take it down."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in ("s3", "kubernetes", "prometheus", "teacher", "fast"):
            (folder / name).mkdir()
        s3 = stack.enter_context(minio(folder / "s3"))
        cluster = stack.enter_context(playground(folder / "kubernetes", ROOT / "crds"))
        alpha, beta = (_team(cluster, Bench(cluster.server, s3, name)) for name in ("team-alpha", "team-beta"))
        _upload(alpha, beta)
        operators = Operators(cluster.server, folder / "operator", SETTINGS)
        processes = PodProcesses(
            cluster.plane.as_user("player"), folder / "pods", at_once=4, discovery=folder / "stages.json"
        )
        stack.callback(processes.close, wait=False)
        stack.enter_context(Player(cluster.plane.as_user("player"), endpoint=s3.endpoint, act=processes.act))
        source = stack.enter_context(prometheus(folder / "prometheus", _scraped(operators, folder / "stages.json")))
        teacher, fast = _teacher(stack, folder / "teacher"), _made_up(stack, folder / "fast")
        stack.enter_context(operators.running())
        yield World(alpha, beta, source, teacher, fast)


def _team(cluster: Playground, bench: Bench) -> Bench:
    answer = cluster.server.request("POST", "/api/v1/namespaces", {"metadata": {"name": bench.namespace}})
    assert answer.status == 201, answer.message
    cluster.server.awaited(f"/api/v1/namespaces/{bench.namespace}/serviceaccounts/default", bool)
    bench.make_secret()
    return bench


def _upload(alpha: Bench, beta: Bench) -> None:
    store = client(alpha.s3.endpoint)
    for file in [*(QUICKSTART / "base").iterdir(), *(QUICKSTART / "data").iterdir()]:
        store.fput_object(alpha.s3.bucket, f"{alpha.namespace}/{file.parent.name}/{file.name}", str(file))
    rows = (f'{{"id": "q{n}", "question": "What is {n} + 1?", "answer": "{n + 1}"}}\n' for n in range(1500))
    beta.upload("questions.jsonl", "".join(rows))


def _scraped(operators: Operators, stages: Path) -> list[dict[str, Any]]:
    own = {"namespace": "agentark-system", "service": "agentark-operator", "pod": "agentark-operator-0"}
    target = {"targets": [operators.address], "labels": own}
    return [
        {"job_name": "operator", "honor_labels": True, "static_configs": [target]},
        {"job_name": "stages", "file_sd_configs": [{"files": [str(stages)], "refresh_interval": "1s"}]},
    ]


def _teacher(stack: contextlib.ExitStack, folder: Path) -> str:
    (port,) = free_ports(1)
    url = f"http://{LOOPBACK}:{port}/v1"
    command = [sys.executable, "-m", "benchmarks.dashboards.model_server", "--port", str(port)]
    env = {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}

    def ready() -> bool:
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            return urllib3.request("GET", f"{url}/models", retries=False, timeout=5.0).status == 200
        return False

    stack.enter_context(serving(command, env=env, folder=folder, ready=ready, deadline_s=120))
    return url


def _made_up(stack: contextlib.ExitStack, folder: Path) -> str:
    command: list[str | Path] = [sys.executable, ROOT / "benchmarks" / "server.py"]
    command += ["--model", "teacher-32b", "--latency-s", "2.5", "--latency-spread", "0.6", "--fault-rate", "0.02"]
    command += ["--template", "Step 1: add one to the number. The answer is {index}."]
    log = folder / "server.log"
    stack.enter_context(serving(command, env={}, folder=folder, ready=lambda: log.read_text() != "", deadline_s=30))
    return log.read_text().splitlines()[0].strip()


def _debate(bench: Bench, url: str) -> Body:
    endpoint = {"baseUrl": url, "model": "teacher-32b"}
    execution = {"workers": 2, "concurrency": 24, "maxFailedQuestions": 200}
    return bench.debate(teacher={"endpoint": endpoint}, execution=execution)


def _job(bench: Bench, teacher: str) -> Body:
    """The quickstart with PAD and a release, smaller."""
    spec: Body = yaml.safe_load((QUICKSTART / "pad.yaml").read_text())["spec"]
    base = {"model": {"uri": f"{bench.address}/base"}}
    spec["debate"] |= {"dataset": {"uri": f"{bench.address}/data/train.jsonl", "limit": 60}}
    spec["debate"]["teacher"] = {"endpoint": {"baseUrl": teacher, "model": NAME}}
    spec["debate"]["protocol"] |= {"agents": 3}
    spec["student"] = base
    spec["pad"] |= {"steps": 6, "promptsPerStep": 8}
    spec["training"] |= {"backend": "PyTorchJob", "nodes": 1, "gpusPerNode": 1, "checkpointSteps": 5}
    spec["prm"]["training"] |= {"epochs": "3", "backend": "PyTorchJob", "nodes": 1, "gpusPerNode": 1}
    suite = {"name": "word-problems", "dataset": {"uri": f"{bench.address}/data/test.jsonl", "limit": 40}}
    spec["evaluation"] = {"suites": [suite], "controls": ["Debate"], "decoding": ["Greedy"]}
    spec["release"] = {"name": "word-problems", "gates": [{"suite": "word-problems", "minValue": "0.1"}]}
    spec["pods"] = {"spec": {"containers": [{"name": "stage", "resources": {"requests": {"cpu": "4"}}}]}}
    return spec
