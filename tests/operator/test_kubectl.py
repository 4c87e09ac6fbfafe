"""What people see who use kubectl, and that applying the same again changes nothing."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.operator.asking import OVER, hold, in_turn, settled, succeed
from tests.operator.running import KUBECTL, Bench, Operators, condition, phase
from tests.servers.kwok import MISSING_IMAGE
from tests.servers.player import Play, Player

PATH = "/usr/local/bin:/usr/bin:/bin"


def kubectl(bench: Bench, folder: Path, *arguments: str, code: int | None = 0) -> str:
    config = bench.server.kubeconfig(folder / "admin")
    command = [str(KUBECTL), "--kubeconfig", str(config), "-n", bench.namespace, *arguments]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, env={"HOME": str(folder), "PATH": PATH})
    assert code is None or found.returncode == code, found.stdout + found.stderr
    return found.stdout


@pytest.mark.parametrize("flags", [("--server-side",), ()], ids=["server-side", "client-side"])
def test_applying_twice_shows_no_drift(
    bench: Bench, operator: Operators, player: Player, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    player.act = hold  # what else changes would show as well
    file = tmp_path / "job.json"
    file.write_text(json.dumps(bench.distill_job("student", "PAD", training={"backend": "Job"})))
    kubectl(bench, tmp_path, "apply", *flags, "-f", str(file))
    path = bench.path("DistillJob", "student")
    bench.server.awaited(path, settled("Running"))
    # kubectl reads twice, and a status that changes in between shows: the pods are held, so that it soon rests.
    command = ("diff", *flags, "-f", str(file))
    assert any(kubectl(bench, tmp_path, *command, code=None) == "" for _ in range(10))
    player.act = succeed
    player.revisit()
    found = bench.server.awaited(path, OVER)
    assert phase(found) == "Succeeded", found["status"]
    assert kubectl(bench, tmp_path, "diff", *flags, "-f", str(file)) == ""
    kubectl(bench, tmp_path, "apply", *flags, "-f", str(file))
    again = bench.server.request("GET", path).body
    assert again["metadata"]["generation"] == 1 and again["status"] == found["status"]
    (line,) = kubectl(bench, tmp_path, "get", "dj", "--no-headers").splitlines()
    assert line.split()[:3] == ["student", "Succeeded", "0.7500"]


def test_people_see_where_a_resource_is_and_why(
    bench: Bench, operator: Operators, player: Player, tmp_path: Path
) -> None:
    player.act = in_turn(Play(1, "ValueError: lr must be above 0"))
    image = {"spec": {"containers": [{"name": "stage", "image": MISSING_IMAGE}]}}
    rounds = [{"agents": count, "rounds": 1, "tie": "First"} for count in (2, 3, 4)]
    held = bench.apply(bench.debate_run("held", suspend=True, protocol=rounds[0]))
    waits = bench.apply(bench.debate_run("waits", pods=image, protocol=rounds[1]))
    fails = bench.apply(bench.debate_run("fails", runPolicy={"backoffLimit": 0}, protocol=rounds[2]))
    bench.server.awaited(held, settled("Suspended"))
    bench.server.awaited(waits, lambda one: condition(one)["reason"] == "ImagePullBackOff")
    bench.server.awaited(fails, OVER)
    lines = kubectl(bench, tmp_path, "get", "agentark", "-o", "wide", "--no-headers").splitlines()
    assert [line.rpartition("/")[2].split()[:4] for line in lines] == [
        ["fails", "Failed", "debate", "BackoffLimitExceeded"],
        ["held", "Suspended", "debate", "Suspended"],
        ["waits", "Pending", "debate", "ImagePullBackOff"],
    ]
    told = kubectl(bench, tmp_path, "describe", "dbr", "fails")
    assert "ValueError: lr must be above 0" in told and "set the annotation agentark.dev/requestedAt" in told
    assert "set it to false to go on" in kubectl(bench, tmp_path, "describe", "dbr", "held")
    assert "check its name, that nodes reach the registry" in kubectl(bench, tmp_path, "describe", "dbr", "waits")
    player.act = succeed
    kubectl(bench, tmp_path, "annotate", "dbr", "fails", "agentark.dev/requestedAt=now")
    kubectl(bench, tmp_path, "patch", "dbr", "held", "--type=merge", "-p", '{"spec": {"suspend": false}}')
    for path in (held, fails):
        assert phase(bench.server.awaited(path, OVER)) == "Succeeded"
