"""Released models: the gates a student must pass, versions that stay, and which of them is the current one.

Knows the resources' gates and stores only, so that planning, the operator and stages alike can ask it.
"""

from agentark.release.gates import GateOutcome, gate_line, hold, refusal, subjects_of
from agentark.release.publication import promote, publish
from agentark.release.registry import (
    VersionList,
    list_releases,
    list_versions,
    read_current,
    read_release,
    release_with,
)
from agentark.release.version import (
    Current,
    Lineage,
    ReleasedModel,
    ReleasedScore,
    ReleasedVersion,
    UpstreamStage,
    VersionContent,
    parse_address,
)

__all__ = [
    "Current",
    "GateOutcome",
    "Lineage",
    "ReleasedModel",
    "ReleasedScore",
    "ReleasedVersion",
    "UpstreamStage",
    "VersionContent",
    "VersionList",
    "gate_line",
    "hold",
    "list_releases",
    "list_versions",
    "parse_address",
    "promote",
    "publish",
    "read_current",
    "read_release",
    "refusal",
    "release_with",
    "subjects_of",
]
