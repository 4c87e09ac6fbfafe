"""What a pass over a run knows, and what it comes to. Pure data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from agentark.api import Resource
from agentark.planning import Plan
from agentark.store import StageManifest
from agentark_operator.attempts.facts import Facts, Runs, View
from agentark_operator.attempts.workload import Owner
from agentark_operator.decide.continuation import Kept
from agentark_operator.decide.decision import Begin, Decision
from agentark_operator.informers.resources import Body, Key
from agentark_operator.metrics.endings import Ending
from agentark_operator.reasons import AnyReason
from agentark_operator.status.summary import Observed
from agentark_operator.storage.stores import Place
from agentark_operator.teachers.demand import Served

RESYNC_S = 300.0
"""Longest time between two passes over a resource that has not ended, in seconds."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """One pass over one run. Each step reads what those before it added; the fields stand in the order of the steps.

    A step that reads `plan` or `decision` before there is one fails with AssertionError.
    """

    key: Key
    body: Body
    """The resource as last seen, with the status that was last written."""
    resource: Runs
    owner: Owner
    place: Place
    related: Mapping[str, Body]
    """"Kind/name" -> other resources that count for the plan."""
    others: Mapping[str, Resource]
    """The same, parsed."""
    objects: Sequence[Body]
    """Everything in the cluster that belongs to the resource, as seen before the store was asked."""
    planned: Plan | None = None
    manifests: Mapping[str, StageManifest] = field(default_factory=dict)
    """Key -> manifest of each finished stage."""
    kept: Kept = field(default_factory=lambda: Kept({}, (), (), ""))
    """Objects and memory that belong to this run."""
    embedded: Sequence[Body] = ()
    """Resources made of what this one embeds, as seen after the store was asked: it has what they tell of as done."""
    delegated: Mapping[str, View] = field(default_factory=dict)
    """Key -> how it stands with each stage that another resource runs."""
    facts: Sequence[Facts] = ()
    """Of each stage, in the order of the plan."""
    now_s: float = 0.0
    """When it was decided, in seconds since the epoch."""
    decided: Decision | None = None
    """What to do; once it was applied, with what came of that."""
    served: Mapping[str, Sequence[Served]] = field(default_factory=dict)
    """Key -> the teachers that a stage asks and that the cluster serves."""
    stalled: tuple[AnyReason, str] | None = None
    """Reason and message of what waits for a person."""
    scores: Sequence[Mapping[str, str]] = ()
    """What the comparison measured; empty while it is not finished."""
    note: str = ""
    """What came of the release."""

    @property
    def plan(self) -> Plan:
        """The plan, once there is one."""
        assert self.planned is not None, "the step that plans comes first"
        return self.planned

    @property
    def decision(self) -> Decision:
        """The decision, once there is one."""
        assert self.decided is not None, "the step that decides comes first"
        return self.decided

    @property
    def status(self) -> Mapping[str, Any]:
        """The status as it is."""
        return self.body.get("status") or {}

    @property
    def unfinished(self) -> bool:
        """Whether a stage is not finished."""
        return any(stage.key not in self.manifests for stage in self.plan.stages)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What a pass over a run found out."""

    observed: Observed
    due_s: float | None = None
    later: str = ""
    sharing: frozenset[str] = frozenset()
    ended: Sequence[Ending] = ()
    begun: Sequence[Begin] = ()
    heard: Mapping[str, float] = field(default_factory=dict)
    """Running stage -> when it was last heard of; empty where nobody could look."""


class Outcome(NamedTuple):
    """What a pass came to."""

    status: dict[str, Any]
    """Of the resource, as it is on the server now."""
    version: str = ""
    """Of the resource, if the pass has written to it."""
    due_s: float | None = None
    """Seconds after which to look again though nothing was heard; None where only an event can change anything."""
    later: str = ""
    """What could not be asked or done, so that the pass is to be done again after a wait; the status says it too."""
    sharing: frozenset[str] = frozenset()
    """Keys of stages that another resource works on."""
    gone: bool = False
    """Whether the resource is no longer there: a watch does not tell what vanished while it was cut."""
