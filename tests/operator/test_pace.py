"""How soon, how often, and what it costs: with an operator of one's own."""

import time

from tests.operator.asking import GOOD, OVER, in_turn, settled, sound, stage, until
from tests.operator.kstatus import health
from tests.operator.running import Bench, Operators, condition, phase
from tests.servers.player import Play, Player
from tests.servers.playground import Playground


def test_a_run_costs_few_writes_and_rest_costs_none(
    bench: Bench, operators: Operators, player: Player, playground: Playground
) -> None:
    account = f"system:serviceaccount:{bench.namespace}:agentark-operator"

    def writes(since: int, resource: str = "") -> list[str]:
        found = playground.audit.requests(since=since)
        return [
            f"{one.verb} {one.resource}/{one.subresource} {one.name}"
            for one in found
            if one.user == account and one.writes and resource in (one.resource, "")
        ]

    with operators.running():
        held = bench.apply(bench.debate_run("held", suspend=True))
        bench.server.awaited(held, settled("Suspended"))
        since = playground.audit.mark()
        path = bench.apply(bench.debate_run("talk", runPolicy={"ttlSecondsAfterFinished": 1}))
        found = bench.server.awaited(path, OVER)
        assert phase(found) == "Succeeded"
        until(lambda: writes(since, "jobs")[1:])  # made, and removed
        made = [one for one in writes(since) if " talk" in one]
        assert len(made) <= 8, made
        rest = playground.audit.mark()
        time.sleep(5)  # one is over, the other suspended: nothing is there to be awaited
        assert not writes(rest)


def test_the_wait_after_a_failure_is_shown_and_kept(bench: Bench, operators: Operators, player: Player) -> None:
    player.act = in_turn(Play(1, "boom"), GOOD)
    with operators.running(AGENTARK_RETRY_SECONDS="4"):
        path = bench.apply(bench.debate_run("talk"))
        waits = bench.server.awaited(path, lambda one: condition(one)["reason"] == "Retrying")
        found = bench.server.awaited(path, OVER)
    assert phase(waits) == "Pending" and health(waits) == "InProgress"
    debate = stage(waits, "debate")
    assert debate["nextAttemptAt"] in condition(waits)["message"] and "exit code 1: boom" in condition(waits)["message"]
    made = {
        int(job["metadata"]["labels"]["agentark.dev/attempt"]): job["metadata"]["creationTimestamp"]
        for job in bench.jobs
    }
    first, second = (made[number] for number in (1, 2))
    assert second >= debate["nextAttemptAt"] > first
    assert phase(found) == "Succeeded" and "nextAttemptAt" not in stage(found, "debate") and sound(player)
