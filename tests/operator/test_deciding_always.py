"""What holds for decisions whatever the facts, and for every order of events."""

from dataclasses import replace

from agentark_operator.attempts.facts import Attempt, Facts, Run, Track, View
from agentark_operator.decide.decision import Decision, decide
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agentark.planning import Stage
from tests.operator.deciding import AFTER, FAILURES, KEY, NEXT, STAGE, at, attempt, failed, heartbeat, one, run

STATES = st.sampled_from(["Queued", "Pending", "Running", "Succeeded", "Failed", "Suspended"])


@st.composite
def attempts(draw: st.DrawFn, number: int) -> Attempt:
    state = draw(STATES)
    failure = draw(st.sampled_from([None, *FAILURES.values()])) if state == "Failed" else None
    return attempt(
        state,
        number,
        queue=draw(st.booleans()),
        made_s=draw(st.floats(-500, 0)),
        failure=failure,
        started_at=draw(st.sampled_from(["", at(-400), at(-3)])),
    )


@st.composite
def stages(draw: st.DrawFn, stage: Stage = STAGE) -> Facts:
    counted = draw(st.integers(0, 4))
    number = counted + draw(st.integers(0, 1))
    numbers = draw(st.sets(st.integers(1, number + 1), max_size=3))
    track = Track(
        attempt=number,
        counted=counted,
        failures=(failures := draw(st.integers(0, counted))),
        interruptions=draw(st.integers(0, counted - failures)),
        next_attempt_at=draw(st.sampled_from(["", at(-100), at(100)])),
        message=draw(st.sampled_from(["", "OOMKilled: x", "InvalidInput: y"])),
    )
    return Facts(
        stage,
        done=draw(st.booleans()),
        progress=draw(st.sampled_from([None, heartbeat(-300), heartbeat(-1)])),
        attempts=[draw(attempts(one)) for one in sorted(numbers)],
        pods_alive=draw(st.integers(0, 2)),
        track=track,
        delegated=draw(st.sampled_from([None, None, View("Waiting", "x"), View("Failed", "x")])),
    )


@st.composite
def runs(draw: st.DrawFn) -> Run:
    limits = {
        "backoffLimit": draw(st.integers(0, 4)),
        "interruptionLimit": draw(st.integers(0, 3)),
        "stallTimeoutSeconds": draw(st.sampled_from([60, 3600])),
        "activeDeadlineSeconds": draw(st.sampled_from([None, 100, 10_000])),
        "preRunningDeadlineSeconds": draw(st.sampled_from([None, 100, 10_000])),
    }
    policy = {name: value for name, value in limits.items() if value is not None}
    return run(suspended=draw(st.booleans()), started_s=draw(st.sampled_from([-1000.0, -10.0])), **policy)


@settings(max_examples=300, deadline=None)
@given(stages(), stages(AFTER), runs())
def test_whatever_the_facts_a_decision_is_sound(first: Facts, second: Facts, asked: Run) -> None:
    facts = [first, second]
    decision = decide(facts, asked)
    assert decision.views.keys() == decision.tracks.keys() == {KEY, NEXT}
    begun = {begin.stage.key: begin.number for begin in decision.begin}
    for found in facts:
        key, track, before = found.stage.key, decision.tracks[found.stage.key], found.track
        highest = max([before.attempt, *(one.number for one in found.attempts)])
        assert before.counted <= track.counted <= track.attempt == highest
        assert track.failures + track.interruptions <= before.failures + before.interruptions + 1
        assert track.gpu_seconds >= before.gpu_seconds
        if key in begun:
            assert begun[key] == highest + 1 and before.counted == highest
            assert not found.pods_alive and all(one.over for one in found.attempts)
            assert not asked.suspended and not found.done and found.delegated is None and decision.ended is None
            assert track.failures <= asked.policy.backoff_limit
            assert track.interruptions <= asked.policy.interruption_limit
            assert decision.views[key].state == "Running"
        if decision.views[key].state == "Failed" or decision.ended:
            left = [one for one in found.attempts if not one.over and not found.done]
            assert all(one.body in decision.remove for one in left)
        state = decision.views[key].state
        assert (state in ("Done", "Cached")) == found.done or state == "Failed"
        if asked.suspended and found.delegated is None:
            assert state != "Running"
    assert not (decision.ended and (decision.begin or decision.suspend))
    assert NEXT not in begun or first.done
    assert decision.due_s is None or decision.due_s > 0


@settings(max_examples=300, deadline=None)
@given(stages(), stages(AFTER), runs())
def test_a_decision_that_is_made_again_is_the_same(first: Facts, second: Facts, asked: Run) -> None:
    """As after a restart in the middle: the status was written, the objects are as they were."""
    for found in (first, second):
        # As one that is over its budget has no attempt that runs.
        assume(found.track.failures <= asked.policy.backoff_limit)
        assume(found.track.interruptions <= asked.policy.interruption_limit)
    once = decide([first, second], asked)
    assume(once.ended is None)  # over a run that has ended nothing is decided any more
    facts = [replace(found, track=once.tracks[found.stage.key]) for found in (first, second)]
    again = decide(facts, asked)
    assert {id(body) for body in once.remove} == {id(body) for body in again.remove}
    for key, track in once.tracks.items():
        known = again.tracks[key]
        assert replace(known, gpu_seconds=0) == replace(track, gpu_seconds=0)
        assert again.views[key].state == once.views[key].state or begins_now(again, key)


def begins_now(decision: Decision, key: str) -> bool:
    return any(begin.stage.key == key for begin in decision.begin)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(["Application", "Interruption", "InvalidInput", "gone", "no result", "suspend", "done"]),
        max_size=12,
    ),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_a_life_of_attempts_ends_within_its_budgets(events: list[str], backoff: int, interruptions: int) -> None:
    """Attempts begin one after another, and each ends as drawn; the status and nothing else is carried from one to the
    next."""
    policy = {"backoffLimit": backoff, "interruptionLimit": interruptions}
    track, begun, spent = Track(), 0, {"failures": 0, "interruptions": 0}
    for event in [*events, *["Application"] * 5]:
        decision = decide([one(track=track)], run(**policy))
        if not decision.begin:
            break
        begun += 1
        assert decision.begin[0].number == begun
        track = replace(decision.tracks[KEY], attempt=begun)
        if event == "done":
            assert decide([one(track=track, done=True)], run(**policy)).views[KEY].state == "Done"
            return
        if event in FAILURES:
            facts = one(failed(event, begun), track=track)  # type: ignore[arg-type]
        elif event == "no result":
            facts = one(attempt("Succeeded", begun), track=track)
        else:
            facts = one(track=track)
        spent["failures"] += event in ("Application", "InvalidInput", "no result")
        spent["interruptions"] += event in ("Interruption", "gone")
        track = decide([facts], run(**policy, suspended=event == "suspend")).tracks[KEY]
        assert (track.failures, track.interruptions) == (spent["failures"], spent["interruptions"])
        track = replace(track, next_attempt_at="")
    given_up = track.reason == "InvalidInput" or track.failures > backoff or track.interruptions > interruptions
    assert given_up and begun <= backoff + interruptions + 2 + events.count("suspend")
