"""From a manifest to a graph of stages with content-addressed keys; torch-free, used by CLI and operator alike."""

from agentark.planning.addresses import addresses
from agentark.planning.graph import plan
from agentark.planning.pinning import pin_addresses
from agentark.planning.recording import run_record
from agentark.planning.stage import STAGE_VERSIONS, Estimate, Pin, Plan, Resources, Stage, canonical_json, stage_key

__all__ = [
    "STAGE_VERSIONS",
    "Estimate",
    "Pin",
    "Plan",
    "Resources",
    "Stage",
    "addresses",
    "canonical_json",
    "pin_addresses",
    "plan",
    "run_record",
    "stage_key",
]
