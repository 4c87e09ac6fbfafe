"""One released version of a model: what lies at `releases/NAME/VERSION.json`, and how it is addressed."""

import re
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from agentark.errors import InvalidInput
from agentark.release.gates import GateOutcome
from agentark.store import Store

SCHEMA_VERSION = 1
"""Version of the record's layout that this code writes and the newest it reads."""

_ADDRESS = re.compile(r"release://(?P<name>[a-z0-9]([-a-z0-9]*[a-z0-9])?)(@(?P<version>[1-9][0-9]{0,8}))?")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class ReleasedModel(_Part):
    """The weights: a folder that a stage has made. It is named, not copied."""

    path: str
    """Store path of the folder."""
    uri: str
    """Its address when it was released, for readers that know no store."""
    bytes: int = Field(ge=0)
    """Size of all its files together."""


class ReleasedScore(_Part):
    """A measured value."""

    suite: str
    subject: str
    """Who was measured: base, debate, student."""
    metric: str = "accuracy"
    value: float
    """0 to 1."""
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end."""


class UpstreamStage(_Part):
    """A stage that the model or its measurement comes from."""

    kind: str
    name: str
    key: str
    manifest: str
    """Store path of its manifest."""


class Lineage(_Part):
    """Where a version comes from."""

    run_id: str
    """The run that released it first."""
    kind: str
    """Kind of the resource that was run."""
    namespace: str
    name: str
    """Name of the resource."""
    stage_key: str
    """Key of the release stage."""
    stages: tuple[UpstreamStage, ...]
    """Everything above it, in the order of the plan."""
    pins: Mapping[str, str]
    """Address -> identity of the data sets and models that the run used."""


class VersionContent(_Part):
    """Everything about a version but its number, which the store gives."""

    name: str
    """Of the release."""
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    """Of the model's folder, as pins hold it."""
    model: ReleasedModel
    scores: tuple[ReleasedScore, ...]
    gates: tuple[GateOutcome, ...]
    lineage: Lineage
    created_at: str
    """ISO 8601 time in UTC."""
    schema_version: int = SCHEMA_VERSION


class ReleasedVersion(VersionContent):
    version: int = Field(ge=1)

    def uri_in(self, store: Store) -> str:
        """The address of the weights in the store from which the version was read.

        It differs from `model.uri` where a store was moved or copied.
        """
        return f"{store.uri}/{self.model.path}"


class Current(_Part):
    """The version to serve: what lies at `releases/NAME/current.json`."""

    version: int = Field(ge=1)
    digest: str
    """Of that version."""
    pinned: bool
    """Whether a person chose it, so that newer versions do not take its place."""


def parse_address(uri: str) -> tuple[str, int | None]:
    """The name and version of a `release://` address; None for the current version.

    Raises:
        InvalidInput: It is malformed.
    """
    match = _ADDRESS.fullmatch(uri)
    if match is None:
        raise InvalidInput(f"{uri}: write it as release://NAME or release://NAME@VERSION, such as release://math@3")
    return match["name"], int(match["version"]) if match["version"] else None
