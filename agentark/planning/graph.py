"""From a resource to its stages. Pure: addresses come resolved, nothing is read or written."""

from collections.abc import Mapping

from agentark.api import PAD, DebateRun, DistillJob, PRMTraining, Resource
from agentark.api.secrets import clashes
from agentark.errors import InvalidInput
from agentark.planning.building import Builder, Pins
from agentark.planning.distilling import distill_job
from agentark.planning.references import debate_field, debate_of, needs_gold, secret_keys
from agentark.planning.rehearsing import rehearsals
from agentark.planning.rewarding import reward_model, reward_model_alone, reward_model_of
from agentark.planning.stage import Plan, Stage, run_id


def plan(resource: Resource, pins: Pins, *, others: Mapping[str, Resource] | None = None) -> Plan:
    """Lay out the stages of a resource.

    Args:
        resource: A checked resource.
        pins: Address -> resolved identity of every data set and model in it (see `addresses`).
        others: "Kind/name" -> further resources of the same manifest, which references may name.

    Raises:
        InvalidInput: A reference names a resource that is not there, the kind has no stages, or Secret keys of the
            resource and of those that it names are read from one variable.
        NotPinned: An address of the resource is not among the pins.
    """
    if wrong := clashes(secret_keys(resource, others or {})):
        raise InvalidInput("; ".join(map(str, wrong)))
    builder = Builder(pins)
    if isinstance(resource, DebateRun):
        builder.debate(resource.spec, name="debate", needs_gold=needs_gold(resource, others or {}))
    elif isinstance(resource, DistillJob):
        debate = debate_of(resource, others or {})
        scored = "PAD" in resource.spec.methods and (resource.spec.pad or PAD()).trains_prm
        distill_job(builder, resource.spec, debate, reward_model_of(resource, debate, others or {}) if scored else None)
    elif isinstance(resource, PRMTraining):
        reward_model(builder, reward_model_alone(resource, others or {}))
    else:
        raise InvalidInput(f"{resource.kind} {resource.metadata.name!r} has nothing to run; only its releases are kept")
    stages = tuple(_prepared(stage, resource, others or {}, builder) for stage in builder.stages)
    used = {uri: pin for uri, pin in pins.items() if uri in builder.used}
    return Plan(
        kind=resource.kind,
        name=resource.metadata.name,
        namespace=resource.metadata.namespace,
        run_id=run_id(resource.metadata.name, stages),
        manifest=resource.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"status"}),
        pins=used,
        stages=stages,
    )


def _prepared(stage: Stage, resource: Resource, others: Mapping[str, Resource], builder: Builder) -> Stage:
    """A debate that can say where in the manifest it stands, and tries beforehand the models that live on it."""
    if stage.kind != "debate":
        return stage
    # Of what another resource names, some addresses may not be known.
    tried = [one for one in rehearsals(stage, resource, others) if one.uri in builder.pins]
    for one in tried:
        builder.pin(one.uri)
    field = debate_field(resource, stage.name, others)
    settings = {"field": field, "rehearsals": [one.model_dump() for one in tried]}
    return stage.model_copy(update={"settings": stage.settings | settings})
