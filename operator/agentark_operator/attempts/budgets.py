"""How attempts ended and what that costs: which budget, which wait, how many GPU seconds. Pure."""

import hashlib
from dataclasses import replace

from agentark.planning import Stage
from agentark_operator.attempts.facts import Attempt, Facts, Run, Track, View
from agentark_operator.diagnosis.failures import Failure
from agentark_operator.reasons import Reason
from agentark_operator.timestamps import format_time, parse_time

LONGEST_WAIT_S = 600.0
_MEND = "mend it and set the annotation agentark.dev/requestedAt"


def counted(fact: Facts, run: Run) -> Facts:
    """The same facts with the end of the last attempt counted, if it has ended; counting again changes nothing."""
    last = fact.current
    number = max(fact.track.attempt, last.number if last else 0)
    fact = replace(fact, track=replace(fact.track, attempt=number))
    if fact.track.counted >= number:
        return fact
    if fact.done:
        return replace(fact, track=replace(_closed(fact, run), next_attempt_at=""))
    failure = _end_of(fact, last, run)
    if failure is None:
        return fact
    text = f"{failure.reason}: {failure.message}" if failure.message else failure.reason
    if run.suspended and failure.kind == "Interruption":
        return replace(fact, track=stopped(fact, run, text))  # pods that were taken away say that they were
    track = _closed(fact, run)
    track = replace(
        track,
        failures=track.failures + (failure.kind != "Interruption"),
        interruptions=track.interruptions + (failure.kind == "Interruption"),
        message=text,
    )
    wait_s = 0.0 if failure.kind == "InvalidInput" else _wait_s(track, failure, run, fact.stage.key)
    ended_s = parse_time(last.ended_at) if last and last.ended_at else run.now_s
    return replace(fact, track=replace(track, next_attempt_at=format_time(max(ended_s + wait_s, run.now_s))))


def stopped(fact: Facts, run: Run, why: str) -> Track:
    """What is to be remembered of a stage whose last attempt is ended for no fault of anybody's: it costs no budget.

    Args:
        why: "Reason: what happened".
    """
    return replace(_closed(fact, run), message=why, next_attempt_at="")


def given_up(fact: Facts, run: Run) -> View | None:
    """The view of a stage that gets no further attempt; None where it may."""
    track, policy = fact.track, run.policy
    if fact.done or not track.counted or track.counted < track.attempt:
        return None
    if track.reason == Reason.INVALID_INPUT:
        text = f"is not tried again with what it was given, {_MEND}: {track.message.partition(': ')[2]}"
        return View("Failed", Reason.INVALID_INPUT, text, fact.object)
    if track.failures > policy.backoff_limit:
        text = f"failed {_times(track.failures)} (runPolicy.backoffLimit: {policy.backoff_limit}), {_MEND}; "
        return View("Failed", Reason.BACKOFF_LIMIT_EXCEEDED, f"{text}the last time: {track.message}", fact.object)
    if track.interruptions > policy.interruption_limit:
        text = f"was interrupted {_times(track.interruptions)} (runPolicy.interruptionLimit: "
        text += f"{policy.interruption_limit}), {_MEND}; the last time: {track.message}"
        return View("Failed", Reason.INTERRUPTION_LIMIT_EXCEEDED, text, fact.object)
    return None


def silent_s(fact: Facts, last: Attempt, run: Run) -> float:
    """Seconds since a running attempt was last heard of; 0 where what it said cannot be read."""
    if fact.progress_unreadable:
        return 0.0
    return run.now_s - (heard_at(fact, last) or run.now_s)


def heard_at(fact: Facts, last: Attempt) -> float:
    """When a running attempt was last heard of, in seconds since the epoch; 0 where it was not yet."""
    moments = [parse_time(text) for text in (last.started_at, last.working_since) if text]
    if fact.progress is not None:
        moments.append(parse_time(fact.progress.heartbeat_at))
    return max(moments, default=0.0)


def gpu_seconds(stage: Stage, attempt: Attempt | None, now_s: float) -> int:
    """GPUs times seconds that an attempt held."""
    if attempt is None or not attempt.started_at:
        return 0
    ended_s = parse_time(attempt.ended_at) if attempt.ended_at else now_s
    gpus = stage.resources.nodes * stage.resources.gpus_per_node
    return round(gpus * max(0.0, ended_s - parse_time(attempt.started_at)))


def _closed(fact: Facts, run: Run) -> Track:
    """The last attempt is over, and what it held is added."""
    track = fact.track
    used = track.gpu_seconds + gpu_seconds(fact.stage, fact.current, run.now_s)
    return replace(track, counted=track.attempt, gpu_seconds=used)


def _end_of(fact: Facts, last: Attempt | None, run: Run) -> Failure | None:
    """Why the last attempt is over; None while it is not."""
    if last is None:
        return Failure("Interruption", Reason.OBJECT_GONE, "the object that ran the attempt was deleted", None)
    if last.state == "Failed":
        return last.failure or Failure("Application", Reason.FAILED, last.message, None)
    if last.state == "Succeeded":
        text = f"{last.label} ended well, but committed no result; its log says what it did"
        return Failure("Application", Reason.NO_RESULT, text, None)
    if last.state == "Running" and last.failure is not None:
        return last.failure
    limit_s = run.policy.stall_timeout_seconds
    if last.state == "Running" and not run.suspended and silent_s(fact, last, run) > limit_s:
        text = f"{last.label} reported no progress for {limit_s} s (runPolicy.stallTimeoutSeconds)"
        return Failure("Stalled", Reason.STALL_DETECTED, text, None)
    return None


def _wait_s(track: Track, failure: Failure, run: Run, key: str) -> float:
    """Doubles with each failure; the part that is drawn depends on the attempt alone, so a restart draws the same."""
    times = track.interruptions if failure.kind == "Interruption" else track.failures
    # What was evicted finds another node at once; a service that is down is mended by people.
    quick = failure.kind == "Interruption" and failure.reason != Reason.SERVICE_UNAVAILABLE
    base_s = run.base_wait_s / 10 if quick else run.base_wait_s
    most_s = min(LONGEST_WAIT_S, base_s * 2.0 ** min(times - 1, 30))
    drawn = int(hashlib.sha256(f"{run.uid}{key}{track.attempt}".encode()).hexdigest()[:8], 16) / 2**32
    return most_s * (1 + drawn) / 2


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
