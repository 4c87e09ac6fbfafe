"""An operator that is set up for less has fewer rights, asks for no more, and says so to who wants more."""

from pathlib import Path

from tests.operator.running import Bench, Operators, condition, phase
from tests.servers.player import Play, Player
from tests.servers.playground import Playground


def test_what_it_is_not_set_up_for_is_said_and_no_right_for_it_is_needed(
    bench: Bench, player: Player, playground: Playground, tmp_path: Path
) -> None:
    account = bench.make_account(backends=["Job"], teachers=False)
    environment = {
        "AGENTARK_NAMESPACES": bench.namespace,
        "AGENTARK_BACKENDS": "Job",
        "AGENTARK_TEACHERS": "false",
    }
    operators = Operators(playground.account(bench.namespace, account), tmp_path / "operator", environment)
    player.act = lambda pod: Play()
    since = playground.audit.mark()
    with operators.running():
        done = bench.apply(bench.debate_run("talk"))
        served = bench.apply(bench.debate_run("served", teacher={"model": bench.model}))
        trained = bench.apply(bench.prm_training("scores", training={"backend": "PyTorchJob"}))
        found = bench.server.awaited(served, lambda one: condition(one)["reason"] == "TeachersNotEnabled")
        assert "by endpoint" in condition(found)["message"] and condition(found, "Stalled")["status"] == "True"
        found = bench.server.awaited(trained, lambda one: condition(one)["reason"] == "BackendNotEnabled")
        assert "choose training.backend: Job," in condition(found)["message"]
        found = bench.server.awaited(done, lambda one: phase(one) in ("Succeeded", "Failed"))
        assert phase(found) == "Succeeded", found["status"]
    asked = [one for one in playground.audit.requests(since=since) if one.user.endswith(f"{bench.namespace}:{account}")]
    assert asked and not [one for one in asked if one.code == 403]
