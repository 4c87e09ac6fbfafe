"""The operator with many resources whose pods run, and at rest, beside the Training Operator's own work.

    python -m benchmarks.operator_live [--resources 1000]

On the tests' cluster (real API server, controllers, scheduler and Training Operator; KWOK plays the machines) it

1. creates DebateRuns, each with a debate of its own, and waits until every one's pod runs: all are live;
2. ends the pods at random moments of five minutes, and measures for each resource the time from the event of its pod
   (Succeeded) to the write of its status (Succeeded), as one process sees both on its watches. The cluster shares the
   machine with the operator: ended within one minute, they keep two cores busy, and what is measured is a queue;
3. leaves the operator alone with as many resources that have ended, and measures its CPU, memory and writes, half a
   minute after its last write;
4. creates as many PyTorchJobs of one pod, and measures the Training Operator's time to bring all to Succeeded.

Printed as JSON. Exits with 1 if the 99th percentile of 2 is 1 s or more, or at rest the operator uses 2 % of a core or
more, holds 300 MB or more, or writes anything.
"""

import argparse
import contextlib
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import urllib3

from benchmarks.operator_throughput import cpu_s, memory_mib, operating
from tests.operator.running import Bench
from tests.servers.kubernetes import ApiServer
from tests.servers.minio import minio
from tests.servers.player import Play, Player
from tests.servers.playground import Playground, playground
from tests.servers.process import free_ports

ROOT = Path(__file__).parents[1]
MOST_S, MOST_CPU_PERCENT, MOST_MIB = 1.0, 2.0, 300.0
_CONNECTIONS = 8
_REST_S = 60.0
_ENDS_S = 300.0
_SETTLED_S = 30.0
"""Without a write of the operator: what the last ones made others do is over."""
_TRAININGS = "/apis/kubeflow.org/v1"
Body = dict[str, Any]


@dataclass
class Times:
    """When each object of a kind first was as wanted, by the clock of this process."""

    server: ApiServer
    path: str
    right: Callable[[Body], bool]
    name: Callable[[Body], str] = lambda body: str(body["metadata"]["name"])
    at: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._changed = threading.Condition()
        threading.Thread(target=self._watch, daemon=True).start()

    def wait(self, count: int, within_s: float) -> float:
        """Seconds until so many objects are as wanted.

        Raises:
            TimeoutError: If they are not in time.
        """
        started = time.perf_counter()
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.at) >= count, within_s):
                raise TimeoutError(f"{self.path}: {len(self.at)} of {count} after {within_s:g} s")
        return time.perf_counter() - started

    def _watch(self) -> None:
        headers = {"Authorization": f"Bearer {self.server.token}"}
        url = f"{self.server.url}{self.path}?watch=1&timeoutSeconds=3000"
        rest = b""
        with (
            contextlib.suppress(urllib3.exceptions.HTTPError),  # the server is stopped at the end
            self.server.pool.request("GET", url, headers=headers, preload_content=False, timeout=3000.0) as reply,
        ):
            for chunk in reply.stream():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._see(json.loads(line)["object"])

    def _see(self, body: Body) -> None:
        name = self.name(body)
        if name not in self.at and self.right(body):
            with self._changed:
                self.at[name] = time.perf_counter()
                self._changed.notify_all()


def condition(type: str) -> Callable[[Body], bool]:
    """Whether a condition of an object is true."""
    return lambda body: any(
        candidate["type"] == type and candidate["status"] == "True"
        for candidate in body.get("status", {}).get("conditions") or ()
    )


def _resource(pod: Body) -> str:
    return str(pod["metadata"]["labels"]["agentark.dev/name"])


def phase(name: str) -> Callable[[Body], bool]:
    """Whether a resource or a pod is in a phase."""
    return lambda body: body.get("status", {}).get("phase") == name


def create(server: ApiServer, folder: str, bodies: Iterator[Body]) -> float:
    """Make objects from some connections at once; the seconds that it took."""

    def one(content: Body) -> None:
        answer = server.request("POST", folder, content)
        assert answer.status == 201, answer.message

    started = time.perf_counter()
    with ThreadPoolExecutor(_CONNECTIONS) as threads:
        list(threads.map(one, bodies))
    return time.perf_counter() - started


def percentile(values: list[float], share: float) -> float:
    """The value that so many of the values do not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def live(bench: Bench, player: Player, count: int, pid: int) -> Body:
    """Steps 1 and 2."""
    ours = f"/apis/agentark.dev/v1alpha1/namespaces/{bench.namespace}/debateruns"
    running = Times(bench.server, ours, phase("Running"))
    succeeded = Times(bench.server, ours, phase("Succeeded"))
    pods = Times(bench.server, f"/api/v1/namespaces/{bench.namespace}/pods", phase("Succeeded"), _resource)
    used = cpu_s(pid)
    protocol = {"agents": 3, "rounds": 2, "tie": "First"}
    runs = (bench.debate_run(f"run-{n}", protocol=protocol | {"seed": n}) for n in range(count))
    started = time.perf_counter()
    created_s = create(bench.server, ours, runs)
    running.wait(count, 900)
    alive_s = time.perf_counter() - started
    # Each pod ends at a moment of its own.
    drawn = random.Random(1)
    player.act = lambda pod: Play(delay_s=drawn.uniform(0, _ENDS_S))
    player.revisit()
    succeeded.wait(count, 900)
    waits = [succeeded.at[name] - at for name, at in pods.at.items()]
    return {
        "created_s": round(created_s, 1),
        "all_live_s": round(alive_s, 1),
        "event_to_status_s": {f"p{share}": round(percentile(waits, share / 100), 3) for share in (50, 90, 99)},
        "longest_s": round(max(waits), 3),
        "cpu_ms_per_resource": round(1000 * (cpu_s(pid) - used) / count, 1),
    }


def settle(cluster: Playground, user: str) -> None:
    """Wait for the end of the operator's writes.

    Raises:
        TimeoutError: If it goes on writing.
    """
    deadline = time.monotonic() + 20 * _SETTLED_S
    while time.monotonic() < deadline:
        since = cluster.audit.mark()
        time.sleep(_SETTLED_S)
        if not any(request.writes for request in cluster.audit.requests(since=since) if request.user == user):
            return
    raise TimeoutError(f"the operator still writes {20 * _SETTLED_S:g} s after the last resource's end")


def rest(cluster: Playground, user: str, pid: int) -> Body:
    """Step 3."""
    settle(cluster, user)
    since, used = cluster.audit.mark(), cpu_s(pid)
    time.sleep(_REST_S)  # what is measured is what happens when nothing does
    asked = [request for request in cluster.audit.requests(since=since) if request.user == user]
    return {
        "cpu_percent": round(100 * (cpu_s(pid) - used) / _REST_S, 2),
        "memory_mib": round(memory_mib(pid)),
        "writes": sum(request.writes for request in asked),
    }


def training_operator(bench: Bench, player: Player, count: int) -> Body:
    """Step 4."""
    player.act = lambda pod: Play(commit=False)
    (process,) = [child for child in psutil.Process().children(recursive=True) if "training-operator" in child.name()]
    folder = f"{_TRAININGS}/namespaces/{bench.namespace}/pytorchjobs"
    succeeded = Times(bench.server, folder, condition("Succeeded"))
    template = bench.jobs[0]["spec"]["template"]
    container = template["spec"]["containers"][0] | {"name": "pytorch"}
    labels = {name: value for name, value in template["metadata"]["labels"].items() if "agentark.dev" in name}
    labels.pop("agentark.dev/uid")  # nobody's
    pod = {"metadata": {"labels": labels}, "spec": template["spec"] | {"containers": [container]}}
    pod["spec"].pop("volumes", None)
    container.pop("volumeMounts", None)
    master = {"replicas": 1, "restartPolicy": "Never", "template": pod}
    jobs = (
        {
            "apiVersion": "kubeflow.org/v1",
            "kind": "PyTorchJob",
            "metadata": {"name": f"bare-{n}"},
            "spec": {"pytorchReplicaSpecs": {"Master": master}},
        }
        for n in range(count)
    )
    before = process.cpu_times()
    started = time.perf_counter()
    create(bench.server, folder, jobs)
    succeeded.wait(count, 900)
    after = process.cpu_times()
    used = after.user + after.system - before.user - before.system
    return {
        "all_succeeded_s": round(time.perf_counter() - started, 1),
        "cpu_ms_per_job": round(1000 * used / count, 1),
        "memory_mib": round(process.memory_info().rss / 2**20),
    }


def main() -> int:
    """Start everything, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resources", type=int, default=1000)
    count = parser.parse_args().resources
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in ("s3", "cluster"):
            (folder / name).mkdir()
        s3 = stack.enter_context(minio(folder / "s3"))
        cluster = stack.enter_context(playground(folder / "cluster", ROOT / "crds"))
        bench = Bench(cluster.server, s3, stack.enter_context(cluster.namespace()))
        bench.prepare(folder)
        user = cluster.plane.as_user("player")
        hold = Play(exit_code=None)
        player = stack.enter_context(
            Player(user, endpoint=s3.endpoint, namespace=bench.namespace, act=lambda pod: hold)
        )
        account = cluster.account(bench.namespace, bench.make_account())
        environment = {
            **os.environ,
            "KUBECONFIG": str(account.kubeconfig(folder / "kubeconfig")),
            "AGENTARK_NAMESPACES": bench.namespace,
            "AGENTARK_ADDRESS": f"127.0.0.1:{free_ports(1)[0]}",
        }
        pid = stack.enter_context(operating(environment, folder / "operator.log"))
        measured: Body = {"resources": count, "live": live(bench, player, count, pid)}
        measured["rest"] = rest(cluster, f"system:serviceaccount:{bench.namespace}:agentark-operator", pid)
        measured["training_operator"] = training_operator(bench, player, count)
    print(json.dumps(measured, indent=1))
    quiet = measured["rest"]
    return int(
        measured["live"]["event_to_status_s"]["p99"] >= MOST_S
        or quiet["cpu_percent"] >= MOST_CPU_PERCENT
        or quiet["memory_mib"] >= MOST_MIB
        or quiet["writes"] > 0
    )


if __name__ == "__main__":
    sys.exit(main())
