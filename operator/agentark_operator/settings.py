"""What the operator is told by its environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """How the operator runs."""

    store: str = ""
    """Store of resources that name none; without one they have to."""
    store_endpoint: str = ""
    """Its S3 server."""
    store_region: str = ""
    """Its region."""
    namespaces: tuple[str, ...] = ()
    """Namespaces to look after; none means all, and needs a cluster role."""
    address: str = "0.0.0.0:8080"
    """HOST:PORT of /metrics, /healthz and /readyz."""
    workers: int = 8
    """Resources worked on at once; each pass blocks a thread for its calls."""
    resync_s: float = 300.0
    """Longest time between two passes over a resource that has not ended, in seconds."""


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from AGENTARK_STORE, AGENTARK_STORE_ENDPOINT, AGENTARK_STORE_REGION, AGENTARK_NAMESPACES (with commas)
    and AGENTARK_ADDRESS.
    """
    names = environment.get("AGENTARK_NAMESPACES", "")
    return Settings(
        store=environment.get("AGENTARK_STORE", ""),
        store_endpoint=environment.get("AGENTARK_STORE_ENDPOINT", ""),
        store_region=environment.get("AGENTARK_STORE_REGION", ""),
        namespaces=tuple(name.strip() for name in names.split(",") if name.strip()),
        address=environment.get("AGENTARK_ADDRESS", "") or "0.0.0.0:8080",
    )
