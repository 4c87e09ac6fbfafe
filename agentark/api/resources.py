"""The custom resources: a kind, its metadata and its spec."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agentark.api.base import API_VERSION, Metadata
from agentark.api.debaterun import DebateRunSpec
from agentark.api.distilljob import DistillJobSpec
from agentark.api.modelrelease import ModelReleaseSpec
from agentark.api.prmtraining import PRMTrainingSpec


class _Resource(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    apiVersion: Literal["agentark.dev/v1alpha1"] = API_VERSION
    """Group and version."""
    metadata: Annotated[Metadata, Field(strict=False)]
    """Name, namespace, labels and annotations."""
    status: dict[str, Any] | None = None
    """Written by the operator; ignored on reading."""


class DebateRun(_Resource):
    """Several agents answer questions, read each other and answer again."""

    kind: Literal["DebateRun"] = "DebateRun"
    """The kind."""
    spec: DebateRunSpec
    """What is asked for."""


class PRMTraining(_Resource):
    """A process reward model learns which steps are right."""

    kind: Literal["PRMTraining"] = "PRMTraining"
    """The kind."""
    spec: PRMTrainingSpec
    """What is asked for."""


class DistillJob(_Resource):
    """A student learns from debates to answer in a single pass."""

    kind: Literal["DistillJob"] = "DistillJob"
    """The kind."""
    spec: DistillJobSpec
    """What is asked for."""


class ModelRelease(_Resource):
    """The published versions of a distilled model."""

    kind: Literal["ModelRelease"] = "ModelRelease"
    """The kind."""
    spec: ModelReleaseSpec
    """What is asked for."""


Resource = DebateRun | PRMTraining | DistillJob | ModelRelease
KINDS: dict[str, type[DebateRun] | type[PRMTraining] | type[DistillJob] | type[ModelRelease]] = {
    "DebateRun": DebateRun,
    "PRMTraining": PRMTraining,
    "DistillJob": DistillJob,
    "ModelRelease": ModelRelease,
}


def json_schema(kind: str) -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a kind, with the wire names of its fields."""
    return KINDS[kind].model_json_schema(by_alias=True)
