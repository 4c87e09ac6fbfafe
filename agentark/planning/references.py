"""Resources of the same manifest that a resource names."""

import hashlib
from collections.abc import Mapping

from agentark.api import DebateRun, DebateSpec, DistillJob, DistillJobSpec, PRMTraining, PRMTrainingSpec, Resource
from agentark.api.secrets import NamedKey, named_keys
from agentark.errors import InvalidInput

_LONGEST_NAME = 63
"""Of a resource: it is the value of a label as well."""


def debate_of(job: DistillJob, others: Mapping[str, Resource]) -> DebateSpec:
    """The debate that a job embeds or refers to."""
    if job.spec.debate is not None:
        return job.spec.debate
    assert job.spec.debate_ref is not None  # checked by the model
    return referenced_debate(job, "debateRef", job.spec.debate_ref.name, others)


def debate_field(resource: Resource, stage: str, others: Mapping[str, Resource]) -> str:
    """Where a user finds the debate of a resource's stage: ``spec.debate``, or ``DebateRun 'name': spec``.

    Args:
        resource: Whose plan has the stage.
        stage: Its name.
        others: "Kind/name" -> resources that it refers to, or that refer to it.
    """
    spec = resource.spec
    if isinstance(resource, DebateRun):
        # What is made of a job is not what its user wrote.
        jobs = [job.metadata.name for job in debating(resource, others) if embeds(job, resource)]
        return f"DistillJob {jobs[0]!r}: spec.debate" if jobs else "spec"
    if isinstance(spec, DistillJobSpec) and stage.startswith("prm/"):
        if spec.prm_ref is not None:
            return f"PRMTraining {spec.prm_ref.name!r}: spec.debate"
        assert spec.prm is not None  # without one the reward model takes the job's own debate
        return f"DebateRun {spec.prm.debate_ref.name!r}: spec" if spec.prm.debate_ref else "spec.prm.debate"
    if isinstance(spec, DistillJobSpec | PRMTrainingSpec):
        return f"DebateRun {spec.debate_ref.name!r}: spec" if spec.debate_ref else "spec.debate"
    return "spec"


def needs_gold(run: DebateRun, others: Mapping[str, Resource]) -> bool:
    """Whether a debate's questions need gold answers: not where a job of the manifest labels them by consensus."""
    return not any(job.spec.curation.labels == "Consensus" for job in debating(run, others))


def debating(run: DebateRun, others: Mapping[str, Resource]) -> list[DistillJob]:
    """The jobs that learn from a debate: those that refer to it, and the one that embeds it."""

    def learns(job: DistillJob) -> bool:
        if job.spec.debate_ref is not None:
            return job.spec.debate_ref.name == run.metadata.name
        return embeds(job, run)

    return [other for other in others.values() if isinstance(other, DistillJob) and learns(other)]


def embeds(job: DistillJob, run: DebateRun) -> bool:
    """Whether a debate is the one that was made of what a job embeds."""
    return job.spec.debate is not None and embedded_name(job.metadata.name, "debate") == run.metadata.name


def secret_keys(resource: Resource, others: Mapping[str, Resource]) -> list[NamedKey]:
    """The Secret keys of a resource and of those that it names, directly or by another: what its stages may read."""
    references = []
    if isinstance(resource, PRMTraining | DistillJob):
        references.append(("DebateRun", resource.spec.debate_ref))
    if isinstance(resource, DistillJob):
        references.append(("PRMTraining", resource.spec.prm_ref))
        references.append(("DebateRun", resource.spec.prm.debate_ref if resource.spec.prm else None))
    named = (others.get(f"{kind}/{reference.name}") for kind, reference in references if reference is not None)
    own = named_keys(resource, resource=f"{resource.kind} {resource.metadata.name!r}")
    return own + [key for other in named if other is not None for key in secret_keys(other, others)]


def embedded_name(job: str, part: str) -> str:
    """The name of the resource that is made, on a cluster, of what a job embeds: `debate` or `prm`.

    One that would be too long is cut, and a digest of the job's name tells it from those that begin alike.
    """
    room = _LONGEST_NAME - len(f"-{part}")
    if len(job) > room:
        digest = hashlib.sha256(job.encode()).hexdigest()[:8]
        job = f"{job[: room - len(digest) - 1].rstrip('-')}-{digest}"
    return f"{job}-{part}"


def referenced_debate(owner: Resource, field: str, name: str, others: Mapping[str, Resource]) -> DebateSpec:
    """The debate of another resource of the manifest.

    Raises:
        InvalidInput: There is none of that name.
    """
    found = others.get(f"DebateRun/{name}")
    if not isinstance(found, DebateRun):
        raise _missing(owner, field, "DebateRun", name, others, embed=field.replace("debateRef", "debate"))
    return found.spec


def referenced_prm(owner: Resource, name: str, others: Mapping[str, Resource]) -> PRMTraining:
    """Another PRMTraining of the manifest.

    Raises:
        InvalidInput: There is none of that name.
    """
    found = others.get(f"PRMTraining/{name}")
    if not isinstance(found, PRMTraining):
        raise _missing(owner, "prmRef", "PRMTraining", name, others, embed="prm")
    return found


def _missing(
    owner: Resource, field: str, kind: str, name: str, others: Mapping[str, Resource], *, embed: str
) -> InvalidInput:
    there = ", ".join(sorted(key.split("/")[1] for key in others if key.startswith(f"{kind}/"))) or "none"
    return InvalidInput(
        f"{owner.kind} {owner.metadata.name!r}: spec.{field} names {kind} {name!r}, which is not in this"
        f" manifest (there: {there}); add it as a further document or embed it as spec.{embed}"
    )
