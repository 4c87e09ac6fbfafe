"""Stages and plans: what runs, in which order, under which content-addressed key."""

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

StageKind = Literal["debate", "curate", "steps", "prm", "distill", "gate", "evaluate", "compare", "release"]

STAGE_VERSIONS: dict[str, int] = {
    "debate": 2,
    "curate": 2,
    "steps": 2,
    "prm": 1,
    "distill": 2,
    "gate": 2,
    "evaluate": 2,
    "compare": 3,
    "release": 1,
}
"""Raised when the code of a stage gives other results for the same parameters (default prompts count as code)."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Resources(_Value):
    """What a stage needs on a cluster, or takes on a laptop."""

    nodes: int = 1
    gpus_per_node: int = 0
    processes_per_node: int = 1
    backend: str = "Job"


class Estimate(_Value):
    """Upper bounds of what a stage can cost; None where it cannot be known before the stages above have run."""

    calls: int | None = None
    completion_tokens: int | None = None
    training_rows: int | None = None
    gpus: int = 0


class Pin(_Value):
    """An address resolved once, so that a file or branch that moves does not change a running job."""

    uri: str
    identity: str
    """Digest, ETag with size, commit, or endpoint and model name: what goes into keys."""
    rows: int | None = None
    """Rows of a data set where they can be counted cheaply."""
    path: str = ""
    """Absolute path of a local file or folder."""
    endpoint: str = ""
    """S3 server that was asked; the run reads from the same one. Empty: as the environment says."""
    region: str = ""
    """Region of its bucket; empty: the server is asked."""


class Stage(_Value):
    """One unit of work whose key says everything that its result depends on."""

    kind: StageKind
    name: str
    """For people: unique inside a plan, not part of the key."""
    key: str = Field(pattern=r"^[0-9a-f]{16}$")
    params: dict[str, Any]
    """Everything that changes the result, as canonical JSON data."""
    inputs: dict[str, str] = {}
    """Role -> key of the stage that provides it."""
    pins: dict[str, str] = {}
    """Role -> identity of a data set or model."""
    settings: dict[str, Any] = {}
    """What a run needs but the result does not depend on: addresses, concurrency, checkpoint intervals."""
    resources: Resources = Resources()
    estimate: Estimate = Estimate()


class Plan(_Value):
    """The stages of one resource in an order in which they can run."""

    version: int = 1
    kind: str
    name: str
    namespace: str
    run_id: str
    manifest: dict[str, Any]
    pins: dict[str, Pin]
    stages: tuple[Stage, ...]

    def stage(self, key: str) -> Stage:
        """The stage with a key; KeyError when there is none."""
        return {stage.key: stage for stage in self.stages}[key]


def canonical_json(value: object) -> str:
    """One text per value: sorted names, no spaces, NaN refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def stage_key(kind: StageKind, *, params: dict[str, Any], inputs: dict[str, str], pins: dict[str, str]) -> str:
    """First 16 hex digits of SHA-256 over everything that the stage's result depends on."""
    content = {"kind": kind, "params": params, "inputs": inputs, "pins": pins, "version": STAGE_VERSIONS[kind]}
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()[:16]


def run_id(name: str, stages: tuple[Stage, ...]) -> str:
    """Name and hash of the plan: equal plans share a run."""
    content = canonical_json(sorted(stage.key for stage in stages))
    return f"{name}-{hashlib.sha256(content.encode()).hexdigest()[:10]}"
