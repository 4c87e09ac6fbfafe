"""Real stages in processes of their own, scraped while they run."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agentark.api import StoreSource
from agentark.api import read_manifest as read_yaml
from agentark.planning import Plan, keep_plan, pin_addresses, plan
from agentark.store import Store, open_store, read_manifest
from agentark.telemetry import ADDRESS
from tests.distill.world import write_model
from tests.execution.conftest import ROOT, Workplace, debate_run
from tests.execution.test_launching import curated, planned
from tests.servers.process import free_ports
from tests.telemetry.scraping import awaited, names, scrape, value


def start(made: Plan, number: int, store: Store, address: str) -> "subprocess.Popen[str]":
    """Start a stage's process as a pod does."""
    stage = made.stages[number]
    command = [sys.executable, "-m", "agentark", "stage", stage.kind, "--key", stage.key]
    command += ["--plan", f"store:{keep_plan(store, made)}", "--store", store.uri]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PET_"))}
    environment |= {ADDRESS: address, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    pipes: dict[str, int] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, env=environment, text=True, **pipes)


@pytest.mark.long
def test_a_debate_is_seen_on_its_way(tmp_path: Path, servers: Callable[..., str]) -> None:
    place = Workplace(tmp_path)
    place.questions(60)
    teacher = servers("benchmarks/server.py", "--template", "The answer is {index}.", "--latency-s", "0.2")
    file = place.write("run.yaml", debate_run(teacher, execution={"concurrency": 4}))
    store = open_store(str(tmp_path / "store"))
    (resource,) = read_yaml(file)
    made = plan(resource, pin_addresses([resource], base=tmp_path, store=store, source=StoreSource()))
    (port,) = free_ports(1)
    address = f"127.0.0.1:{port}"
    with start(made, 0, store, address) as process:
        found = awaited(address, lambda one: (value(one, "agentark_stage_items", state="done") or 0) >= 4)
        answered = value(found, "agentark_debate_requests_total", model_name="test", outcome="Answered")
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert answered is not None and answered >= 4
    assert value(found, "agentark_stage_items", state="total") == 60
    assert 0 < (value(found, "agentark_stage_progress_ratio") or 0) < 1
    assert (value(found, "agentark_tokens_total", model_name="test", direction="completion") or 0) >= answered
    assert (value(found, "agentark_storage_requests_total", op="write", outcome="Done") or 0) >= 1
    assert "agentark_training_loss" not in names(found)
    assert scrape(address) is None, "with the stage goes its address"


@pytest.mark.timeout(300)
@pytest.mark.long
def test_of_a_training_in_two_processes_one_serves_and_nothing_is_in_the_way(tmp_path: Path) -> None:
    made = planned(write_model(tmp_path / "model"), processes=2, nodes=1)
    store = open_store(str(tmp_path / "store"))
    curated(store, made, tmp_path)
    (port,) = free_ports(1)
    address = f"127.0.0.1:{port}"
    with start(made, 1, store, address) as process:
        found = awaited(
            address,
            lambda one: {"agentark_training_loss", "agentark_checkpoint_bytes"} <= names(one),
            within_s=120,
        )
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert ADDRESS not in out, "no second process vies for the port"
    assert (value(found, "agentark_training_loss") or 0) > 0
    assert (value(found, "agentark_checkpoint_bytes") or 0) > 1000
    assert (value(found, "agentark_checkpoint_upload_duration_seconds_count") or 0) >= 1
    assert not any(name.startswith("agentark_debate") for name in names(found))
    manifest = read_manifest(store, "distill", made.stages[1].key)
    assert manifest is not None and manifest.metrics["world_size"] == 2


def test_a_taken_port_costs_a_stage_a_line_in_its_log(tmp_path: Path, servers: Callable[..., str]) -> None:
    place = Workplace(tmp_path)
    place.questions(2)
    teacher = servers("benchmarks/server.py", "--template", "The answer is {index}.")
    file = place.write("run.yaml", debate_run(teacher))
    store = open_store(str(tmp_path / "store"))
    (resource,) = read_yaml(file)
    made = plan(resource, pin_addresses([resource], base=tmp_path, store=store, source=StoreSource()))
    taken = teacher.split("/")[2]
    with start(made, 0, store, taken) as process:
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    assert "the stage goes on without serving metrics" in out
