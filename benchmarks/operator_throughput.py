"""How fast the operator brings resources whose stages are all in the store to Complete.

    python -m benchmarks.operator_throughput [--resources 1000]

Starts a real etcd, API server and MinIO on loopback, runs one small DistillJob as on a laptop, makes copies of it under
other names, and starts the operator, which finds them all: what is measured is its own pace, not that of whoever
applies. In the same run it measures the API server's own rate of small writes from 20 connections, before and after.
Printed as JSON: seconds from the operator's start to the last one's Complete and from the first one's, the operator's
writes per resource (by the server's own count: status and events), both rates and their ratio, the operator's CPU and
memory, and what it does when nothing happens. Exits with 1 if the operator writes at less than a fifth of the server's
own rate, more than 8 times a resource, or at all when nothing happens.

(Not operator.py: a script in this folder would then import it in place of the standard library's module.)
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.servers.kubernetes import ApiServer, api_server, install
from tests.servers.minio import minio
from tests.servers.process import free_ports
from tests.servers.s3 import S3Server, client

ROOT = Path(__file__).parents[1]
QUICKSTART = ROOT / "examples" / "quickstart"
LEAST = 0.2
MOST_WRITES = 8
_CONNECTIONS = 20
_BARE_WRITES = 3000
_IDLE_S = 20.0
_JOBS = "/apis/agentark.dev/v1alpha1/namespaces/default/distilljobs"


def job(s3: S3Server) -> dict[str, Any]:
    """The quickstart's job, as small as can be, with everything in the bucket."""
    made: dict[str, Any] = yaml.safe_load((QUICKSTART / "distilljob.yaml").read_text())
    base = {"model": {"uri": f"s3://{s3.bucket}/base"}}
    spec = made["spec"]
    spec["debate"]["dataset"] = {"uri": f"s3://{s3.bucket}/train.jsonl", "limit": 24}
    spec["debate"]["teacher"] = spec["student"] = base
    spec["debate"]["protocol"] |= {"agents": 2, "rounds": 2}
    spec["methods"] = ["RSFT"]
    suite = {"name": "test", "dataset": {"uri": f"s3://{s3.bucket}/test.jsonl", "limit": 8}}
    spec["evaluation"] = {"suites": [suite], "controls": []}
    spec["store"] = {"uri": f"s3://{s3.bucket}/store", "endpoint": s3.endpoint}
    made["metadata"] = {"name": "first", "namespace": "default"}
    return made


def upload(s3: S3Server) -> None:
    """Put data and base into the bucket."""
    store = client(s3.endpoint)
    for name in ("train.jsonl", "test.jsonl"):
        store.fput_object(s3.bucket, name, str(QUICKSTART / "data" / name))
    for file in (QUICKSTART / "base").iterdir():
        store.fput_object(s3.bucket, f"base/{file.name}", str(file))


def write_rate(server: ApiServer, count: int, name: str) -> float:
    """Small writes per second that the server takes from 20 connections."""

    def write(number: int) -> None:
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{name}-{number}"}, "data": {"a": "b"}}
        assert server.request("POST", "/api/v1/namespaces/default/configmaps", made).status == 201

    started = time.perf_counter()
    with ThreadPoolExecutor(_CONNECTIONS) as threads:
        list(threads.map(write, range(count)))
    return count / (time.perf_counter() - started)


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


def servers_cpu_s() -> dict[str, float]:
    """Seconds of CPU that the servers started here have used, by program."""
    return {one.name().split("-v")[0]: sum(one.cpu_times()[:2]) for one in psutil.Process().children()}


def memory_mib(pid: int) -> float:
    """Memory that a process has held at most."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def watched(server: ApiServer, count: int, ready: threading.Event) -> list[float]:
    """Times at which resources became Succeeded, until all have."""
    times: list[float] = []
    done: set[str] = set()
    query = f"{server.url}{_JOBS}?watch=1&timeoutSeconds=600"
    headers = {"Authorization": f"Bearer {server.token}"}
    reply = server.pool.request("GET", query, headers=headers, preload_content=False, timeout=600.0)
    ready.set()
    rest = b""
    for chunk in reply.stream():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            found = json.loads(line)["object"]
            name = found["metadata"]["name"]
            if name not in done and found.get("status", {}).get("phase") == "Succeeded":
                done.add(name)
                times.append(time.perf_counter())
        if len(done) == count:
            reply.close()
            break
    return times


def measure(server: ApiServer, made: dict[str, Any], environment: dict[str, str], log: Path, count: int) -> Any:
    """Make copies, start the operator, wait for all, then watch it rest."""

    def create(number: int) -> None:
        copy = made | {"metadata": {"name": f"copy-{number}", "namespace": "default"}}
        assert server.request("POST", _JOBS, copy).status == 201

    ready = threading.Event()
    with ThreadPoolExecutor(_CONNECTIONS) as threads:
        list(threads.map(create, range(count)))
    bare = [write_rate(server, _BARE_WRITES, "before")]
    before = own_writes(server)
    with ThreadPoolExecutor(1) as threads:
        watching = threads.submit(watched, server, count, ready)
        ready.wait(30)
        started = time.perf_counter()
        with operating(environment, log) as pid:
            beside = servers_cpu_s()
            times = sorted(watching.result())
            time.sleep(2)  # the last event comes after the last status
            written, used = own_writes(server) - before, cpu_s(pid)
            servers = {name: now - beside[name] for name, now in servers_cpu_s().items() if name in beside}
            resting = own_writes(server)
            time.sleep(_IDLE_S)  # what is measured is what happens when nothing does
            idle_writes, idle_s = own_writes(server) - resting, cpu_s(pid) - used
            memory = memory_mib(pid)
    bare.append(write_rate(server, _BARE_WRITES, "after"))
    pace = (count - 1) / (times[-1] - times[0])
    own, rate = written / count * pace, sum(bare) / len(bare)
    return {
        "resources": count,
        "complete_s": round(times[-1] - started, 2),
        "first_to_last_s": round(times[-1] - times[0], 2),
        "resources_per_s": round(pace, 1),
        "writes_per_resource": round(written / count, 2),
        "writes_per_s": round(own, 1),
        "cpu_ms_per_resource": round(1000 * used / count, 2),
        "servers_cpu_ms_per_resource": {name: round(1000 * one / count, 2) for name, one in servers.items()},
        "memory_mib": round(memory),
        "idle_writes": idle_writes,
        "idle_cpu_percent": round(100 * idle_s / _IDLE_S, 2),
        "server_writes_per_s": [round(one, 1) for one in bare],
        "ratio": round(own / rate, 3),
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
    options = parser.parse_args()
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
        made = job(s3)
        (folder / "job.yaml").write_text(yaml.safe_dump(made))
        run = [sys.executable, "-m", "agentark", "run", "-f", str(folder / "job.yaml")]
        subprocess.run(run, cwd=folder, env=environment, check=True, stdout=sys.stderr)
        found = measure(server, made, environment, folder / "operator.log", options.resources)
    print(json.dumps(found, indent=1))
    return int(found["ratio"] < LEAST or found["writes_per_resource"] > MOST_WRITES or found["idle_writes"] > 0)


if __name__ == "__main__":
    sys.exit(main())
