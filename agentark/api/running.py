"""How a run is carried out on a cluster: limits, clean-up, the pods. Nothing here is part of a stage's key."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from agentark.api.base import NOT_IN_KEY, PodTemplate, Spec
from agentark.api.secrets import clashes, named_keys
from agentark.api.sources import StoreSource

Seconds = Annotated[int, Field(ge=1, le=2**31 - 1)]

OPERATOR = "agentark.dev/operator"
"""Who looks after a resource that names nobody."""


class RunPolicy(Spec):
    """Limits of a run on a cluster, and what is left of it."""

    backoff_limit: Annotated[int, Field(ge=0, le=100)] = 3
    """Failures of its own work that a stage may have before the run fails."""
    interruption_limit: Annotated[int, Field(ge=0, le=10000)] = 20
    """Evictions, preemptions and lost nodes that a stage may have, beside failures. A pod evicted for what it wrote
    beyond its own limits failed."""
    active_deadline_seconds: Seconds | None = None
    """Longest time from the run's start to its end, in seconds; none by default. Time suspended counts."""
    pre_running_deadline_seconds: Seconds | None = None
    """Longest time that a stage's pods may wait for a node, an image or a quota, in seconds; none by default."""
    stall_timeout_seconds: Seconds = 3600
    """A stage that reports no progress for so long is stopped and started again, in seconds."""
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=2**31 - 1)] = 3600
    """Seconds until the objects of an ended run are removed; resource, status and artifacts stay."""
    history_limit: Annotated[int, Field(ge=0, le=32)] = 5
    """Earlier runs that the status lists."""
    managed_by: Annotated[str, Field(min_length=1, max_length=253)] = OPERATOR
    """Who looks after the resource; the operator leaves it alone where this is somebody else."""


class Run(Spec):
    """What every resource that runs stages has beside its task."""

    store: Annotated[StoreSource | None, NOT_IN_KEY] = None
    """Where artifacts go; the operator's setting or the folder .agentark by default."""
    suspend: Annotated[bool, NOT_IN_KEY] = False
    """Keep the run from starting, or stop it where it can go on later."""
    run_policy: Annotated[RunPolicy, NOT_IN_KEY] = RunPolicy()
    """Limits and clean-up on a cluster."""
    pods: Annotated[PodTemplate | None, NOT_IN_KEY] = None
    """Laid over the template of the pods that run stages: {metadata, spec}; their container is called "stage"."""

    @model_validator(mode="after")
    def _secrets_apart(self) -> Self:
        if wrong := clashes(named_keys(self)):
            raise ValueError("; ".join(map(str, wrong)))
        return self
