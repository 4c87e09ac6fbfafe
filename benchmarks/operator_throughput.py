"""How fast the operator brings resources whose stages are all in the store to Complete.

    python -m benchmarks.operator_throughput [--resources 1000] [--rounds 6]

Starts a real etcd, API server and MinIO on loopback and runs one small DistillJob as on a laptop. A round makes copies
of it under other names and starts the operator, which finds them all: what is measured is its own pace, not that of
whoever applies. Meanwhile the operator is stopped every four seconds (SIGSTOP), and for four seconds the API server's
own rate of small writes from 20 connections is measured: the speed of a machine may change within a minute by half, and
the server collects its garbage every few seconds, so short windows before and after say little.

Printed as JSON: per round the operator's writes a second of its own time and the server's own, with their ratio; its
mean with the 95 % interval of Student's t over rounds; the operator's writes per resource (by the server's own count:
status and events), CPU and memory, and what it does when nothing happens. Exits with 1 if the mean ratio is less than a
fifth, or the operator writes more than 8 times a resource, or at all when nothing happens.

(Not operator.py: a script in this folder would then import it in place of the standard library's module.)
"""

import argparse
import contextlib
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from scipy import stats

from tests.servers.kubernetes import ApiServer, api_server, install
from tests.servers.minio import minio
from tests.servers.process import free_ports
from tests.servers.s3 import S3Server, client

ROOT = Path(__file__).parents[1]
QUICKSTART = ROOT / "examples" / "quickstart"
LEAST = 0.2
MOST_WRITES = 8
_CONNECTIONS = 20
_SLICE_S = 4.0
_SETTLE_S = 0.05
"""Until the server has answered what was asked before the operator was stopped; counted as the operator's time."""
_IDLE_S = 20.0
_JOBS = "/apis/agentark.dev/v1alpha1/namespaces/default/distilljobs"


def job(s3: S3Server) -> dict[str, Any]:
    """The quickstart's job, as small as can be, with everything in the bucket."""
    manifest: dict[str, Any] = yaml.safe_load((QUICKSTART / "distilljob.yaml").read_text())
    base = {"model": {"uri": f"s3://{s3.bucket}/base"}}
    spec = manifest["spec"]
    spec["debate"]["dataset"] = {"uri": f"s3://{s3.bucket}/train.jsonl", "limit": 24}
    spec["debate"]["teacher"] = spec["student"] = base
    spec["debate"]["protocol"] |= {"agents": 2, "rounds": 2}
    spec["methods"] = ["RSFT"]
    suite = {"name": "test", "dataset": {"uri": f"s3://{s3.bucket}/test.jsonl", "limit": 8}}
    spec["evaluation"] = {"suites": [suite], "controls": []}
    spec["store"] = {"uri": f"s3://{s3.bucket}/store", "endpoint": s3.endpoint}
    manifest["metadata"] = {"name": "first", "namespace": "default"}
    return manifest


def upload(s3: S3Server) -> None:
    """Put data and base into the bucket."""
    store = client(s3.endpoint)
    for name in ("train.jsonl", "test.jsonl"):
        store.fput_object(s3.bucket, name, str(QUICKSTART / "data" / name))
    for file in (QUICKSTART / "base").iterdir():
        store.fput_object(s3.bucket, f"base/{file.name}", str(file))


@dataclass(frozen=True)
class Window:
    """Bare writes while the operator was stopped; moments in seconds."""

    began: float
    ended: float
    writes: int


def bare_writes(server: ApiServer, name: str) -> Window:
    """Small writes from 20 connections, for a slice of time."""
    began = time.perf_counter()

    def write(connection: int) -> int:
        for number in itertools.count():
            if time.perf_counter() - began > _SLICE_S:
                return number
            metadata = {"name": f"{name}-{connection}-{number}"}
            config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "b"}}
            assert server.request("POST", "/api/v1/namespaces/default/configmaps", config_map).status == 201
        raise AssertionError

    with ThreadPoolExecutor(_CONNECTIONS) as threads:
        writes = sum(threads.map(write, range(_CONNECTIONS)))
    return Window(began, time.perf_counter(), writes)


def alternate(server: ApiServer, pid: int, name: str, first: threading.Event, last: threading.Event) -> list[Window]:
    """From the first Complete to the last one, let the operator and bare writes take turns."""
    windows: list[Window] = []
    first.wait(120)
    while not last.wait(_SLICE_S):
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(_SETTLE_S)
            windows.append(bare_writes(server, f"{name}-{len(windows)}"))
        finally:
            os.kill(pid, signal.SIGCONT)
    return windows


@contextlib.contextmanager
def operating(environment: dict[str, str], log: Path) -> Iterator[int]:
    """Run the operator; gives its process id."""
    with log.open("wb") as sink:
        command = [sys.executable, "-m", "agentark_operator"]
        process = subprocess.Popen(command, cwd=ROOT / "operator", env=environment, stdout=sink, stderr=sink)
        try:
            yield process.pid
        finally:
            process.terminate()
            process.wait(30)


def cpu_s(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(pid: int) -> float:
    """Memory that a process has held at most."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


@dataclass(frozen=True)
class Marks:
    """What the watcher tells others."""

    ready: threading.Event = field(default_factory=threading.Event)
    """It sees all resources."""
    first: threading.Event = field(default_factory=threading.Event)
    """One is complete."""
    last: threading.Event = field(default_factory=threading.Event)
    """All are."""


def watched(server: ApiServer, count: int, marks: Marks) -> list[float]:
    """Times at which resources became Succeeded, until all have."""
    times: list[float] = []
    done: set[str] = set()
    query = f"{server.url}{_JOBS}?watch=1&timeoutSeconds=600"
    headers = {"Authorization": f"Bearer {server.token}"}
    reply = server.pool.request("GET", query, headers=headers, preload_content=False, timeout=600.0)
    marks.ready.set()
    rest = b""
    for chunk in reply.stream():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if b'"Succeeded"' not in line:  # what is read here is taken from the operator's share of the machine
                continue
            resource = json.loads(line)["object"]
            name = resource["metadata"]["name"]
            if name not in done and resource["status"]["phase"] == "Succeeded":
                done.add(name)
                times.append(time.perf_counter())
                marks.first.set()
        if len(done) == count:
            reply.close()
            break
    marks.last.set()
    return times


@dataclass(frozen=True)
class Round:
    """What one start of the operator showed; times in seconds, memory in MiB."""

    pace: float
    """Resources a second of the operator's own time, from the first one's Complete to the last one's."""
    bare: float
    """Writes a second while it was stopped."""
    writes: int
    cpu_s: float
    memory: float
    idle_writes: int = 0
    idle_cpu_s: float = 0.0


def operate(
    server: ApiServer, name: str, count: int, environment: dict[str, str], log: Path, *, idle_s: float = 0.0
) -> Round:
    """Start the operator, wait until it has found that all are complete, then watch it rest."""
    marks, before = Marks(), own_writes(server)
    with ThreadPoolExecutor(2) as threads:
        watching = threads.submit(watched, server, count, marks)
        marks.ready.wait(30)
        with operating(environment, log) as pid:
            windows = threads.submit(alternate, server, pid, name, marks.first, marks.last).result()
            times = sorted(watching.result())
            if not windows:
                raise SystemExit(f"--resources: {count} were complete before the operator was stopped once; give more")
            time.sleep(2)  # the last event comes after the last status
            written, used = own_writes(server) - before, cpu_s(pid)
            resting = own_writes(server)
            time.sleep(idle_s)  # what is measured is what happens when nothing does
            # The last one may have begun while the last Complete was still on its way to the watcher, or after it.
            stopped = sum(max(0.0, min(window.ended, times[-1]) - window.began) for window in windows)
            return Round(
                pace=(count - 1) / (times[-1] - times[0] - stopped),
                bare=sum(window.writes for window in windows) / sum(window.ended - window.began for window in windows),
                writes=written,
                cpu_s=used,
                memory=memory_mib(pid),
                idle_writes=own_writes(server) - resting,
                idle_cpu_s=cpu_s(pid) - used,
            )


def measure(
    server: ApiServer, manifest: dict[str, Any], environment: dict[str, str], log: Path, count: int, rounds: int
) -> dict[str, Any]:
    """Rounds of the operator, each with resources of its own."""
    results: list[Round] = []
    for number in range(1, rounds + 1):
        names = [f"copy-{number}-{copy}" for copy in range(count)]
        with ThreadPoolExecutor(_CONNECTIONS) as threads:
            for answer in threads.map(lambda name: create(server, manifest, name), names):
                assert answer == 201
            idle_s = _IDLE_S if number == rounds else 0.0
            result = operate(server, f"bare-{number}", count, environment, log, idle_s=idle_s)
            for answer in threads.map(lambda name: server.request("DELETE", f"{_JOBS}/{name}").status, names):
                assert answer == 200
        results.append(result)
        own = result.writes / count * result.pace
        print(f"round {number}: {own:.0f} writes/s, bare {result.bare:.0f}: {own / result.bare:.3f}", file=sys.stderr)
    return report(results, count)


def create(server: ApiServer, manifest: dict[str, Any], name: str) -> int:
    """Make a copy of the job; gives the server's answer."""
    copy = manifest | {"metadata": {"name": name, "namespace": "default"}}
    return server.request("POST", _JOBS, copy).status


def report(rounds: Sequence[Round], count: int) -> dict[str, Any]:
    """The figures of all rounds."""
    own = [round_.writes / count * round_.pace for round_ in rounds]
    ratios = [writes / round_.bare for writes, round_ in zip(own, rounds, strict=True)]
    ratio = statistics.mean(ratios)
    reach = float(stats.t.ppf(0.975, len(ratios) - 1)) * statistics.stdev(ratios) / len(ratios) ** 0.5
    last = rounds[-1]
    return {
        "resources": count,
        "resources_per_s": [round(round_.pace, 1) for round_ in rounds],
        "writes_per_resource": round(statistics.mean(round_.writes for round_ in rounds) / count, 2),
        "writes_per_s": [round(rate, 1) for rate in own],
        "server_writes_per_s": [round(round_.bare, 1) for round_ in rounds],
        "ratios": [round(rate, 3) for rate in ratios],
        "ratio": round(ratio, 3),
        "interval": [round(ratio - reach, 3), round(ratio + reach, 3)],
        "cpu_ms_per_resource": round(1000 * statistics.mean(round_.cpu_s for round_ in rounds) / count, 2),
        "memory_mib": round(max(round_.memory for round_ in rounds)),
        "idle_writes": last.idle_writes,
        "idle_cpu_percent": round(100 * last.idle_cpu_s / _IDLE_S, 2),
    }


def own_writes(server: ApiServer) -> int:
    """Writes to the status of DistillJobs, and of events, that the server has counted."""
    headers = {"Authorization": f"Bearer {server.token}"}
    text = server.pool.request("GET", f"{server.url}/metrics", headers=headers).data.decode()
    verbs = tuple(f'verb="{verb}"' for verb in ("APPLY", "PATCH", "PUT", "POST"))
    counts = (
        line.rsplit(" ", 1)[1]
        for line in text.splitlines()
        if line.startswith("apiserver_request_total{")
        and any(verb in line for verb in verbs)
        and (
            ('resource="distilljobs"' in line and 'subresource="status"' in line)
            or ('resource="events"' in line and 'code="201"' in line)
        )
    )
    return int(sum(float(value) for value in counts))


def main() -> int:
    """Start everything, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resources", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=6)
    options = parser.parse_args()
    if options.rounds < 2:
        parser.error("--rounds: at least 2, or there is no interval")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in ("s3", "kubernetes"):
            (folder / name).mkdir()
        s3 = stack.enter_context(minio(folder / "s3"))
        server = stack.enter_context(api_server(folder / "kubernetes"))
        install(server, ROOT / "crds")
        environment = {
            **os.environ,
            "KUBECONFIG": str(server.kubeconfig(folder / "kubeconfig")),
            "AWS_ACCESS_KEY_ID": s3.access_key,
            "AWS_SECRET_ACCESS_KEY": s3.secret_key,
            "XDG_CACHE_HOME": str(folder / "cache"),
            "AGENTARK_ADDRESS": f"127.0.0.1:{free_ports(1)[0]}",
        }
        upload(s3)
        manifest = job(s3)
        (folder / "job.yaml").write_text(yaml.safe_dump(manifest))
        run = [sys.executable, "-m", "agentark", "run", "-f", str(folder / "job.yaml")]
        subprocess.run(run, cwd=folder, env=environment, check=True, stdout=sys.stderr)
        measured = measure(server, manifest, environment, folder / "operator.log", options.resources, options.rounds)
    print(json.dumps(measured, indent=1))
    return int(
        measured["ratio"] < LEAST or measured["writes_per_resource"] > MOST_WRITES or measured["idle_writes"] > 0
    )


if __name__ == "__main__":
    sys.exit(main())
