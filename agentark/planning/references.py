"""Resources of the same manifest that a resource names."""

from collections.abc import Mapping

from agentark.api import DebateRun, DebateRunSpec, DistillJob, Resource
from agentark.errors import InvalidInput


def debate_of(job: DistillJob, others: Mapping[str, Resource]) -> DebateRunSpec:
    """The debate that a job embeds or refers to."""
    if job.spec.debate is not None:
        return job.spec.debate
    assert job.spec.debate_ref is not None  # checked by the model
    return referenced_debate(job, "debateRef", job.spec.debate_ref.name, others)


def referenced_debate(owner: Resource, field: str, name: str, others: Mapping[str, Resource]) -> DebateRunSpec:
    """The debate of another resource of the manifest.

    Raises:
        InvalidInput: There is none of that name.
    """
    found = others.get(f"DebateRun/{name}")
    if not isinstance(found, DebateRun):
        there = ", ".join(sorted(key.split("/")[1] for key in others if key.startswith("DebateRun/"))) or "none"
        raise InvalidInput(
            f"{owner.kind} {owner.metadata.name!r}: spec.{field} names DebateRun {name!r}, which is not in this"
            f" manifest (there: {there}); add it as a further document or embed it as spec.debate"
        )
    return found.spec
