"""What the operator reports of a resource."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from agentark.api.base import DECIMAL_PATTERN

Decimal = Annotated[str, Field(pattern=DECIMAL_PATTERN, max_length=24)]
Phase = Literal["Pending", "Running", "Suspended", "Succeeded", "Failed"]


class _Part(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, use_attribute_docstrings=True
    )


class Condition(_Part):
    """An observation, as metav1.Condition."""

    type: Annotated[str, Field(max_length=316)]
    """What is observed: Ready, Reconciling, Stalled, Complete, Failed, Suspended, QuotaReserved."""
    status: Literal["True", "False", "Unknown"]
    """Whether it is so."""
    reason: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")]
    """Why, in one word."""
    message: Annotated[str, Field(max_length=32768)]
    """Why, for a person: what was found and what to do."""
    last_transition_time: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    """When the status last changed."""
    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """Generation of the spec that it is about."""


class StageStatus(_Part):
    """One stage of the run."""

    name: Annotated[str, Field(max_length=253)]
    """Name in the plan."""
    kind: Annotated[str, Field(max_length=63)]
    """What it does."""
    key: Annotated[str, Field(max_length=63)]
    """Its key in the store."""
    state: Literal["Waiting", "Cached", "Running", "Done", "Failed"]
    """Where it is; Cached cost no pod."""
    attempt: Annotated[int, Field(ge=0)] | None = None
    """Number of the last attempt."""
    failures: Annotated[int, Field(ge=0)] | None = None
    """Attempts that failed by their own work."""
    interruptions: Annotated[int, Field(ge=0)] | None = None
    """Attempts that ended by eviction, preemption or a lost node."""
    counted: Annotated[int, Field(ge=0)] | None = None
    """The last attempt whose end is in these numbers."""
    gpu_seconds: Annotated[int, Field(ge=0)] | None = None
    """GPUs times seconds of the attempts that ended."""
    last_failure: Annotated[str, Field(max_length=2048)] | None = None
    """How the last attempt that did not succeed ended."""
    next_attempt_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None = None
    """When the next attempt begins, after a failure."""
    object: Annotated[str, Field(max_length=317)] | None = None
    """Kind/name of what runs it."""
    message: Annotated[str, Field(max_length=4096)] | None = None
    """Why it waits or failed."""


class Progress(_Part):
    """How far the current stage is."""

    percent: Annotated[int, Field(ge=0, le=100)]
    """Of the current stage."""
    done: Annotated[int, Field(ge=0)] | None = None
    """Units finished."""
    total: Annotated[int, Field(ge=0)] | None = None
    """Units in all."""
    remaining_seconds: Annotated[int, Field(ge=0)] | None = None
    """Estimated time to its end."""


class PastRun(_Part):
    """An earlier run of the resource."""

    run_id: Annotated[str, Field(max_length=253)]
    """The run in the store."""
    phase: Phase
    """How it ended; a run that another spec took the place of stays as it was."""
    started_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None = None
    """When it began."""
    completed_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None = None
    """When it ended, or was superseded."""
    score: Decimal | None = None
    """What it reached."""


class Usage(_Part):
    """What the run has cost so far."""

    tokens: Annotated[int, Field(ge=0)] | None = None
    """Prompt and completion tokens."""
    gpu_seconds: Annotated[int, Field(ge=0)] | None = None
    """GPUs times seconds."""
    cost: Decimal | None = None
    """By the operator's price table."""
    currency: Annotated[str, Field(max_length=8)] | None = None
    """Of the cost."""


class Score(_Part):
    """A measured value."""

    suite: Annotated[str, Field(max_length=63)]
    """Set of questions."""
    subject: Annotated[str, Field(max_length=253)]
    """What was measured: base, student, debate."""
    metric: Annotated[str, Field(max_length=63)]
    """What of it."""
    value: Decimal
    """The value."""
    low: Decimal | None = None
    """Lower end of the 95 % interval."""
    high: Decimal | None = None
    """Upper end."""


class Output(_Part):
    """An artifact."""

    name: Annotated[str, Field(max_length=253)]
    """What it is."""
    uri: Annotated[str, Field(max_length=2048)]
    """Where it is."""
    digest: Annotated[str, Field(max_length=128)] | None = None
    """Its content."""


class Version(_Part):
    """A released model."""

    version: Annotated[int, Field(ge=1)]
    """Its number."""
    uri: Annotated[str, Field(max_length=2048)]
    """Where it is."""
    digest: Annotated[str, Field(max_length=128)]
    """Its content."""
    run_id: Annotated[str, Field(max_length=253)]
    """The run that made it."""
    released_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None = None
    """When it was released."""
    suite: Annotated[str, Field(max_length=63)] | None = None
    """Set of questions that the score is of."""
    score: Decimal | None = None
    """Its accuracy on the first suite of its evaluation."""


_BY_TYPE = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
_BY_NAME = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
_BY_VERSION = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["version"]}


class Status(_Part):
    """Written by the operator alone."""

    observed_generation: int | None = None
    """Generation of the spec that the rest is about; -1 before the operator has seen the resource."""
    conditions: Annotated[list[Condition], Field(max_length=16, json_schema_extra=_BY_TYPE)] = []
    """Ready, and Reconciling or Stalled while they are true."""


class RunStatus(Status):
    """Of a resource that runs stages."""

    phase: Phase | None = None
    """One word for people; programs read the conditions."""
    current_stage: Annotated[str, Field(max_length=253)] | None = None
    """The stage that runs or waits."""
    run_id: Annotated[str, Field(max_length=253)] | None = None
    """The run in the store."""
    attempt: Annotated[int, Field(ge=0)] | None = None
    """Attempt of the current stage."""
    stages: Annotated[list[StageStatus], Field(max_length=256, json_schema_extra=_BY_NAME)] = []
    """All stages in their order."""
    progress: Progress | None = None
    """Of the current stage."""
    usage: Usage | None = None
    """So far."""
    scores: Annotated[list[Score], Field(max_length=1024, json_schema_extra={"x-kubernetes-list-type": "atomic"})] = []
    """Measured values."""
    score: Decimal | None = None
    """The student's accuracy on the first suite, or the debate's."""
    outputs: Annotated[list[Output], Field(max_length=64, json_schema_extra=_BY_NAME)] = []
    """Artifacts for others."""
    started_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None = None
    """When the run began."""
    completed_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None = None
    """When it ended."""
    requested_at: Annotated[str, Field(max_length=253)] | None = None
    """The annotation agentark.dev/requestedAt that this run obeys."""
    runs: Annotated[list[PastRun], Field(max_length=32, json_schema_extra={"x-kubernetes-list-type": "atomic"})] = []
    """Earlier runs, newest first."""


class ReleaseStatus(Status):
    """Of a ModelRelease."""

    current: Version | None = None
    """The version to serve."""
    versions: Annotated[list[Version], Field(max_length=256, json_schema_extra=_BY_VERSION)] = []
    """The newest 256, newest last."""
    pinned_version: Annotated[int, Field(ge=1)] | None = None
    """What spec.currentVersion has pinned in the store; when the field goes, so does the pin."""


def status_schema(kind: str) -> dict[str, Any]:
    """The JSON schema of a kind's status."""
    model = ReleaseStatus if kind == "ModelRelease" else RunStatus
    return model.model_json_schema(by_alias=True)
