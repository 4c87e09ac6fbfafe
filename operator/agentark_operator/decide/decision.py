"""What to do next for the stages of a run: begin, replace, suspend, give up. Pure; knows no backend.

A stage's attempts have numbers. The last one is whatever the status or the cluster knows as highest; the next one
begins only when the last has ended, is counted in the status, its wait is over, and none of its pods is left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agentark.planning import Stage
from agentark_operator.attempts.budgets import counted, given_up, gpu_seconds, silent_s, stopped
from agentark_operator.attempts.facts import Attempt, Facts, Run, Track, View
from agentark_operator.reasons import NO_REASON, AnyReason, Reason
from agentark_operator.timestamps import parse_time

_MARGIN_S = 0.1
"""A look at the clock a little after a moment, not a little before."""
_STARTING = frozenset({NO_REASON, Reason.NO_PODS, Reason.STARTING})


@dataclass(frozen=True, slots=True)
class Begin:
    """Make an attempt."""

    stage: Stage
    number: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from the facts."""

    views: Mapping[str, View]
    """Key of the stage -> how it stands."""
    tracks: Mapping[str, Track]
    """Key of the stage -> what is to be remembered."""
    begin: Sequence[Begin] = ()
    """Attempts to make."""
    remove: Sequence[Mapping[str, Any]] = ()
    """Objects to delete."""
    suspend: Sequence[tuple[Mapping[str, Any], bool]] = ()
    """Objects to suspend or to let go on."""
    due_s: float | None = None
    """Seconds after which time alone changes something."""
    ended: tuple[AnyReason, str] | None = None
    """Reason and message of what ended the whole run before its stages were done."""


def decide(facts: Sequence[Facts], run: Run) -> Decision:
    """What to do about the stages of a run.

    Args:
        facts: Every stage, in the order of the plan.
        run: What is asked of the whole.
    """
    known = [counted(fact, run) for fact in facts]
    if (ended := _deadline(known, run)) is not None:
        return _all_off(known, run, ended)
    failed = {fact.stage.key: view for fact in known if (view := given_up(fact, run)) is not None}
    failed |= {fact.stage.key: fact.delegated for fact in known if fact.delegated and fact.delegated.state == "Failed"}
    done = frozenset(fact.stage.key for fact in known if fact.done)
    draft = _Draft(run, done, stopping=bool(failed))
    limit_s = run.policy.active_deadline_seconds
    if limit_s is not None and run.started_at and len(done) < len(known):
        draft.due.append(parse_time(run.started_at) + limit_s - run.now_s + _MARGIN_S)
    for before, fact in zip(facts, known, strict=True):
        key = fact.stage.key
        draft.tracks[key] = fact.track
        draft.views[key] = failed.get(key) or draft.view(fact, counted_now=before.track.counted < fact.track.counted)
        if key in failed:
            draft.remove += [attempt.body for attempt in fact.attempts if not attempt.over]
    return Decision(
        views=draft.views,
        tracks=draft.tracks,
        begin=draft.begin,
        remove=draft.remove,
        suspend=draft.suspend,
        due_s=min(draft.due, default=None),
    )


def starting(label: str, *, queued: bool | None = None) -> View:
    """A stage whose pods come by themselves in a moment. One view for all of that: each other word would be a write.

    Args:
        label: Kind/name of what runs it.
        queued: Whether it waits for a quota; None where no queue is involved.
    """
    return View("Running", Reason.STARTING, f"{label} starts", label, queued=queued, begun=False)


@dataclass
class _Draft:
    """A decision while it is made, stage by stage."""

    run: Run
    done: frozenset[str]
    """Keys of finished stages."""
    stopping: bool
    """A stage has failed for good: what runs may end, nothing begins."""
    views: dict[str, View] = field(default_factory=dict)
    tracks: dict[str, Track] = field(default_factory=dict)
    begin: list[Begin] = field(default_factory=list)
    remove: list[Mapping[str, Any]] = field(default_factory=list)
    suspend: list[tuple[Mapping[str, Any], bool]] = field(default_factory=list)
    due: list[float] = field(default_factory=list)

    def view(self, fact: Facts, *, counted_now: bool) -> View:
        """How a stage stands that has not failed, and what to do about it.

        Args:
            counted_now: Whether the status does not know yet that its last attempt is over.
        """
        last = fact.current
        if fact.done:
            # Somebody else's attempt made it, if one's own has not begun.
            self.remove += [attempt.body for attempt in fact.attempts if not attempt.begun]
            return View("Done" if fact.track.attempt or fact.by_embedded else "Cached", object=fact.object)
        if fact.delegated is not None:
            return fact.delegated
        if last is not None and fact.track.counted < last.number:
            return self._working(fact, last)
        self.remove += [attempt.body for attempt in fact.attempts if not attempt.over]
        return self._next(fact, counted_now)

    def _working(self, fact: Facts, last: Attempt) -> View:
        """A stage whose last attempt has not ended."""
        self.remove += [attempt.body for attempt in fact.attempts if not attempt.over and attempt is not last]
        if self.stopping and not last.begun:
            self._stop(fact, last, f"{Reason.NOT_STARTED}: another stage failed before its pods ran")
            return View("Waiting", Reason.NOT_STARTED, "not started, as another stage failed")
        if self.run.suspended:
            return self._held(fact, last)
        if last.outdated and not last.begun:
            self._stop(fact, last, f"{Reason.REPLACED}: the spec changed before its pods ran")
            return View("Waiting", Reason.REPLACED, f"the spec changed before the pods of {last.label} ran")
        if last.state == "Suspended":
            if fact.pods_alive:
                return View("Waiting", Reason.PODS_ENDING, f"{last.label} goes on when {_pods(fact)} ended", last.label)
            self.suspend.append((last.body, False))
            return View("Running", Reason.RESUMED, f"{last.label} goes on", last.label, begun=False)
        if last.state in ("Queued", "Pending"):
            limit_s = self.run.policy.pre_running_deadline_seconds
            if limit_s is not None:
                self.due.append(limit_s - _waited_s(last, self.run) + _MARGIN_S)
        if last.state == "Queued":
            return View("Waiting", last.reason or Reason.WAITING_FOR_QUOTA, last.message, last.label, queued=True)
        queued = False if last.queued else None
        if last.state == "Pending":
            if last.reason in _STARTING:
                return starting(last.label, queued=queued)
            return View("Running", last.reason, last.message, last.label, queued=queued, begun=False)
        self.due.append(self.run.policy.stall_timeout_seconds - silent_s(fact, last, self.run) + _MARGIN_S)
        return View("Running", Reason.STAGE_RUNNING, "", last.label, queued=queued)

    def _held(self, fact: Facts, last: Attempt) -> View:
        """A stage that is to stop until it is let go on."""
        if last.queued:
            # Who manages the queue would let it go on.
            self._stop(fact, last, f"{Reason.SUSPENDED}: spec.suspend took it out of its queue")
            return View("Waiting", Reason.SUSPENDED, f"{last.label} was taken out of its queue{_ending(fact)}")
        if last.state != "Suspended":
            self.suspend.append((last.body, True))
            used = fact.track.gpu_seconds + gpu_seconds(fact.stage, last, self.run.now_s)
            # When it goes on, its time begins anew.
            self.tracks[fact.stage.key] = replace(fact.track, gpu_seconds=used)
        return View("Waiting", Reason.SUSPENDED, f"{last.label} is suspended{_ending(fact)}", last.label)

    def _stop(self, fact: Facts, last: Attempt, why: str) -> None:
        self.remove.append(last.body)
        self.tracks[fact.stage.key] = stopped(fact, self.run, why)

    def _next(self, fact: Facts, counted_now: bool) -> View:
        """A stage that has no attempt, or whose last one is over."""
        track, run = fact.track, self.run
        if any(key not in self.done for key in fact.stage.inputs.values()):
            return View("Waiting", Reason.WAITING_FOR_INPUTS, "waits for the stages before it")
        if self.stopping:
            return View("Waiting", Reason.NOT_STARTED, "not started, as another stage failed")
        if run.suspended:
            return View("Waiting", Reason.SUSPENDED, f"spec.suspend is true{_ending(fact)}")
        left_s = parse_time(track.next_attempt_at) - run.now_s if track.next_attempt_at else 0.0
        if left_s > 0 or counted_now:
            self.due.append(max(0.0, left_s) + _MARGIN_S / 2)
            when = f" at {track.next_attempt_at}" if left_s > 0 else ""
            text = f"attempt {track.attempt} ended, {track.message or 'stopped'}; the next begins{when}"
            return View("Waiting", Reason.RETRYING, text, fact.object)
        if fact.pods_alive or any(not attempt.over for attempt in fact.attempts):
            text = f"attempt {track.attempt + 1} begins when {_pods(fact)} ended; if their node is lost for good, "
            text += "delete the node, or the pods with `kubectl delete pod --force`"
            return View("Waiting", Reason.PODS_ENDING, text, fact.object)
        self.begin.append(Begin(fact.stage, track.attempt + 1))
        return starting("")


def _deadline(facts: Sequence[Facts], run: Run) -> tuple[AnyReason, str] | None:
    """Reason and message where the time of a run is over."""
    limit_s = run.policy.active_deadline_seconds
    left = [fact.stage.name for fact in facts if not fact.done]
    if left and limit_s is not None and run.started_at and run.now_s - parse_time(run.started_at) > limit_s:
        text = f"not done {limit_s} s after the start (runPolicy.activeDeadlineSeconds): {', '.join(left)}; finished "
        return Reason.DEADLINE_EXCEEDED, text + "work is kept, raise the deadline to go on"
    wait_s = run.policy.pre_running_deadline_seconds
    if wait_s is None or run.suspended:
        return None
    for fact in facts:
        last = fact.current
        if fact.done or last is None or last.state not in ("Pending", "Queued") or fact.track.counted >= last.number:
            continue
        if _waited_s(last, run) > wait_s:
            text = f"{fact.stage.name}: {last.label} did not start within {wait_s} s "
            text += f"(runPolicy.preRunningDeadlineSeconds): {last.message or last.reason}"
            return Reason.PRE_RUNNING_DEADLINE_EXCEEDED, text
    return None


def _all_off(facts: Sequence[Facts], run: Run, ended: tuple[AnyReason, str]) -> Decision:
    """The end of a run whose stages are not done."""
    views, tracks = {}, {}
    for fact in facts:
        key, last = fact.stage.key, fact.current
        works = last is not None and fact.track.counted < last.number
        views[key] = View("Waiting", Reason.NOT_STARTED, "not started before the run ended")
        tracks[key] = fact.track
        if fact.done:
            views[key] = View("Done" if fact.track.attempt or fact.by_embedded else "Cached", object=fact.object)
        elif works or fact.track.counted:
            views[key] = View("Failed", ended[0], fact.track.message or "stopped", fact.object)
        if works and not fact.done:
            tracks[key] = stopped(fact, run, f"{ended[0]}: stopped, as the run's time was over")
    return Decision(
        views=views,
        tracks=tracks,
        remove=[attempt.body for fact in facts for attempt in fact.attempts if not attempt.over],
        ended=ended,
    )


def _waited_s(attempt: Attempt, run: Run) -> float:
    """Seconds that an attempt waits to begin: since it was made, or was let go on, or was put back into its queue."""
    conditions = (attempt.body.get("status") or {}).get("conditions") or ()
    moments = [entry.get("lastTransitionTime") or "" for entry in conditions if entry["type"] == "Suspended"]
    moments.append(attempt.body["metadata"].get("creationTimestamp") or "")
    return run.now_s - max((parse_time(text) for text in moments if text), default=run.now_s)


def _pods(fact: Facts) -> str:
    return "the last pod has" if fact.pods_alive == 1 else f"the last {fact.pods_alive or 'of its'} pods have"


def _ending(fact: Facts) -> str:
    if not fact.pods_alive:
        return ""
    return "; 1 pod is still ending" if fact.pods_alive == 1 else f"; {fact.pods_alive} pods are still ending"
