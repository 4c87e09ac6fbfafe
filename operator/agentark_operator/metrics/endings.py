"""What ended between two passes, for counters and logs. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from agentark.store import StageManifest
from agentark_operator.attempts.budgets import gpu_seconds, heard_at
from agentark_operator.attempts.facts import Facts, Track
from agentark_operator.decide.decision import Decision
from agentark_operator.timestamps import parse_time

Outcome = Literal["Succeeded", "Failed", "Interrupted"]


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of an attempt at a stage."""

    stage: str
    """Kind of the stage."""
    name: str
    """Its name in the plan."""
    attempt: int
    outcome: Outcome
    reason: str
    """Why, as one CamelCase word."""
    backend: str
    seconds: float
    """From the first pod's start to the end; of a stage that succeeded, what it says itself."""
    waited_s: float | None
    """From the object's creation to the first pod's start; None where it is not known."""
    gpu_seconds: int
    release: str = ""
    """Name of the release that the stage decided over; empty for any other stage."""
    released: bool = False
    """Whether its gates let the model pass."""


def last_heard(facts: Sequence[Facts], decision: Decision) -> dict[str, float]:
    """Running stage's name -> when it was last heard of, in seconds since the epoch."""
    heard = {}
    for fact in facts:
        last = fact.current
        if last is not None and last.state == "Running" and decision.views[fact.stage.key].state == "Running":
            heard[fact.stage.name] = heard_at(fact, last)
    return {name: at for name, at in heard.items() if at}


def endings(
    facts: Sequence[Facts],
    before: Mapping[str, Track],
    decision: Decision,
    manifests: Mapping[str, StageManifest],
    now_s: float,
) -> list[Ending]:
    """Attempts whose end was counted in this pass.

    Args:
        before: Key -> what the status remembered.
        decision: With what it is to remember.
        manifests: Key -> manifest of each finished stage.
        now_s: Seconds since the epoch.
    """
    result = []
    for fact in facts:
        key = fact.stage.key
        old, new = before.get(key, Track()), decision.tracks[key]
        if new.counted <= old.counted:
            continue
        last = next((attempt for attempt in fact.attempts if attempt.number == new.counted), None)
        outcome: Outcome = "Succeeded"
        if not fact.done:
            outcome = "Failed" if new.failures > fact.track.failures else "Interrupted"
        started = parse_time(last.started_at) if last and last.started_at else None
        ended = parse_time(last.ended_at) if last and last.ended_at else now_s
        seconds = ended - started if started is not None else 0.0
        if fact.done:
            seconds = parse_time(manifests[key].finished_at) - parse_time(manifests[key].started_at)
        decided = manifests[key].metrics if fact.done and fact.stage.kind == "release" else {}
        created = last.body["metadata"].get("creationTimestamp") if last else None
        result.append(
            Ending(
                stage=fact.stage.kind,
                name=fact.stage.name,
                attempt=new.counted,
                outcome=outcome,
                reason="Succeeded" if fact.done else new.message.partition(":")[0],
                backend=fact.stage.resources.backend,
                seconds=max(0.0, seconds),
                waited_s=max(0.0, started - parse_time(created)) if started is not None and created else None,
                gpu_seconds=gpu_seconds(fact.stage, last, now_s),
                release=str(decided.get("name", "")),
                released=bool(decided.get("released")),
            )
        )
    return result
