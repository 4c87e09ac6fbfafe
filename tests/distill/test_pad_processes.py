"""PAD trainings in processes of their own: killed, told to stop, several at once."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.distill.pad_world import PadTraining, settings
from tests.servers import warm

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("warm_processes")]
REPOSITORY = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY), "HF_HUB_OFFLINE": "1"}
Make = Callable[..., PadTraining]


@pytest.fixture
def training(tmp_path: Path, dropping_model: Path) -> Make:
    def make(name: str, **changes: Any) -> PadTraining:
        (tmp_path / name).mkdir()
        model = changes.pop("model", dropping_model)
        return PadTraining(tmp_path / name, model, *settings(**changes))

    return make


def child(*command: str) -> subprocess.Popen[str]:
    return warm.Popen(
        [sys.executable, *command],
        cwd=REPOSITORY,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start(training: PadTraining, *launcher: str) -> subprocess.Popen[str]:
    return child(*launcher, "-m", "tests.distill.pad_child", str(training.for_child()))


def results(process: subprocess.Popen[str], folder: Path) -> list[dict[str, Any]]:
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return [json.loads(file.read_text()) for file in sorted(folder.glob("result-*.json"))]


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    assert f"{line}\n" in iter(process.stdout.readline, ""), process.communicate()[1]


def test_a_killed_and_a_stopped_training_end_as_an_undisturbed_one(training: Make) -> None:
    changes: dict[str, Any] = {"steps": 24, "iterations": 2, "checkpoint_steps": 5, "kl": 0.1}
    undisturbed, disturbed = training("whole", **changes), training("disturbed", **changes)
    # In a process of its own as well: what ran before in this one (threads, flags of torch) can change the last bit.
    (expected,) = results(start(undisturbed), undisturbed.folder)
    killed = start(disturbed)
    wait_for(killed, "step 9")
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not disturbed.out.exists()
    stopped = start(disturbed)
    wait_for(stopped, "step 13")
    stopped.send_signal(signal.SIGTERM)
    _, errors = stopped.communicate()
    assert stopped.returncode == 75, errors
    assert not disturbed.out.exists()
    (result,) = results(start(disturbed), disturbed.folder)
    assert result["resumed_from"] >= 14
    assert result["steps"] == 24
    same = {name: value for name, value in result.items() if name not in ("seconds", "resumed_from")}
    assert same == {name: expected[name] for name in same}
    assert (disturbed.out / "model.safetensors").read_bytes() == (undisturbed.out / "model.safetensors").read_bytes()


def test_two_processes_train_as_one(training: Make, model: Path) -> None:
    # Three groups of four on two processes: the middle one spans both.
    changes: dict[str, Any] = {"steps": 3, "model": model}
    alone, shared = training("one", **changes), training("two", **changes)
    expected = json.loads(json.dumps(asdict(alone.run())))
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    found = results(start(shared, *launcher), shared.folder)
    assert len(found) == 2
    for result in found:
        assert result["world_size"] == 2
        assert result["accuracy"] == expected["accuracy"]
        assert result["best_step"] == expected["best_step"]
        for one, other in zip(result["curves"], expected["curves"], strict=True):
            assert one == pytest.approx(other, abs=1e-6)
    one, two = (load_file(folder.out / "model.safetensors") for folder in (alone, shared))
    for name, weights in one.items():
        # What a token's advantage is decides the direction of every step.
        assert torch.allclose(weights, two[name], atol=1e-4), name
