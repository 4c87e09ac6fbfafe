"""Trainings in processes of their own: killed, several at once, and what an import costs."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentark.api import DPO
from tests.distill.world import Training, pairs, sums
from tests.servers import warm

pytestmark = pytest.mark.usefixtures("warm_processes")
REPOSITORY = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY), "HF_HUB_OFFLINE": "1"}
Make = Callable[..., Training]


def child(*command: str) -> subprocess.Popen[str]:
    return warm.Popen(
        [sys.executable, *command],
        cwd=REPOSITORY,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def results(process: subprocess.Popen[str], folder: Path) -> list[dict[str, Any]]:
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return [json.loads(file.read_text()) for file in sorted(folder.glob("result-*.json"))]


PAIRS: dict[str, Any] = {"rows": pairs(12), "dpo": DPO(beta=0.5, learning_rate=3e-3)}


@pytest.mark.parametrize("kind", [{}, PAIRS], ids=["rows", "pairs"])
def test_a_killed_training_ends_as_an_undisturbed_one(
    training: Make, dropping_model: Path, kind: dict[str, Any]
) -> None:
    changes: dict[str, Any] = {
        "model": dropping_model, "epochs": 10, "evaluations": 1, "checkpoint_steps": 8, **kind
    }  # fmt: skip
    undisturbed = training("whole", **changes)
    # In a process of its own as well: what ran before in this one (threads, flags of torch) can change the last bit.
    (expected,) = results(child("-m", "tests.distill.child", str(undisturbed.for_child())), undisturbed.folder)
    killed = training("killed", **changes)
    first = child("-m", "tests.distill.child", str(killed.for_child()))
    assert first.stdout is not None
    assert "step 12\n" in iter(first.stdout.readline, ""), first.communicate()[1]
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert not killed.out.exists()
    (result,) = results(child("-m", "tests.distill.child", str(killed.folder)), killed.folder)
    assert result["resumed_from"] >= 8
    assert result["losses"] == expected["losses"]
    assert (killed.out / "model.safetensors").read_bytes() == (undisturbed.out / "model.safetensors").read_bytes()


@pytest.mark.long
@pytest.mark.parametrize("kind", [{"rows": sums(11)}, PAIRS], ids=["rows", "pairs"])
def test_two_processes_train_as_one(training: Make, kind: dict[str, Any]) -> None:
    changes: dict[str, Any] = {"batch_size": 6, "evaluations": 2, **kind}
    alone, shared = training("one", **changes), training("two", **changes)
    expected = alone.run()
    command = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "tests.distill.child")
    process = child(*command, str(shared.for_child()))
    found = results(process, shared.folder)
    assert len(found) == 2
    for result in found:
        assert result["world_size"] == 2
        assert [loss for _, loss in result["losses"]] == pytest.approx([loss for _, loss in expected.losses], abs=1e-5)
        assert result["accuracy"] == json.loads(json.dumps(expected.accuracy))
        assert result["best_step"] == expected.best_step
    assert (shared.out / "model.safetensors").is_file()


def test_the_package_loads_no_torch() -> None:
    code = "import sys, agentark.distill; assert not {'torch', 'transformers', 'trl'} & set(sys.modules)"
    process = child("-c", code)
    errors = process.communicate()[1]
    assert process.returncode == 0, errors
