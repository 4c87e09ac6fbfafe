"""What is decided for every case of one stage, and for stages beside each other."""

from dataclasses import replace
from pathlib import Path

import pytest
from agentark_operator.attempts.facts import Facts, Track, View
from agentark_operator.attempts.workload import Owner
from agentark_operator.diagnosis.failures import FailureKind
from agentark_operator.informers.resources import Key
from agentark_operator.reasons import Reason
from agentark_operator.reconciler.context import RunContext
from agentark_operator.reconciler.observation import facts_of
from agentark_operator.storage.stores import Place

from agentark.api import API_VERSION, DebateRun, StoreSource
from agentark.planning import Plan
from agentark.store import open_store, stage_path
from tests.operator.deciding import (
    AFTER,
    KEY,
    NEXT,
    STAGE,
    at,
    attempt,
    decided,
    failed,
    heartbeat,
    names,
    one,
    run,
    told,
)

# --- one pass over one stage


@pytest.mark.parametrize(
    ("facts", "expected", "begins"),
    [
        (one(), ("Running", "Starting"), 1),
        (one(done=True), ("Cached", ""), 0),
        (one(attempt("Running"), done=True), ("Done", ""), 0),
        (one(done=True, track=Track(attempt=2, counted=2)), ("Done", ""), 0),
        (one(done=True, by_embedded=True), ("Done", ""), 0),
        (one(attempt("Pending", reason="Unschedulable")), ("Running", "Unschedulable"), 0),
        (one(attempt("Pending")), ("Running", "Starting"), 0),
        (one(attempt("Pending", reason="NoPods", message="none yet")), ("Running", "Starting"), 0),
        (one(attempt("Running")), ("Running", "StageRunning"), 0),
        (one(attempt("Queued", queue=True)), ("Waiting", "WaitingForQuota"), 0),
        (one(attempt("Suspended")), ("Running", "Resumed"), 0),
        (one(attempt("Suspended"), pods_alive=1), ("Waiting", "PodsEnding"), 0),
        (one(failed("Application")), ("Waiting", "Retrying"), 0),
        (one(failed("Interruption")), ("Waiting", "Retrying"), 0),
        (one(failed("InvalidInput")), ("Failed", "InvalidInput"), 0),
        (one(attempt("Failed")), ("Waiting", "Retrying"), 0),
        (one(attempt("Succeeded")), ("Waiting", "Retrying"), 0),
        (one(track=Track(attempt=1)), ("Waiting", "Retrying"), 0),
        (one(pods_alive=1), ("Waiting", "PodsEnding"), 0),
        (one(track=Track(attempt=1, counted=1)), ("Running", "Starting"), 2),
        (one(track=Track(attempt=1, counted=1), pods_alive=2), ("Waiting", "PodsEnding"), 0),
        (one(attempt("Running"), track=Track(attempt=1, counted=1), pods_alive=0), ("Waiting", "PodsEnding"), 0),
        (one(track=Track(attempt=1, counted=1, next_attempt_at=at(5))), ("Waiting", "Retrying"), 0),
        (one(delegated=View("Waiting", "DependencyNotReady")), ("Waiting", "DependencyNotReady"), 0),
        (one(delegated=View("Failed", "OOMKilled")), ("Failed", "OOMKilled"), 0),
    ],
)
def test_what_a_stage_needs_next(facts: Facts, expected: tuple[str, str], begins: int) -> None:
    decision = decided(facts)
    assert told(decision) == expected
    assert [begin.number for begin in decision.begin] == ([begins] if begins else [])


@pytest.mark.parametrize(
    ("facts", "failures", "interruptions", "message"),
    [
        (one(failed("Application")), 1, 0, "OOMKilled: killed at its memory limit of 4Gi"),
        (one(failed("Interruption")), 0, 1, "NodeLost: its node does not know what became of it"),
        (one(failed("InvalidInput")), 1, 0, "InvalidInput: no column answer"),
        (one(attempt("Failed", message="why")), 1, 0, "Failed: why"),
        (one(attempt("Succeeded")), 1, 0, "NoResult: Job/a-1 ended well, but committed no result"),
        (one(track=Track(attempt=1)), 0, 1, "ObjectGone: the object that ran the attempt was deleted"),
        (one(failed("Application", 2), track=Track(attempt=2, counted=2, failures=2)), 2, 0, ""),
    ],
)
def test_what_an_end_costs(facts: Facts, failures: int, interruptions: int, message: str) -> None:
    track = decided(facts).tracks[KEY]
    assert (track.failures, track.interruptions) == (failures, interruptions)
    assert track.message.startswith(message)
    assert track.counted == track.attempt


def test_what_a_failed_attempt_held_is_added_up() -> None:
    track = decided(one(failed("Application"), track=Track(gpu_seconds=100))).tracks[KEY]
    assert track.gpu_seconds == 100 + 8 * 30
    # An older object, whose end is counted, is not counted for one that is gone.
    track = decided(one(failed("Application", 1), track=Track(attempt=2, counted=1, gpu_seconds=240))).tracks[KEY]
    assert track.gpu_seconds == 240


@pytest.mark.parametrize(
    ("track", "reason", "text"),
    [
        (Track(4, 4, 0, 4, message="OOMKilled: at 4Gi"), "BackoffLimitExceeded", "failed 4 times (runPolicy."),
        (Track(2, 0, 21, 2, message="Evicted: memory"), "InterruptionLimitExceeded", "was interrupted 21 times"),
        (
            Track(1, 1, 0, 1, message="InvalidInput: no column answer"),
            "InvalidInput",
            "is not tried again with what it was given, mend it",
        ),
    ],
)
@pytest.mark.parametrize("there", [True, False])
def test_a_stage_that_is_given_up_stays_so_whether_its_object_is_there_or_not(
    track: Track, reason: str, text: str, there: bool
) -> None:
    facts = one(*([failed("Application", track.attempt)] if there else []), track=track)
    decision = decided(facts)
    assert told(decision) == ("Failed", reason) and decision.views[KEY].message.startswith(text)
    assert not decision.begin
    forgiven = replace(facts, track=replace(track, failures=0, interruptions=0, message=""))
    assert [begin.number for begin in decided(forgiven).begin] == [track.attempt + 1]


def test_limits_of_zero_allow_one_attempt() -> None:
    policy = {"backoffLimit": 0, "interruptionLimit": 0}
    for kind, reason in (("Application", "BackoffLimit"), ("Interruption", "InterruptionLimit")):
        decision = decided(one(failed(kind)), run(**policy))  # type: ignore[arg-type]
        assert told(decision) == ("Failed", f"{reason}Exceeded")
        assert " once (runPolicy." in decision.views[KEY].message


def test_a_stalled_attempt_is_replaced_and_its_object_goes_even_when_it_was_the_last() -> None:
    policy = {"stallTimeoutSeconds": 30}
    silent = one(attempt("Running"), progress=heartbeat(-31))
    decision = decided(silent, run(**policy))
    assert told(decision) == ("Waiting", "Retrying") and names(decision.remove) == ["a-1"]
    assert decision.tracks[KEY].reason == "StallDetected"
    last = decided(silent, run(**policy, backoffLimit=0))
    assert told(last) == ("Failed", "BackoffLimitExceeded") and names(last.remove) == ["a-1"]
    heard = decided(one(attempt("Running"), progress=heartbeat(-5)), run(**policy))
    assert told(heard) == ("Running", "StageRunning")
    assert heard.due_s == pytest.approx(25.1, abs=1)
    assert told(decided(silent, run(**policy, suspended=True))) == ("Waiting", "Suspended")


def test_silence_is_counted_from_when_the_containers_began() -> None:
    policy = {"stallTimeoutSeconds": 30}
    late = attempt("Running", started_at=at(-3600), working_since=at(-5))
    assert told(decided(one(late, progress=heartbeat(-4000)), run(**policy))) == ("Running", "StageRunning")
    unknown = attempt("Running", started_at="", working_since="")
    assert told(decided(one(unknown), run(**policy))) == ("Running", "StageRunning")


def test_an_attempt_whose_progress_is_torn_is_not_taken_for_silent() -> None:
    long = attempt("Running", started_at=at(-3600), working_since=at(-3600))
    assert told(decided(one(long), run(stallTimeoutSeconds=30))) == ("Waiting", "Retrying")
    torn = decided(one(long, progress_unreadable=True), run(stallTimeoutSeconds=30))
    assert told(torn) == ("Running", "StageRunning") and torn.due_s == pytest.approx(30, abs=1)


def test_torn_progress_of_a_stage_holds_up_no_other(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    path = stage_path(STAGE.kind, KEY, "progress.json")
    store.write(path, b"{")
    store.write(stage_path(AFTER.kind, NEXT, "progress.json"), heartbeat(-5).model_dump_json().encode())
    plan = Plan(kind="DebateRun", name="a", namespace="a", run_id="a", manifest={}, pins={}, stages=(STAGE, AFTER))
    running = {key: View("Running", Reason.STAGE_RUNNING, "") for key in (KEY, NEXT)}
    place = Place(store, StoreSource(), open_store)
    spec = {"dataset": {"uri": "s3://b/q"}, "teacher": {"endpoint": {"baseUrl": "http://x", "model": "m"}}}
    resource = DebateRun.model_validate(
        {"apiVersion": API_VERSION, "kind": "DebateRun", "metadata": {"name": "a", "namespace": "a"}, "spec": spec}
    )
    owner = Owner("DebateRun", "a", "a", "uid", {}, {})
    context = RunContext(Key("DebateRun", "a", "a"), {}, resource, owner, place, {}, {}, (), plan, delegated=running)
    torn, whole = facts_of(context, lambda namespace, uid: ())
    assert (torn.progress, torn.progress_unreadable) == (None, True)
    assert (whole.progress, whole.progress_unreadable) == (heartbeat(-5), False)


# --- waits


def test_waits_double_with_jitter_up_to_ten_minutes_and_are_drawn_the_same_again() -> None:
    def wait_s(failures: int, kind: FailureKind = "Application") -> float:
        track = Track(attempt=failures, counted=failures - 1, failures=failures - 1, interruptions=failures - 1)
        ended = replace(failed(kind, failures), ended_at=at(0))
        decision = decided(one(ended, track=track), run(backoffLimit=100))
        assert decision == decided(one(ended, track=track), run(backoffLimit=100))
        return float(decision.due_s or 0)

    for failures in range(1, 12):
        most_s = min(600.0, 10.0 * 2 ** (failures - 1))
        assert most_s / 2 - 1 <= wait_s(failures) <= most_s + 1
    assert wait_s(3, "Interruption") <= 5
    drawn = {
        decided(one(replace(failed("Application"), ended_at=at(0))), replace(run(), uid=f"{n}", base_wait_s=1e3)).due_s
        for n in range(20)
    }
    assert len(drawn) > 10


def test_the_next_attempt_waits_until_the_end_of_the_last_stands_in_the_status() -> None:
    long_ago = replace(failed("Application"), ended_at=at(-3600))
    first = decided(one(long_ago))
    assert not first.begin and (first.due_s or 1) < 0.2
    again = decided(one(long_ago, track=first.tracks[KEY]))
    assert [begin.number for begin in again.begin] == [2]


# --- deadlines


def test_a_run_that_takes_too_long_ends_with_all_its_objects() -> None:
    late = run(started_s=-61, activeDeadlineSeconds=60)
    decision = decided(one(attempt("Running")), late, Facts(AFTER))
    assert decision.ended is not None and decision.ended[0] == "DeadlineExceeded"
    assert "debate, curate" in decision.ended[1]
    assert names(decision.remove) == ["a-1"] and not decision.begin
    assert told(decision) == ("Failed", "DeadlineExceeded") and decision.views[NEXT].state == "Waiting"
    track = decision.tracks[KEY]
    assert (track.counted, track.failures, track.interruptions, track.gpu_seconds) == (1, 0, 0, 8 * 40)
    assert decided(one(done=True), late).ended is None
    assert decided(one(), replace(late, started_at="")).ended is None


@pytest.mark.parametrize("facts", [one(), one(attempt("Running")), one(failed("Application")), one(pods_alive=1)])
@pytest.mark.parametrize("suspended", [True, False])
def test_the_end_of_the_time_is_looked_at_whatever_a_stage_does(facts: Facts, suspended: bool) -> None:
    decision = decided(facts, run(started_s=-57, activeDeadlineSeconds=60, suspended=suspended))
    assert decision.ended is None and decision.due_s is not None and decision.due_s <= 3.2


@pytest.mark.parametrize("state", ["Pending", "Queued"])
def test_what_does_not_begin_in_time_ends_the_run(state: str) -> None:
    policy = {"preRunningDeadlineSeconds": 30}
    waits = attempt(state, made_s=-20, message="0/4 nodes are available")
    soon = decided(one(waits), run(**policy))
    assert soon.ended is None and soon.due_s == pytest.approx(10.1, abs=1)
    late = decided(one(replace(waits, body=attempt(state, made_s=-31).body)), run(**policy))
    assert late.ended is not None and late.ended[0] == "PreRunningDeadlineExceeded"
    assert "Job/a-1 did not start within 30 s" in late.ended[1] and "0/4 nodes are available" in late.ended[1]
    assert decided(one(attempt("Running", made_s=-31)), run(**policy)).ended is None
    assert decided(one(attempt(state, made_s=-31)), run(**policy, suspended=True)).ended is None
    resumed = [{"type": "Suspended", "status": "False", "lastTransitionTime": at(-5)}]
    assert decided(one(attempt(state, made_s=-3600, conditions=resumed)), run(**policy)).ended is None


# --- suspension


@pytest.mark.parametrize("state", ["Pending", "Running"])
def test_suspending_takes_the_pods_away_once_and_keeps_the_attempt(state: str) -> None:
    held = run(suspended=True)
    decision = decided(one(attempt(state)), held)
    assert [(body["metadata"]["name"], on) for body, on in decision.suspend] == [("a-1", True)]
    assert told(decision) == ("Waiting", "Suspended") and not decision.remove
    assert "still ending" in decision.views[KEY].message
    assert decision.tracks[KEY].gpu_seconds == (8 * 40 if state == "Running" else 0)
    again = decided(one(attempt("Suspended")), held)
    assert not again.suspend and told(again) == ("Waiting", "Suspended")
    resumed = decided(one(attempt("Suspended")))
    assert [on for _, on in resumed.suspend] == [False] and not resumed.begin


@pytest.mark.parametrize("state", ["Queued", "Pending", "Running", "Suspended"])
def test_suspending_takes_a_queued_object_out_of_its_queue_and_costs_nothing(state: str) -> None:
    held = run(suspended=True)
    decision = decided(one(attempt(state, queue=True)), held)
    assert names(decision.remove) == ["a-1"] and not decision.suspend
    track = decision.tracks[KEY]
    assert (track.counted, track.failures, track.interruptions) == (1, 0, 0)
    assert told(decided(one(track=track), held)) == ("Waiting", "Suspended")
    assert [begin.number for begin in decided(one(track=track)).begin] == [2]


def test_pods_that_end_because_of_the_suspension_cost_nothing() -> None:
    held = run(suspended=True)
    for facts in (one(failed("Interruption")), one(track=Track(attempt=1))):
        track = decided(facts, held).tracks[KEY]
        assert (track.counted, track.failures, track.interruptions) == (1, 0, 0)
    # An own failure stays one.
    assert decided(one(failed("Application")), held).tracks[KEY].failures == 1
    assert told(decided(one(), held)) == ("Waiting", "Suspended")
    assert told(decided(one(done=True), held)) == ("Cached", "")


# --- several stages


def test_stages_wait_for_their_inputs_and_for_nothing_else() -> None:
    decision = decided(one(attempt("Running")), None, Facts(AFTER))
    assert decision.views[NEXT].reason == "WaitingForInputs" and not decision.begin
    decision = decided(one(done=True), None, Facts(AFTER))
    assert [begin.stage.key for begin in decision.begin] == [NEXT]


@pytest.mark.parametrize("state", ["Queued", "Pending", "Suspended"])
def test_after_a_failure_nothing_begins_that_has_not(state: str) -> None:
    other = Facts(AFTER.model_copy(update={"inputs": {}}), attempts=[attempt(state, queue=state == "Queued")])
    decision = decided(one(failed("InvalidInput")), None, other)
    assert decision.views[NEXT].reason == "NotStarted" and names(decision.remove) == ["a-1"]
    assert decision.tracks[NEXT].interruptions == 0
    runs = decided(one(failed("InvalidInput")), None, replace(other, attempts=[attempt("Running")]))
    assert runs.views[NEXT].state == "Running" and not runs.remove
    fresh = decided(one(delegated=View("Failed", "x")), None, Facts(AFTER.model_copy(update={"inputs": {}})))
    assert fresh.views[NEXT].reason == "NotStarted" and not fresh.begin


@pytest.mark.parametrize("state", ["Queued", "Pending", "Suspended"])
def test_what_has_not_begun_is_made_anew_of_a_spec_that_was_mended(state: str) -> None:
    """As where an image could not be pulled."""
    decision = decided(one(attempt(state, outdated=True)))
    assert names(decision.remove) == ["a-1"] and told(decision) == ("Waiting", "Replaced")
    assert decision.tracks[KEY].interruptions == 0 and decision.tracks[KEY].counted == 1
    runs = decided(one(attempt("Running", outdated=True)))
    assert told(runs) == ("Running", "StageRunning") and not runs.remove


def test_an_object_that_waits_for_what_somebody_else_has_made_goes() -> None:
    for state, goes in (("Queued", True), ("Pending", True), ("Running", False), ("Succeeded", False)):
        decision = decided(one(attempt(state), done=True))
        assert names(decision.remove) == (["a-1"] if goes else [])
        assert told(decision)[0] == "Done" and decision.tracks[KEY].interruptions == 0


def test_a_queue_that_let_it_begin_is_told_apart_from_none() -> None:
    assert decided(one(attempt("Queued", queue=True))).views[KEY].queued is True
    assert decided(one(attempt("Running", queue=True))).views[KEY].queued is False
    assert decided(one(attempt("Pending", queue=True))).views[KEY].queued is False
    assert decided(one(attempt("Running"))).views[KEY].queued is None
