"""The stages of a process reward model: solutions split into labelled steps, and the model trained on them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentark.api import DebateSpec, DistillJob, Model, MonteCarlo, PRMSpec, PRMTraining, Resource, decimal_text
from agentark.errors import InvalidInput
from agentark.planning.building import Builder, debate_protocol, endpoint_identity, workers
from agentark.planning.references import referenced_debate, referenced_prm
from agentark.planning.stage import Estimate, Resources, Stage

HELD_OUT_FRACTION = 0.1


@dataclass(frozen=True, slots=True)
class RewardModel:
    """Everything that a process reward model is made of, references resolved."""

    spec: PRMSpec
    debate: DebateSpec
    backbone: Model
    held_out: float
    """Part of the questions that it is measured on."""
    consensus: float | None = None
    """Least part of the agents whose common answer counts as right; None where gold answers do."""


def reward_model_alone(resource: PRMTraining, others: Mapping[str, Resource]) -> RewardModel:
    """The model of a PRMTraining that stands for itself.

    Raises:
        InvalidInput: It has no debate, or no weights to start from.
    """
    spec, name = resource.spec, resource.metadata.name
    if spec.debate is None and spec.debate_ref is None:
        raise InvalidInput(f"PRMTraining {name!r}: give spec.debate or spec.debateRef")
    debate = spec.debate or referenced_debate(
        resource, "debateRef", spec.debate_ref.name if spec.debate_ref else "", others
    )
    backbone = spec.model or debate.teacher.model
    if backbone is None:
        raise InvalidInput(
            f"PRMTraining {name!r}: the debate's teacher is a server, so there are no weights to start from; give "
            "spec.model"
        )
    return RewardModel(spec, debate, backbone, spec.held_out_fraction or HELD_OUT_FRACTION)


def reward_model_of(job: DistillJob, debate: DebateSpec, others: Mapping[str, Resource]) -> RewardModel:
    """The model that a job embeds or refers to; by default one trained on the job's debate, from its student.

    Raises:
        InvalidInput: A reference names nothing, or a model that was trained on what the job holds out.
    """
    held_out = job.spec.curation.held_out_fraction
    if job.spec.prm_ref is not None:
        found = reward_model_alone(referenced_prm(job, job.spec.prm_ref.name, others), others)
        if found.held_out < held_out:
            raise InvalidInput(
                f"DistillJob {job.metadata.name!r}: PRMTraining {job.spec.prm_ref.name!r} holds out "
                f"{found.held_out:g} of the questions and curation.heldOutFraction is {held_out:g}, so it is trained "
                f'on questions that this job holds out; set its spec.heldOutFraction to "{held_out:g}" or more'
            )
        return found
    spec = job.spec.prm or PRMSpec()
    if spec.debate is not None:
        debate = spec.debate
    elif spec.debate_ref is not None:
        debate = referenced_debate(job, "prm.debateRef", spec.debate_ref.name, others)
    fraction = spec.held_out_fraction or held_out or HELD_OUT_FRACTION
    curation = job.spec.curation
    consensus = curation.consensus_threshold if curation.labels == "Consensus" else None
    return RewardModel(spec, debate, spec.model or job.spec.student.model, fraction, consensus)


def reward_model(builder: Builder, model: RewardModel, *, debate_name: str = "debate") -> Stage:
    """Lay out debate, steps and training; returns the stage whose output is the model."""
    debate = builder.debate(model.debate, name=debate_name, needs_gold=model.consensus is None)
    spec = model.spec
    training = spec.training
    return builder.add(
        "prm",
        "prm",
        params=spec.keyed("PRM"),
        inputs={"steps": _steps(builder, model, debate).key},
        pins={"model": builder.pin(model.backbone.uri).identity},
        settings={"model": model.backbone.uri, "checkpointSteps": training.checkpoint_steps},
        resources=Resources(
            nodes=training.nodes,
            gpus_per_node=training.gpus_per_node,
            processes_per_node=training.processes,
            backend=training.backend,
        ),
        estimate=Estimate(gpus=training.nodes * training.gpus_per_node),
    )


def _steps(builder: Builder, model: RewardModel, debate: Stage) -> Stage:
    spec = model.spec
    labelling = spec.keyed("Labels")
    pins: dict[str, str] = {}
    settings: dict[str, Any] = {}
    protocol, teachers = debate_protocol(model.debate.protocol, model.debate.teacher)
    if "MonteCarlo" in spec.labels:
        teacher = teachers[0]
        drawing = (spec.monte_carlo or MonteCarlo()).keyed()
        labelling["monteCarlo"] = drawing | {"maxTokens": protocol["sampling"]["maxTokens"]}
        pins["completer"] = builder.teacher_identity(teacher)
        settings["models"] = [teacher.canonical()]
    if spec.judge is not None:
        pins["judge"] = endpoint_identity(spec.judge)
        settings["judge"] = spec.judge.canonical()
    if settings:
        settings["execution"] = spec.execution.canonical()
    if model.consensus is not None:
        labelling["consensusThreshold"] = decimal_text(model.consensus)
    return builder.add(
        "steps",
        "steps",
        params={
            **model.debate.dataset.keyed(),
            "prompts": model.debate.protocol.prompts.keyed(),
            "heldOutFraction": decimal_text(model.held_out),
            "seed": model.debate.protocol.seed,
            **labelling,
        },
        inputs={"debate": debate.key},
        pins=pins,
        settings=settings,
        resources=workers(spec.execution, shared=False),
        estimate=Estimate(gpus=spec.execution.gpus_per_worker),
    )
