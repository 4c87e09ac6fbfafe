"""What a job embeds or shares with others: on real controllers with simulated pods."""

from agentark.planning import read_plan
from agentark.planning.references import embedded_name
from agentark.store import ProgressWriter, open_store
from tests.operator.asking import OVER, QUEUE, admit, alive, change, hold, only, queued, settled, sound, succeed, until
from tests.operator.kstatus import health
from tests.operator.running import Bench, Operators, condition, phase, states
from tests.servers.player import Player


def test_a_job_hands_on_what_it_is_told_to_what_it_embeds(bench: Bench, operator: Operators, player: Player) -> None:
    player.act = hold
    made = bench.distill_job("student", "PAD", training={"backend": "Job"})
    made["metadata"]["labels"] = {QUEUE: "team"}
    path = bench.apply(made)
    debate = bench.path("DebateRun", "student-debate")
    pending = "DebateRun/student-debate is pending: debate: waits until Kueue admits it in the queue 'team'"
    bench.server.awaited(path, lambda one: queued(one) and pending in condition(one)["message"])
    admit(bench)
    bench.server.awaited(path, settled("Running"))
    change(bench, path, {"suspend": True})
    bench.server.awaited(path, settled("Suspended"))
    bench.server.awaited(debate, settled("Suspended"))
    until(lambda: not alive(bench) and not bench.jobs)
    assert bench.server.request("DELETE", path).status == 200
    bench.gone(debate)
    player.act = succeed
    bench.apply(bench.distill_job("student", "PAD", training={"backend": "Job"}, suspend=True))
    bench.server.awaited(path, settled("Suspended"))
    change(bench, path, {"suspend": False})
    found = bench.server.awaited(path, OVER)
    assert phase(found) == "Succeeded", found["status"]
    # What was made for the job counts as the job's: the debate and two evaluations.
    assert set(states(found).values()) == {"Done"} and found["status"]["usage"]["tokens"] == 3 * 7200
    assert sound(player)


def test_a_job_shows_how_far_the_debate_is_that_it_embeds(bench: Bench, operator: Operators, player: Player) -> None:
    player.act = hold
    path = bench.apply(bench.distill_job("student"))
    found = bench.server.awaited(path, settled("Running"))
    (key,) = [one["key"] for one in found["status"]["stages"] if one["name"] == "debate"]
    keys = {"access_key": bench.s3.access_key, "secret_key": bench.s3.secret_key}
    store = open_store(bench.store["uri"], endpoint=bench.s3.endpoint, **keys)
    ProgressWriter(store, "debate", key).update(done=2, total=8)
    found = bench.server.awaited(path, lambda one: "progress" in one["status"])
    assert found["status"]["currentStage"] == "debate"
    assert found["status"]["progress"] | {"remainingSeconds": 0} == {
        "percent": 25,
        "done": 2,
        "total": 8,
        "remainingSeconds": 0,
    }


def test_the_debate_that_is_made_of_a_job_tries_the_job_s_student_beforehand(
    bench: Bench, operator: Operators, player: Player
) -> None:
    player.act = hold
    made = bench.distill_job("student")
    path = bench.apply(made)
    bench.server.awaited(path, settled("Running"))
    keys = {"access_key": bench.s3.access_key, "secret_key": bench.s3.secret_key}
    store = open_store(bench.store["uri"], endpoint=bench.s3.endpoint, **keys)
    (kept,) = store.entries(f"plans/{bench.namespace}/student-debate")
    plan = read_plan(store, kept.path)
    (debate,) = plan.stages
    tried = {one["field"]: one for one in debate.settings["rehearsals"]}
    student = tried["DistillJob 'student': spec.student.model"]
    assert (student["uri"], student["use"]) == (bench.model["uri"], "Student")
    assert bench.model["uri"] in plan.pins


def test_a_job_ends_what_it_embeds_when_its_own_time_is_over(bench: Bench, operator: Operators, player: Player) -> None:
    player.act = only("prm")
    job = bench.distill_job("student", "PAD", training={"backend": "Job"}, runPolicy={"activeDeadlineSeconds": 12})
    path = bench.apply(job)
    found = bench.server.awaited(path, OVER)
    assert condition(found, "Failed")["reason"] == "DeadlineExceeded", found["status"]
    bench.gone(bench.path("PRMTraining", "student-prm"))
    until(lambda: not alive(bench))
    assert phase(bench.server.request("GET", bench.path("DebateRun", "student-debate")).body) == "Succeeded"


def test_the_second_of_two_that_ask_for_the_same_waits_and_takes_the_result(
    bench: Bench, operator: Operators, player: Player
) -> None:
    player.act = hold
    first = bench.apply(bench.debate_run("first"))
    until(lambda: alive(bench))
    second = bench.apply(bench.debate_run("second"))
    found = bench.server.awaited(second, lambda one: condition(one)["reason"] == "SharedStage")
    assert f"DebateRun {bench.namespace}/first is working on the same stage" in condition(found)["message"]
    assert phase(found) == "Pending" and health(found) == "InProgress"
    player.act = succeed
    player.revisit()
    assert phase(bench.server.awaited(first, OVER)) == "Succeeded"
    found = bench.server.awaited(second, OVER)
    assert states(found) == {"debate": "Cached"} and "usage" not in found["status"]
    assert sum(player.pods.values()) == 1 and sound(player)


def test_what_a_job_embeds_follows_its_spec_and_goes_when_it_is_named_instead(
    bench: Bench, operator: Operators, player: Player
) -> None:
    player.act = only("debate")
    path = bench.apply(bench.distill_job("student", "PAD", training={"backend": "Job"}))
    debate = bench.path("DebateRun", "student-debate")
    # It, or the reward model's resource, which needs the same debate: whoever begins first.
    begun = settled("Pending", "Running")
    first = bench.server.awaited(debate, begun)
    until(lambda: player.alive)
    change(bench, path, {"debate": {"protocol": {"agents": 2}}})
    second = bench.server.awaited(debate, lambda one: begun(one) and one["metadata"]["generation"] == 2)
    assert second["status"]["runId"] != first["status"]["runId"]
    player.act = succeed
    bench.server.awaited(bench.apply(bench.debate_run("shared")), OVER)
    change(bench, path, {"debate": None, "debateRef": {"name": "shared"}})
    found = bench.server.awaited(path, OVER)
    assert phase(found) == "Succeeded", found["status"]
    bench.gone(debate)
    assert states(found)["debate"] == "Cached" and len(found["status"]["runs"]) == 2
    until(lambda: not alive(bench))
    assert sound(player)


def test_jobs_whose_long_names_begin_alike_embed_each_its_own(
    bench: Bench, operator: Operators, player: Player
) -> None:
    player.act = hold
    names = [f"nightly-gsm8k-qwen3-8b-to-qwen3-0-6b-rsft-da-2026-11-30-seed-{seed}" for seed in (1, 2)]
    jobs = [bench.apply(bench.distill_job(name)) for name in names]
    made = [bench.path("DebateRun", embedded_name(name, "debate")) for name in names]
    bodies = [bench.server.awaited(path, settled("Running", "Pending")) for path in made]
    assert [body["metadata"]["labels"]["agentark.dev/name"] for body in bodies] == names
    # What an operator before this one made under a name that was only cut goes, and its work is taken over.
    metadata = {
        field: bodies[0]["metadata"][field] for field in ("namespace", "labels", "annotations", "ownerReferences")
    }
    metadata["name"] = f"{names[0][:56]}-debate"
    former = bench.apply({**bodies[0], "metadata": metadata, "status": None})
    bench.gone(former)
    player.act = succeed
    player.revisit()
    for path in jobs:
        found = bench.server.awaited(path, OVER)
        assert phase(found) == "Succeeded", found["status"]
    until(lambda: not alive(bench))
    assert sound(player)
