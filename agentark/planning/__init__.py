"""From a manifest to a graph of stages with content-addressed keys; torch-free, used by CLI and operator alike."""

from agentark.planning.addresses import addresses
from agentark.planning.building import NotPinned
from agentark.planning.graph import plan
from agentark.planning.keeping import keep_plan, parsed_plan, read_plan
from agentark.planning.pinning import Listing, pin_addresses, pin_model
from agentark.planning.recording import run_record
from agentark.planning.stage import STAGE_VERSIONS, Estimate, Pin, Plan, Resources, Stage, canonical_json, stage_key

__all__ = [
    "STAGE_VERSIONS",
    "Estimate",
    "Listing",
    "NotPinned",
    "Pin",
    "Plan",
    "Resources",
    "Stage",
    "addresses",
    "canonical_json",
    "keep_plan",
    "parsed_plan",
    "pin_addresses",
    "pin_model",
    "plan",
    "read_plan",
    "run_record",
    "stage_key",
]
