"""How fast the operator brings resources whose stages are all in the store to Complete.

    python -m benchmarks.operator_throughput [--resources 1000]

Starts a real etcd, API server and MinIO on loopback, runs one small DistillJob as on a laptop, and applies copies of it
under other names while the operator runs. In the same run it measures the API server's own rate of small writes from 20
connections. Printed as JSON: seconds, the operator's writes per resource (by the server's own count), both rates and
their ratio, the operator's CPU and memory, and what it does when nothing happens. Exits with 1 if the operator writes
at less than a fifth of the server's own rate, more than 8 times a resource, or at all when nothing happens.

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


def write_rate(server: ApiServer, count: int) -> float:
    """Small writes per second that the server takes from 20 connections."""

    def write(number: int) -> None:
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"bare-{number}"}, "data": {"a": "b"}}
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


def measure(server: ApiServer, made: dict[str, Any], pid: int, count: int) -> dict[str, Any]:
    """Apply copies, wait for all, then watch the operator rest."""
    ready = threading.Event()
    with ThreadPoolExecutor(_CONNECTIONS + 1) as threads:
        watching = threads.submit(watched, server, count, ready)
        ready.wait(30)
        before, started = cpu_s(pid), time.perf_counter()

        def create(number: int) -> None:
            copy = made | {"metadata": {"name": f"copy-{number}", "namespace": "default"}}
            assert server.request("POST", _JOBS, copy).status == 201

        list(threads.map(create, range(count)))
        created_s = time.perf_counter() - started
        times = watching.result()
        seconds = max(times) - started
        used = cpu_s(pid) - before
    written, resting = status_writes(server), cpu_s(pid)
    time.sleep(_IDLE_S)  # what is measured is what happens when nothing does
    return {
        "resources": count,
        "created_s": round(created_s, 2),
        "complete_s": round(seconds, 2),
        "writes_per_resource": round(written / count, 2),
        "writes_per_s": round(written / seconds, 1),
        "cpu_ms_per_resource": round(1000 * used / count, 2),
        "memory_mib": round(memory_mib(pid)),
        "idle_writes": status_writes(server) - written,
        "idle_cpu_percent": round(100 * (cpu_s(pid) - resting) / _IDLE_S, 2),
    }


def status_writes(server: ApiServer) -> int:
    """Writes to the status of DistillJobs that the server has counted."""
    headers = {"Authorization": f"Bearer {server.token}"}
    text = server.pool.request("GET", f"{server.url}/metrics", headers=headers).data.decode()
    counts = (
        line.rsplit(" ", 1)[1]
        for line in text.splitlines()
        if line.startswith("apiserver_request_total{")
        and all(part in line for part in ('resource="distilljobs"', 'subresource="status"'))
        and any(f'verb="{verb}"' in line for verb in ("APPLY", "PATCH", "PUT"))
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
        bare = write_rate(server, 2 * options.resources)
        pid = stack.enter_context(operating(environment, folder / "operator.log"))
        found = measure(server, made, pid, options.resources)
    found |= {"server_writes_per_s": round(bare, 1), "ratio": round(found["writes_per_s"] / bare, 3)}
    print(json.dumps(found, indent=1))
    return int(found["ratio"] < LEAST or found["writes_per_resource"] > MOST_WRITES or found["idle_writes"] > 0)


if __name__ == "__main__":
    sys.exit(main())
