"""A stage in several processes: two machines of one process each train as one machine with two."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from agentark.errors import InvalidInput
from agentark.execution.launching import group_variables, needs_launch
from agentark.execution.local import run_plan
from agentark.planning import Pin, Plan, Resources, Stage, keep_plan
from agentark.planning.stage import stage_key
from agentark.store import StageManifest, Store, commit, open_store, read_manifest, read_progress, sha256_tree
from agentark.store.outputs import put_file
from tests.distill.world import sums, write_lines, write_model
from tests.execution.conftest import ROOT
from tests.execution.test_runs import wait_for
from tests.servers.s3 import S3Server

TRAINING = {
    "epochs": "40",
    "learningRate": "1e-2",
    "batchSize": 4,
    "maxLengthTokens": 128,
    "longTraces": "Drop",
    "schedule": "Cosine",
    "warmupRatio": "0.1",
    "weightDecay": "0",
    "precision": "Float32",
    "evaluations": 0,
    "seed": 7,
}


def planned(model: Path, *, processes: int, nodes: int) -> Plan:
    """A training of a tiny model, whose rows are made already."""
    rows_key = stage_key("curate", params={}, inputs={}, pins={})
    params: dict[str, Any] = {"training": TRAINING, "task": "gsm8k", "maxNewTokens": 24}
    inputs, pins = {"rows": rows_key}, {"model": f"sha256:{sha256_tree(model)}"}
    training = Stage(
        kind="distill",
        name="distill/RSFT",
        key=stage_key("distill", params=params, inputs=inputs, pins=pins),
        params=params,
        inputs=inputs,
        pins=pins,
        settings={"checkpointSteps": 7, "model": "file:model"},
        resources=Resources(nodes=nodes, processes_per_node=processes, backend="PyTorchJob"),
    )
    rows = Stage(kind="curate", name="curate/RSFT", key=rows_key, params={})
    pin = Pin(uri="file:model", identity=pins["model"], path=str(model))
    common: dict[str, Any] = {"kind": "DistillJob", "name": "sums", "namespace": "team", "manifest": {"spec": {}}}
    return Plan(**common, run_id="sums-1", pins={"file:model": pin}, stages=(rows, training))


def curated(store: Store, plan: Plan, folder: Path) -> None:
    output = put_file(store, "rows.jsonl", write_lines(folder / "rows.jsonl", sums(12)))
    when = "2026-01-01T00:00:00.000Z"
    made: dict[str, Any] = {"attempt": 1, "started_at": when, "finished_at": when, "params": {}, "inputs": {}}
    commit(store, StageManifest(kind="curate", key=plan.stages[0].key, outputs={"rows": output}, **made))


@dataclass
class Cluster:
    """Machines that share a bucket and nothing else."""

    server: S3Server
    prefix: str
    folder: Path

    @property
    def store(self) -> Store:
        access = {"access_key": self.server.access_key, "secret_key": self.server.secret_key}
        return open_store(f"s3://{self.server.bucket}/{self.prefix}", endpoint=self.server.endpoint, **access)

    def pod(self, plan: Plan, number: int, more: Mapping[str, str]) -> "subprocess.Popen[str]":
        """Start the container of a pod as the operator does."""
        stage = plan.stages[1]
        command = [sys.executable, "-m", "agentark", "stage", stage.kind, "--key", stage.key]
        command += ["--plan", f"store:{keep_plan(self.store, plan)}", "--store", self.store.uri]
        disk = self.folder / f"{self.prefix}-{number}"
        (disk / "tmp").mkdir(parents=True, exist_ok=True)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PET_"))}
        environment |= {
            "AWS_ENDPOINT_URL": self.server.endpoint,
            "AWS_ACCESS_KEY_ID": self.server.access_key,
            "AWS_SECRET_ACCESS_KEY": self.server.secret_key,
            "AGENTARK_TERMINATION_LOG": str(disk / "termination-log"),
            "XDG_CACHE_HOME": str(disk / "cache"),
            "TMPDIR": str(disk / "tmp"),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
            "HF_HUB_OFFLINE": "1",
        }
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, env=environment | more, **pipes)

    def nodes(self, plan: Plan) -> list["subprocess.Popen[str]"]:
        """Two pods with the variables that the Training Operator gives them."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        group = {"PET_NNODES": "2", "PET_NPROC_PER_NODE": "1", "PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": port}
        # It numbers pods, not processes, in the very variables that processes are numbered in.
        pods = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        return [self.pod(plan, n, group | pods | {"PET_NODE_RANK": str(n), "RANK": str(n)}) for n in (0, 1)]

    def weights(self, plan: Plan) -> str:
        manifest = read_manifest(self.store, "distill", plan.stages[1].key)
        assert manifest is not None
        content = self.store.read(f"{manifest.outputs['model'].path}/model.safetensors")
        return hashlib.sha256(content).hexdigest()


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    out, _ = process.communicate(timeout=240)
    return process.returncode, out


@pytest.mark.timeout(600)
def test_two_machines_told_to_stop_go_on_and_train_as_one_with_two_processes(
    tmp_path: Path, minio_server: S3Server
) -> None:
    model = write_model(tmp_path / "model", dropout=0.2)
    one, two = Cluster(minio_server, "one", tmp_path), Cluster(minio_server, "two", tmp_path)
    together, apart = planned(model, processes=2, nodes=1), planned(model, processes=1, nodes=2)
    curated(one.store, together, tmp_path)
    curated(two.store, apart, tmp_path)
    code, out = ended(one.pod(together, 0, {}))
    assert code == 0, out

    def steps() -> int:
        found = read_progress(two.store, "distill", apart.stages[1].key)
        return found.done if found else 0

    pods = two.nodes(apart)
    wait_for(lambda: steps() > 0 or any(pod.poll() is not None for pod in pods), deadline_s=120)
    for pod in pods:
        pod.send_signal(signal.SIGTERM)
    for number, pod in enumerate(pods):
        code, out = ended(pod)
        assert code == 75, out
        word = (tmp_path / f"two-{number}" / "termination-log").read_text()
        assert word.startswith("Interrupted: training stopped after step")
    assert read_manifest(two.store, "distill", apart.stages[1].key) is None
    for pod in two.nodes(apart):
        code, out = ended(pod)
        assert code == 0, out
    assert two.weights(apart) == one.weights(together)
    manifest = read_manifest(two.store, "distill", apart.stages[1].key)
    assert manifest is not None and manifest.metrics["world_size"] == 2
    history = json.loads(two.store.read(manifest.outputs["history"].path))
    assert history["resumed_from"] > 0
    left = [path for number in (0, 1) for path in (tmp_path / f"two-{number}" / "tmp").iterdir()]
    assert not left, "launchers tidy up after themselves"


def workers(pod: "subprocess.Popen[str]") -> list[psutil.Process]:
    """The processes of a pod that train: children of its torchrun."""
    return [one for launcher in psutil.Process(pod.pid).children() for one in launcher.children()]


def test_a_machine_that_waits_for_another_in_vain_stops_when_told_to(tmp_path: Path, minio_server: S3Server) -> None:
    cluster = Cluster(minio_server, "alone", tmp_path)
    plan = planned(write_model(tmp_path / "model"), processes=1, nodes=2)
    curated(cluster.store, plan, tmp_path)
    first, second = cluster.nodes(plan)
    wait_for(lambda: bool(workers(first)) and bool(workers(second)), deadline_s=120)
    for process in psutil.Process(second.pid).children(recursive=True):
        process.kill()
    ended(second)
    port = int(psutil.Process(first.pid).environ()["PET_MASTER_PORT"])

    def waits() -> bool:
        links = [link for one in workers(first) for link in one.net_connections()]
        return any(link.raddr and link.raddr.port == port for link in links)

    # From here on it waits inside of torch for the other one, and hears no signal.
    wait_for(waits, deadline_s=120)
    first.send_signal(signal.SIGTERM)
    code, out = ended(first)
    assert code == 75, out
    word = (tmp_path / "alone-0" / "termination-log").read_text()
    assert word == "Interrupted: stage distill/RSFT: stopped before its processes had met; run it again to go on"


def test_wrong_input_in_launched_processes_is_told_by_the_launcher(tmp_path: Path, minio_server: S3Server) -> None:
    model = write_model(tmp_path / "model")
    cluster = Cluster(minio_server, "wrong", tmp_path)
    plan = planned(model, processes=3, nodes=1)
    curated(cluster.store, plan, tmp_path)
    code, out = ended(cluster.pod(plan, 0, {}))
    assert code == 2, out
    word = (tmp_path / "wrong-0" / "termination-log").read_text()
    assert word == "InvalidInput: training: batchSize 4 cannot be split over 3 processes; choose a multiple"


@pytest.mark.long
def test_a_run_on_this_machine_tells_of_wrong_input_in_its_processes(tmp_path: Path) -> None:
    plan = planned(write_model(tmp_path / "model"), processes=3, nodes=1)
    store = open_store(str(tmp_path / "store"))
    curated(store, plan, tmp_path)
    statuses = run_plan(plan, store, jobs=1, observe=lambda _: None, should_stop=lambda: False)
    status = statuses[plan.stages[1].key]
    assert (status.state, status.exit_code) == ("Failed", 2)
    assert status.message == "training: batchSize 4 cannot be split over 3 processes; choose a multiple"


def stage(processes: int) -> Stage:
    resources = Resources(processes_per_node=processes)
    return Stage(kind="distill", name="d", key="0" * 16, params={}, resources=resources)


@pytest.mark.parametrize(
    ("processes", "environment", "expected"),
    [
        (1, {}, False),
        (2, {}, True),
        (1, {"PET_NNODES": "2"}, True),
        (1, {"PET_NNODES": "1:3"}, True),
        (1, {"PET_NNODES": "1"}, False),
        (1, {"PET_NNODES": "1:1", "RANK": "0", "WORLD_SIZE": "1"}, False),
        (2, {"TORCHELASTIC_RUN_ID": "x"}, False),
        (1, {"PET_NNODES": "2", "TORCHELASTIC_RUN_ID": "x"}, False),
    ],
)
def test_who_starts_further_processes(processes: int, environment: dict[str, str], expected: bool) -> None:
    assert needs_launch(stage(processes), environment) is expected


def test_a_number_of_nodes_that_is_none_is_said() -> None:
    with pytest.raises(InvalidInput, match="PET_NNODES is 'many'; accepted: a number of nodes, or LEAST:MOST"):
        needs_launch(stage(1), {"PET_NNODES": "many"})


def test_the_numbers_of_pods_are_not_taken_for_those_of_processes() -> None:
    pod = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "a", "MASTER_PORT": "1", "HOME": "/"}
    assert set(group_variables(pod)) == {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}
    assert group_variables(pod | {"TORCHELASTIC_RUN_ID": "x"}) == ()
