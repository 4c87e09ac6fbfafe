"""What people see who use kubectl, and that applying the same again changes nothing."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.operator.asking import OVER, settled
from tests.operator.running import Bench, Operators, phase
from tests.servers.player import Player

PATH = "/usr/local/bin:/usr/bin:/bin"


def kubectl(bench: Bench, folder: Path, *arguments: str, code: int = 0) -> str:
    config = bench.server.kubeconfig(folder / "admin")
    command = ["kubectl", "--kubeconfig", str(config), "-n", bench.namespace, *arguments]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, env={"HOME": str(folder), "PATH": PATH})
    assert found.returncode == code, found.stdout + found.stderr
    return found.stdout


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on this machine")
@pytest.mark.parametrize("flags", [("--server-side",), ()], ids=["server-side", "client-side"])
def test_applying_twice_shows_no_drift(
    bench: Bench, operator: Operators, player: Player, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    file = tmp_path / "job.json"
    file.write_text(json.dumps(bench.distill_job("student", "PAD", training={"backend": "Job"})))
    kubectl(bench, tmp_path, "apply", *flags, "-f", str(file))
    path = bench.path("DistillJob", "student")
    bench.server.awaited(path, settled("Running"))
    assert kubectl(bench, tmp_path, "diff", *flags, "-f", str(file)) == ""
    found = bench.server.awaited(path, OVER)
    assert phase(found) == "Succeeded", found["status"]
    assert kubectl(bench, tmp_path, "diff", *flags, "-f", str(file)) == ""
    kubectl(bench, tmp_path, "apply", *flags, "-f", str(file))
    again = bench.server.request("GET", path).body
    assert again["metadata"]["generation"] == 1 and again["status"] == found["status"]
    (line,) = kubectl(bench, tmp_path, "get", "dj", "--no-headers").splitlines()
    assert line.split()[:3] == ["student", "Succeeded", "0.7500"] or "0.7500" in line
