"""A namespace goes with all that is in it, whether an operator runs or not: nothing of ours holds it."""

import time

import pytest

from tests.operator.running import Bench, Operators, phase
from tests.servers.player import Play, Player

MOST_S = 30.0


@pytest.mark.parametrize("operated", [True, False], ids=["with an operator", "without one"])
def test_a_namespace_with_running_resources_is_gone_soon(
    bench: Bench, operators: Operators, player: Player, operated: bool
) -> None:
    player.act = lambda pod: Play(exit_code=None)
    served = bench.debate(teacher={"model": bench.model})
    made = [
        bench.debate_run("talk"),
        bench.prm_training("scores", debate=bench.debate(protocol={"agents": 2, "rounds": 2, "tie": "First"})),
        bench.distill_job("student", "RSFT", "PAD", debate=served),
        bench.resource("ModelRelease", "math", {}),
    ]
    with operators.running() as process:
        paths = [bench.apply(one) for one in made]
        for path in paths[:3]:
            bench.server.awaited(path, lambda one: phase(one) == "Running")
        if not operated:
            process.kill()
            process.wait()
        started = time.monotonic()
        path = f"/api/v1/namespaces/{bench.namespace}"
        assert bench.server.request("DELETE", path).status == 200
        bench.gone(path, within_s=MOST_S)
    assert time.monotonic() - started < MOST_S
