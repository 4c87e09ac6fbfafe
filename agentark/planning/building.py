"""Stages are collected here, each with its key; an equal stage is laid out once."""

from collections.abc import Mapping
from typing import Any

from agentark.api import Dataset, DebateSpec, Endpoint, Execution, Protocol, Teacher
from agentark.planning.stage import Estimate, Pin, Resources, Stage, StageKind, stage_key

Pins = Mapping[str, Pin]
"""Address -> what it was resolved to."""


class NotPinned(LookupError):
    """A spec names an address that was not resolved beforehand."""


class Builder:
    """Collects stages; an equal stage is laid out once."""

    def __init__(self, pins: Pins) -> None:
        self.pins = pins
        self.stages: list[Stage] = []
        self.used: set[str] = set()

    def pin(self, uri: str) -> Pin:
        """What an address stands for; it is listed with the plan.

        Raises:
            NotPinned: It was not resolved.
        """
        self.used.add(uri)
        pin = self.pins.get(uri)
        if pin is None:
            raise NotPinned(f"{uri} is not resolved; pass its pin")
        return pin

    def add(
        self,
        kind: StageKind,
        name: str,
        *,
        params: dict[str, Any],
        inputs: dict[str, str] | None = None,
        pins: dict[str, str] | None = None,
        settings: dict[str, Any] | None = None,
        resources: Resources | None = None,
        estimate: Estimate | None = None,
    ) -> Stage:
        """Add a stage and give it back; one that is already there as it is."""
        inputs, pins = inputs or {}, pins or {}
        key = stage_key(kind, params=params, inputs=inputs, pins=pins)
        known = next((stage for stage in self.stages if stage.key == key), None)
        if known is not None:
            return known
        stage = Stage(
            kind=kind,
            name=name,
            key=key,
            params=params,
            inputs=inputs,
            pins=pins,
            settings=settings or {},
            resources=resources or Resources(),
            estimate=estimate or Estimate(),
        )
        self.stages.append(stage)
        return stage

    def answering(
        self,
        kind: StageKind,
        name: str,
        *,
        dataset: Dataset,
        protocol: dict[str, Any],
        teachers: list[Teacher],
        execution: Execution,
        inputs: dict[str, str] | None = None,
        calls_per_question: int | None = None,
        needs_gold: bool = True,
    ) -> Stage:
        """A stage that puts a set of questions to models: a debate, or one subject of an evaluation."""
        data = self.pin(dataset.uri)
        pins = {"dataset": data.identity}
        for index, teacher in enumerate(teachers):
            pins[f"model{index}"] = self.teacher_identity(teacher)
        questions = least(data.rows, dataset.limit)
        calls = None if questions is None or calls_per_question is None else questions * calls_per_question
        longest = int(protocol["sampling"]["maxTokens"])
        return self.add(
            kind,
            name,
            params={**dataset.keyed(), "limit": dataset.limit, "protocol": protocol},
            inputs=inputs,
            pins=pins,
            settings={
                "dataset": dataset.uri,
                "models": [teacher.canonical() for teacher in teachers],
                "execution": execution.canonical(),
                "needsGold": needs_gold,
            },
            resources=workers(execution),
            estimate=Estimate(
                calls=calls,
                completion_tokens=None if calls is None else calls * longest,
                gpus=execution.workers * execution.gpus_per_worker,
            ),
        )

    def debate(self, spec: DebateSpec, *, name: str, needs_gold: bool = True, teacher: Stage | None = None) -> Stage:
        """The stage in which the questions are debated.

        Args:
            spec: The debate.
            name: Of the stage.
            needs_gold: Questions without gold answers are refused.
            teacher: Stage whose model debates, in the place of the spec's teacher.
        """
        protocol, teachers = debate_protocol(spec.protocol, spec.teacher)
        return self.answering(
            "debate",
            name,
            dataset=spec.dataset,
            protocol=protocol,
            teachers=[] if teacher else teachers,
            inputs={"model": teacher.key} if teacher else None,
            execution=spec.execution,
            calls_per_question=most_calls(spec.protocol),
            needs_gold=needs_gold,
        )

    def teacher_identity(self, teacher: Teacher) -> str:
        """What a teacher is known by in keys."""
        if teacher.model is not None:
            return self.pin(teacher.model.uri).identity
        assert teacher.endpoint is not None  # one of the two, checked by the model
        return endpoint_identity(teacher.endpoint)


def workers(execution: Execution, *, shared: bool = True) -> Resources:
    """The pods of a stage that asks models; one where it cannot be shared."""
    return Resources(nodes=execution.workers if shared else 1, gpus_per_node=execution.gpus_per_worker)


def endpoint_identity(endpoint: Endpoint) -> str:
    """A server is known by its address and the name of the model it serves."""
    return f"endpoint:{endpoint.base_url.rstrip('/')}#{endpoint.model}"


def debate_protocol(protocol: Protocol, teacher: Teacher) -> tuple[dict[str, Any], list[Teacher]]:
    """The protocol as parameters, with each agent's engine as an index into the list of distinct models."""
    params = protocol.keyed()
    teachers = [teacher]
    engines = []
    for agent in protocol.team:
        own = agent.teacher or teacher
        # How weights are served does not tell two models apart.
        alike = (index for index, known in enumerate(teachers) if _unserved(known) == _unserved(own))
        engines.append(next(alike, len(teachers)))
        if engines[-1] == len(teachers):
            teachers.append(own)
    if protocol.team:
        params |= {"roles": [agent.role for agent in protocol.team], "engines": engines}
    if protocol.type == "SinglePass":
        params |= {"agents": 1, "rounds": 1}
    elif protocol.type == "SelfConsistency":
        params |= {"rounds": 1}
    return params, teachers


def _unserved(teacher: Teacher) -> Teacher:
    return teacher.model_copy(update={"serving": None})


def most_calls(protocol: Protocol) -> int:
    """Most replies per question; a summariser comes on top where ties are broken by one."""
    if protocol.type == "SinglePass":
        return 1
    if protocol.type == "SelfConsistency":
        return protocol.agents
    return protocol.agents * protocol.rounds + (protocol.tie == "Summariser")


def least(*numbers: int | None) -> int | None:
    """The least of the numbers that are known; None where none is."""
    known = [number for number in numbers if number is not None]
    return min(known) if known else None
