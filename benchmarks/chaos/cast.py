"""The resources of the chaos run, what their users do to them later, and what becomes of their stages' pods. Pure.

What a stage's pods do is written into the manifest (`spec.pods`), so it is the same however often and wherever the
stage is tried, for resources that are made of what a job embeds, and for those that share a stage.
"""

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.operator.running import Bench

Body = dict[str, Any]
FATES = "chaos.agentark.dev/fates"
"""Annotation of pods: "STAGE KIND=EXIT CODE EXIT CODE...;...". The codes of the first attempts, after which the stage
ends well; with * the last code is that of all others too."""
REQUESTED_AT = "agentark.dev/requestedAt"
_ANY = frozenset({"Pending", "Running", "Succeeded"})
_TWO_PODS = {"nodes": 2, "gpusPerNode": 1}
_ONE_POD = {"backend": "Job"}
_TWO_PODS_OF_A_JOB = {"backend": "Job", "nodes": 2}


@dataclass(frozen=True, slots=True)
class Step:
    """What a user does to a resource."""

    phases: frozenset[str]
    """When the resource is in one of these, as its status says of its spec as it is."""
    change: Body | None
    """Merge patch; None: deleted, and applied anew under its name."""
    after_s: float = 0.0
    """So many seconds after it was first seen like that."""


@dataclass(frozen=True, slots=True)
class Role:
    """A resource and its user's plans."""

    body: Body
    steps: tuple[Step, ...] = ()
    ends: str = "Succeeded"
    """The phase in which it must end."""

    @property
    def name(self) -> str:
        return str(self.body["metadata"]["name"])


def cast(bench: Bench, count: int, *, ttl_s: int) -> list[Role]:
    """So many resources, in the order in which they are applied.

    Args:
        bench: Makes them.
        count: How many; beside them there are those that jobs embed.
        ttl_s: When their objects are to go after they have ended.
    """
    roles: list[Role] = []
    group = 0
    while len(roles) < count:
        roles += _group(bench, group, ttl_s)
        group += 1
    return roles[:count]


def fate(fates: str, stage_kind: str, tried: int) -> int:
    """Exit code of a stage's pods.

    Args:
        fates: The annotation.
        stage_kind: Of the stage.
        tried: How often it was tried before.
    """
    codes = dict(part.split("=") for part in fates.split(";") if part).get(stage_kind, "")
    listed = [int(code) for code in codes.rstrip("*").split()]
    if tried < len(listed):
        return listed[tried]
    return listed[-1] if codes.endswith("*") else 0


def seconds(key: str) -> float:
    """How long a stage's pods take: the same wherever it runs."""
    return 0.3 + 2.2 * int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) / 2**32


def _group(bench: Bench, number: int, ttl_s: int) -> list[Role]:
    """Twelve resources. Their seeds, and so their stages, are their own, except where they are meant to share."""

    def debate(seed: int, **more: Any) -> Body:
        spec = bench.debate(**more)
        spec["protocol"]["seed"] = 100 * number + seed
        return spec

    def made(kind: str, name: str, spec: Body, fates: str = "", **policy: int) -> Body:
        # Enough interruptions for everything that is done to it; retries are quick (Operators).
        limits = {"ttlSecondsAfterFinished": ttl_s, "interruptionLimit": 200, "backoffLimit": 3} | policy
        pods = {"metadata": {"annotations": {FATES: fates}}}
        return bench.resource(kind, f"g{number:02d}-{name}", {**spec, "runPolicy": limits, "pods": pods})

    def job(methods: list[str], training: Body, **more: Any) -> Body:
        spec: Body = bench.distill_job("x", *methods, training=training, **more)["spec"]
        return copy.deepcopy(spec)

    talk = debate(0, execution={"workers": 2})
    score = {"debate": debate(1), "model": bench.model, "training": _TWO_PODS}
    anew = {"debate": debate(7), "model": bench.model, "training": _TWO_PODS}
    learn = job(["RSFT", "PAD"], _TWO_PODS, debate=debate(2))
    follow = job(["RSFT"], _ONE_POD) | {"suspend": True, "debateRef": {"name": f"g{number:02d}-talk"}}
    del follow["debate"]
    resumed = {"spec": {"suspend": False}}
    return [
        Role(made("DebateRun", "talk", talk, "debate=1")),
        Role(made("DistillJob", "learn", learn, "debate=75;distill=1;prm=1 75")),
        Role(
            made("PRMTraining", "weak", {"debate": debate(6), "model": bench.model, "training": _TWO_PODS}, "prm=1*"),
            ends="Failed",
        ),
        Role(made("DistillJob", "follow", follow, "curate=1"), (Step(frozenset({"Suspended"}), resumed, 2.0),)),
        _mended(made("DebateRun", "mend", debate(3), "debate=1*", backoffLimit=1), again=number % 2 == 1),
        Role(
            made("DistillJob", "pause", job(["RSFT", "PAD"], _ONE_POD, debate=debate(8)), "evaluate=1"),
            (
                Step(frozenset({"Running", "Pending"}), {"spec": {"suspend": True}}, 4.0),
                Step(frozenset({"Suspended"}), resumed, 2.0),
            ),
        ),
        Role(made("PRMTraining", "score", score, "prm=1 75")),
        Role(made("DebateRun", "wrong", debate(5), "debate=2*"), ends="Failed"),
        Role(
            made("PRMTraining", "drift", {"debate": debate(4), "model": bench.model, "training": _TWO_PODS_OF_A_JOB}),
            (Step(_ANY, {"spec": {"training": {"epochs": "3"}}}, 3.0),),
        ),
        Role(made("DebateRun", "echo", talk, "debate=1")),
        Role(made("PRMTraining", "twin", score, "prm=1 75")),
        Role(made("PRMTraining", "anew", anew, "debate=1"), (Step(frozenset({"Running"}), None, 1.0),)),
    ]


def _mended(body: Body, *, again: bool) -> Role:
    """A debate that fails until its user mends what its pods are told: by another spec, or outside of it.

    Args:
        body: As first applied.
        again: The user asks for another try as well, after a change that alone would bring none: of no field.
    """
    whole: Body = {"spec": {"pods": {"metadata": {"annotations": {FATES: ""}}}}}
    if not again:
        return Role(body, (Step(frozenset({"Failed"}), whole, 1.0),))
    # The third failure is the last one: the first try costs two of them.
    body["spec"]["pods"]["metadata"]["annotations"][FATES] = "debate=1 1 1"
    asked: Body = {"metadata": {"annotations": {REQUESTED_AT: "2030-01-01T00:00:00Z"}}}
    return Role(body, (Step(frozenset({"Failed"}), asked, 1.0),))


def fates_of(pod: Mapping[str, Any]) -> str:
    """What a pod is told."""
    return str((pod["metadata"].get("annotations") or {}).get(FATES, ""))
