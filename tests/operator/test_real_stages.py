"""What the operator asks of a pod is what the command line does: its very commands run here, on the real store."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.operator.running import ROOT, Bench, Body, Operators, condition, phase
from tests.servers.kubernetes import ApiServer
from tests.servers.player import Player
from tests.servers.playground import Playground
from tests.servers.pod_process import PodProcesses
from tests.servers.process import free_ports


@pytest.fixture
def teacher() -> Iterator[str]:
    """A model server; its address."""
    command = [sys.executable, "benchmarks/server.py", "--template", "The answer is {index}."]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as model:
        assert model.stdout is not None
        yield model.stdout.readline().strip()
        model.terminate()


@pytest.fixture
def processes(playground: Playground, player: Player, tmp_path: Path) -> Iterator[PodProcesses]:
    server: ApiServer = playground.plane.as_user("player")
    found = PodProcesses(server, tmp_path / "pods")
    player.act = found.act
    yield found
    found.close()


def ended(resource: Body) -> bool:
    return phase(resource) in ("Succeeded", "Failed")


def cli(bench: Bench, *arguments: str) -> str:
    """What the command line says of the store."""
    env = {
        "PATH": "/usr/bin:/bin",
        "AWS_ACCESS_KEY_ID": bench.s3.access_key,
        "AWS_SECRET_ACCESS_KEY": bench.s3.secret_key,
        "AWS_ENDPOINT_URL": bench.s3.endpoint,
    }
    command = [
        sys.executable,
        "-m",
        "agentark",
        *arguments,
        "--store",
        bench.store["uri"],
        "--namespace",
        bench.namespace,
    ]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_two_pods_share_a_debate_that_the_command_line_reads(
    bench: Bench, operators: Operators, processes: PodProcesses, teacher: str
) -> None:
    questions = "".join(f'{{"id": "q{n}", "question": "What is {n} + 1?", "answer": "{n + 1}"}}\n' for n in range(150))
    bench.upload("many.jsonl", questions)
    endpoint = {"baseUrl": teacher, "model": "test"}
    made = bench.debate_run("talk", teacher={"endpoint": endpoint}, execution={"workers": 2})
    made["spec"]["dataset"]["uri"] = f"{bench.address}/many.jsonl"
    with operators.running():
        found = bench.server.awaited(bench.apply(made), ended, within_s=90)
    assert phase(found) == "Succeeded", (found["status"], processes.logs)
    (job,) = bench.jobs
    assert job["spec"]["completions"] == 2 and len(processes.logs) == 2
    shown = json.loads(cli(bench, "runs", "--json"))
    assert [run["run"] for run in shown] == [found["status"]["runId"]]
    assert "What is 140 + 1?" in cli(bench, "transcript", "talk", "q140")


def test_a_model_server_that_is_not_there_is_named_and_the_run_goes_on_once_it_is(
    bench: Bench, operators: Operators, processes: PodProcesses
) -> None:
    (port,) = free_ports(1)
    endpoint = {"baseUrl": f"http://127.0.0.1:{port}/v1", "model": "test"}
    made = bench.debate_run("talk", teacher={"endpoint": endpoint}, execution={"requestTimeoutSeconds": 2})
    with operators.running():
        path = bench.apply(made)
        found = bench.server.awaited(path, lambda one: "ServiceUnavailable" in str(one.get("status")), within_s=90)
        assert str(port) in str(found["status"]["stages"])
        command = [sys.executable, "benchmarks/server.py", "--port", str(port), "--template", "The answer is {index}."]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as model:
            found = bench.server.awaited(path, ended, within_s=90)
            model.terminate()
    assert phase(found) == "Succeeded", (found["status"], processes.logs)
    assert condition(found)["reason"] == "Complete"
