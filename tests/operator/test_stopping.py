"""An operator ends at once; what runs is ended after it, and only what the operator made."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.operator.running import ROOT, Bench, Operators, phase
from tests.servers.kubernetes import ApiServer

NAMESPACE = "stopping"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/operator"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"


def stop(server: ApiServer, folder: Path) -> "subprocess.CompletedProcess[str]":
    command = ["-m", "agentark_operator.uninstall", "--deployment", "operator", "--namespace", NAMESPACE]
    return subprocess.run(
        [sys.executable, *command, "--wait-seconds", "1"],
        cwd=ROOT / "operator",
        env={"PATH": os.environ["PATH"], "KUBECONFIG": str(server.kubeconfig(folder / "admin"))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def make(server: ApiServer, folder: Path) -> None:
    """The operator's Deployment, a Job that it made and one that it did not."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    assert server.apply(f"/api/v1/namespaces/{NAMESPACE}", namespace).status in (200, 201)
    pod: dict[str, Any] = {"containers": [{"name": "a", "image": "a"}]}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": pod}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "operator"}, "spec": spec}
    assert server.apply(DEPLOYMENT, deployment).status == 201
    for name, manager in (("ours", "agentark-operator"), ("theirs", "Helm")):
        metadata = {"name": name, "labels": {"app.kubernetes.io/managed-by": manager}}
        job = {"template": {"spec": {**pod, "restartPolicy": "Never"}}}
        made = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": job}
        assert server.apply(f"{JOBS}/{name}", made).status == 201


def jobs(server: ApiServer) -> set[str]:
    listed = server.request("GET", JOBS).body["items"]
    return {one["metadata"]["name"] for one in listed if not one["metadata"].get("deletionTimestamp")}


def test_an_operator_that_is_told_to_stop_ends_at_once(bench: Bench, operators: Operators) -> None:
    path = bench.apply(bench.debate_run("talk", suspend=True))
    with operators.running() as process:
        bench.server.awaited(path, lambda resource: phase(resource) == "Suspended")
        told = time.monotonic()
        process.terminate()
        process.wait(timeout=20)
    # Kopf waits just so long for a task that does not end, and says so at the level DEBUG only.
    assert time.monotonic() - told < 5


def test_nothing_is_ended_while_the_operator_may_begin_it_anew(cluster: ApiServer, tmp_path: Path) -> None:
    make(cluster, tmp_path)
    # Nothing takes the pods away here, so the Deployment waits for them.
    done = stop(cluster, tmp_path)
    assert done.returncode == 1 and jobs(cluster) == {"ours", "theirs"}
    assert f"the pods of {NAMESPACE}/operator are not gone after 1 s, so what they run was left as it is" in done.stderr
    none = {"metadata": {"finalizers": None}}
    cluster.request("PATCH", DEPLOYMENT, none, form="application/merge-patch+json")
    assert cluster.request("GET", DEPLOYMENT).status == 404
    done = stop(cluster, tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), "that PyTorchJobs are not installed here is no error"
    assert done.stdout == f"not there: operator {NAMESPACE}/operator\nended Job {NAMESPACE}/ours\n"
    assert jobs(cluster) == {"theirs"}
