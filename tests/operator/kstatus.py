"""What kstatus makes of a resource, and with it Flux, Argo CD and `helm --wait`."""

from collections.abc import Mapping
from typing import Any, Literal

Health = Literal["InProgress", "Current", "Failed", "Terminating"]


def health(resource: Mapping[str, Any]) -> Health:
    """What kstatus, and with it Flux, Argo CD and `helm --wait`, make of a resource.

    The order is that of kstatus: deletion, an older generation, Reconciling, Stalled, Ready.
    """
    metadata, status = resource["metadata"], resource.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    if "observedGeneration" in status and status["observedGeneration"] != metadata.get("generation"):
        return "InProgress"
    conditions = {condition["type"]: condition["status"] for condition in status.get("conditions", ())}
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    if conditions.get("Ready", "True") != "True":
        return "InProgress"
    return "Current"
