"""Teachers whose weights the operator serves: which stages ask them, and where. Pure.

On a laptop a teacher given by `model` runs in the process that asks it. On a cluster vLLM serves it, once for all
resources of the namespace that ask for the same; pods get a plan in which its address stands in the weights' place.
That is a setting and no part of a key.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from agentark.api import PAD, DebateRun, DebateSpec, DistillJob, PRMTraining, Resource, Serving, Teacher
from agentark.planning import Plan, Stage
from agentark.planning.references import debate_of
from agentark.planning.rewarding import reward_model_alone, reward_model_of
from agentark_operator.teachers.serving import teacher_name, teacher_url


@dataclass(frozen=True, slots=True)
class Served:
    """A teacher that the cluster serves."""

    name: str
    """Of its Deployment and Service."""
    uri: str
    """Address of the weights."""
    identity: str
    """What that stood for when the run began."""
    serving: Serving

    @property
    def model(self) -> str:
        """Name of the model in requests."""
        return self.uri.rstrip("/").rsplit("/", 1)[-1].partition("@")[0]


def teachers(resource: Resource, others: Mapping[str, Resource], plan: Plan) -> dict[str, tuple[Served, ...]]:
    """Key -> the served teachers that a stage asks; stages that ask none are left out.

    Args:
        others: "Kind/name" -> resources that it refers to.
    """
    served = {}
    for debate in _debates(resource, others):
        for teacher in [debate.teacher, *(agent.teacher for agent in debate.protocol.team if agent.teacher)]:
            if teacher.model is not None:
                serving = teacher.serving or Serving()
                identity = plan.pins[teacher.model.uri].identity
                name = teacher_name(identity, serving)
                served[teacher.model.uri] = Served(name, teacher.model.uri, identity, serving)
    asked = {stage.key: tuple(served[uri] for uri in _asked(stage) if uri in served) for stage in plan.stages}
    return {key: used for key, used in asked.items() if used}


def addressed(plan: Plan, used: Mapping[str, Sequence[Served]]) -> Plan:
    """The plan as pods are to read it: served teachers by their address.

    Args:
        used: As `teachers` gives them.
    """
    if not used:
        return plan
    served = chain.from_iterable(used.values())
    urls = {teacher.uri: (teacher_url(teacher.name, plan.namespace), teacher.model) for teacher in served}
    stages = tuple(_addressed(stage, urls) if stage.key in used else stage for stage in plan.stages)
    return plan.model_copy(update={"stages": stages})


def _addressed(stage: Stage, urls: Mapping[str, tuple[str, str]]) -> Stage:
    def model(entry: dict[str, Any]) -> dict[str, Any]:
        uri = (entry.get("model") or {}).get("uri", "")
        if uri not in urls:
            return entry
        url, name = urls[uri]
        return Teacher.model_validate({"endpoint": {"baseUrl": url, "model": name}}).canonical()

    settings = {**stage.settings, "models": [model(entry) for entry in stage.settings["models"]]}
    return stage.model_copy(update={"settings": settings})


def _asked(stage: Stage) -> Iterator[str]:
    for entry in stage.settings.get("models") or ():
        if entry.get("model"):
            yield entry["model"]["uri"]


def _debates(resource: Resource, others: Mapping[str, Resource]) -> Iterator[DebateSpec]:
    if isinstance(resource, DebateRun):
        yield resource.spec
    elif isinstance(resource, PRMTraining):
        yield reward_model_alone(resource, others).debate
    elif isinstance(resource, DistillJob):
        debate = debate_of(resource, others)
        yield debate
        if "PAD" in resource.spec.methods and (resource.spec.pad or PAD()).trains_prm:
            yield reward_model_of(resource, debate, others).debate
