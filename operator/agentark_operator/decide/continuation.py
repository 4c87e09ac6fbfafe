"""Whether a pass goes on with the run that the status tells of, and what it keeps of what was. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agentark.planning import Plan
from agentark_operator.attempts.facts import Track
from agentark_operator.backends import BACKENDS
from agentark_operator.decide.delegation import REQUESTED_AT
from agentark_operator.informers.children import stage_key
from agentark_operator.status.summary import again, tracks_of

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kept:
    """What a run goes on with."""

    tracks: Mapping[str, Track]
    """Key -> what the status remembers of a stage."""
    objects: Sequence[Body]
    """Its objects and pods."""
    superseded: Sequence[Body]
    """Objects of an earlier run, to be deleted."""
    started_at: str
    """When it began, ISO 8601; empty for one that begins now."""


def requested(body: Body) -> str:
    """The annotation by which a person asks for another try; empty where there is none."""
    return str((body["metadata"].get("annotations") or {}).get(REQUESTED_AT, ""))


def same(body: Body, status: Body) -> bool:
    """Whether a status is about the spec as it is, and about the last request of a person."""
    return bool(
        status.get("observedGeneration") == body["metadata"]["generation"]
        and status.get("requestedAt", "") == requested(body)
    )


def run_of(body: Body, status: Body) -> str:
    """The run whose addresses stay as they were resolved; empty where they are to be resolved anew."""
    anew = again(status, generation=body["metadata"]["generation"], requested_at=requested(body))
    return "" if anew else str(status.get("runId", ""))


def kept(body: Body, status: Body, plan: Plan, done: Collection[str], objects: Sequence[Body]) -> Kept:
    """What a pass goes on with.

    Args:
        done: Keys of the finished stages.
        objects: Everything in the cluster that belongs to it, pods included.
    """
    ours = {stage.key for stage in plan.stages}
    other = bool(status.get("runId")) and run_of(body, status) != plan.run_id
    if other:
        ours -= set(done)  # of another run these come from the store
    superseded = [child for child in objects if child["kind"] in BACKENDS and stage_key(child) not in ours]
    tracks = tracks_of(status)
    if other:
        tracks = {
            key: Track(attempt=track.attempt, counted=track.counted) for key, track in tracks.items() if key in ours
        }
    elif not same(body, status):
        # A person changed something: what went wrong before is forgiven.
        tracks = {key: _forgiven(track) for key, track in tracks.items()}
    return Kept(
        tracks=tracks,
        objects=[child for child in objects if child["kind"] not in BACKENDS or stage_key(child) in ours],
        superseded=superseded,
        started_at="" if other else str(status.get("startedAt", "")),
    )


def _forgiven(track: Track) -> Track:
    return replace(track, failures=0, interruptions=0, message="", next_attempt_at="")
