"""Models of a run whose chat templates are tried on a question before the first one is paid for. Pure.

A debate is made for what comes after it, so its stage lists the models of all stages that live on it: what only the
training of a student would find out is found out before the debate. On a cluster the debate that a job embeds is a
resource of its own, whose plan knows the job.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from agentark.api import PAD, DebateRun, DistillJob, DistillJobSpec, PRMSpec, PRMTraining, Resource, Teacher
from agentark.planning.references import debate_field, debating
from agentark.planning.stage import Stage

Use = Literal["Debater", "Completer", "Student", "RewardModel"]


class Rehearsal(BaseModel):
    """A model, and what its chat template will have to write."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str
    field: str
    """Where the manifest names it."""
    use: Use
    """Takes part in the debate, continues solutions, is trained on single passes, or reads these to score them."""
    engine: int | None = None
    """Index among the debate's models; None for one that none of its agents asks yet."""


def rehearsals(stage: Stage, resource: Resource, others: Mapping[str, Resource]) -> list[Rehearsal]:
    """The models to try before a debate; none where the stage is no debate, or a student holds it.

    Args:
        stage: A stage of the resource's plan.
        resource: What is planned.
        others: "Kind/name" -> resources that it refers to, or that refer to it.
    """
    if stage.kind != "debate" or "model" in stage.inputs:
        return []
    found = [*_debaters(stage, debate_field(resource, stage.name, others)), *_living_on(stage, resource, others)]
    return list({(one.uri, one.use, one.engine): one for one in reversed(found)}.values())[::-1]


def _debaters(stage: Stage, field: str) -> Iterator[Rehearsal]:
    engines = stage.params["protocol"].get("engines", [])
    for index, teacher in enumerate(_teachers(stage)):
        # A template that is given to the server is not the folder's. vLLM takes options with underscores too.
        options = [arg.partition("=")[0].replace("_", "-") for arg in teacher.serving.args] if teacher.serving else []
        given = "--chat-template" in options
        if teacher.model is not None and not given:
            place = f"{field}.protocol.team[{engines.index(index)}].teacher" if index else f"{field}.teacher"
            yield Rehearsal(uri=teacher.model.uri, field=f"{place}.model", use="Debater", engine=index)


def _living_on(stage: Stage, resource: Resource, others: Mapping[str, Resource]) -> Iterator[Rehearsal]:
    if isinstance(resource, PRMTraining):
        yield from _of_prm_training(stage, resource, "")
    elif isinstance(resource, DistillJob) and stage.name.startswith("prm/"):
        yield from _of_reward_model(stage, resource.spec, others, "")
    elif isinstance(resource, DistillJob):
        yield from _of_job(stage, resource.spec, others, "")
    elif isinstance(resource, DebateRun):
        for job in debating(resource, others):
            yield from _of_job(stage, job.spec, others, f"DistillJob {job.metadata.name!r}: ")
        for other in others.values():
            reference = other.spec.debate_ref if isinstance(other, PRMTraining) else None
            if isinstance(other, PRMTraining) and reference and reference.name == resource.metadata.name:
                yield from _of_prm_training(stage, other, f"PRMTraining {other.metadata.name!r}: ")


def _of_job(stage: Stage, spec: DistillJobSpec, others: Mapping[str, Resource], owner: str) -> Iterator[Rehearsal]:
    student, field = spec.student.model.uri, f"{owner}spec.student.model"
    yield Rehearsal(uri=student, field=field, use="Student")
    if spec.evolve is not None:
        yield Rehearsal(uri=student, field=field, use="Debater")
    if spec.pad is not None and spec.pad.prm_endpoint is not None:
        weights = spec.pad.prm_endpoint.weights.uri
        yield Rehearsal(uri=weights, field=f"{owner}spec.pad.prmEndpoint.weights", use="RewardModel")
    prm = spec.prm or PRMSpec()
    if prm.debate is None and prm.debate_ref is None and spec.prm_ref is None:
        yield from _of_reward_model(stage, spec, others, owner)


def _of_reward_model(
    stage: Stage, spec: DistillJobSpec, others: Mapping[str, Resource], owner: str
) -> Iterator[Rehearsal]:
    if "PAD" not in spec.methods or not (spec.pad or PAD()).trains_prm:
        return
    named = others.get(f"PRMTraining/{spec.prm_ref.name}") if spec.prm_ref else None
    if isinstance(named, PRMTraining):
        yield from _of_prm_training(stage, named, f"PRMTraining {named.metadata.name!r}: ")
    elif spec.prm_ref is None:
        prm = spec.prm or PRMSpec()
        backbone, field = (prm.model, "spec.prm.model") if prm.model else (spec.student.model, "spec.student.model")
        yield Rehearsal(uri=backbone.uri, field=f"{owner}{field}", use="RewardModel")
        yield from _completers(stage, prm, f"{owner}spec.prm.labels")


def _of_prm_training(stage: Stage, resource: PRMTraining, owner: str) -> Iterator[Rehearsal]:
    backbone, field = resource.spec.model, f"{owner}spec.model"
    if backbone is None:
        backbone, field = _teachers(stage)[0].model, f"{debate_field(resource, stage.name, {})}.teacher.model"
    if backbone is not None:
        yield Rehearsal(uri=backbone.uri, field=field, use="RewardModel")
    yield from _completers(stage, resource.spec, f"{owner}spec.labels")


def _completers(stage: Stage, spec: PRMSpec, field: str) -> Iterator[Rehearsal]:
    teacher = _teachers(stage)[0]
    if "MonteCarlo" in spec.labels and teacher.model is not None:
        yield Rehearsal(uri=teacher.model.uri, field=field, use="Completer", engine=0)


def _teachers(stage: Stage) -> list[Teacher]:
    return [Teacher.model_validate_json(json.dumps(settings)) for settings in stage.settings["models"]]
