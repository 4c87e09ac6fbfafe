"""From a resource to its stages. Pure: addresses come resolved, nothing is read or written."""

from collections.abc import Mapping
from typing import Any

from agentark.api import (
    Dataset,
    DebateRun,
    DebateRunSpec,
    DistillJob,
    DistillJobSpec,
    Endpoint,
    Execution,
    Model,
    ModelRelease,
    PRMTraining,
    Protocol,
    Resource,
    Suite,
    Teacher,
    Training,
)
from agentark.errors import InvalidInput
from agentark.planning.stage import Estimate, Pin, Plan, Resources, Stage, StageKind, run_id, stage_key

Pins = Mapping[str, Pin]

_LATER = {
    "PAD": "PAD (process rewards) is not available in this version; RSFT, DA and AnswerOnly are",
    "PRMTraining": "PRMTraining is not available in this version",
    "release": "the release stage is not available in this version; remove 'release' to run the rest",
}


def plan(resource: Resource, pins: Pins, *, others: Mapping[str, Resource] | None = None) -> Plan:
    """Lay out the stages of a resource.

    Args:
        resource: A checked resource.
        pins: Address -> resolved identity of every data set and model in it (see `addresses`).
        others: "Kind/name" -> further resources of the same manifest, which references may name.

    Raises:
        InvalidInput: A reference names a resource that is not there, or the kind has no stages.
    """
    builder = _Builder(pins)
    if isinstance(resource, DebateRun):
        builder.debate(resource.spec, name="debate")
    elif isinstance(resource, DistillJob):
        _distill_job(builder, resource.spec, _debate_of(resource, others or {}))
    elif isinstance(resource, PRMTraining):
        _prm_training(builder, resource, others or {})
    else:
        raise InvalidInput(f"{resource.kind} {resource.metadata.name!r} has nothing to run; only its releases are kept")
    stages = tuple(builder.stages)
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


def _debate_of(job: DistillJob, others: Mapping[str, Resource]) -> DebateRunSpec:
    if job.spec.debate is not None:
        return job.spec.debate
    assert job.spec.debate_ref is not None  # checked by the model
    return _referenced(job, "debateRef", job.spec.debate_ref.name, others)


def _referenced(owner: Resource, field: str, name: str, others: Mapping[str, Resource]) -> DebateRunSpec:
    found = others.get(f"DebateRun/{name}")
    if not isinstance(found, DebateRun):
        there = ", ".join(sorted(key.split("/")[1] for key in others if key.startswith("DebateRun/"))) or "none"
        raise InvalidInput(
            f"{owner.kind} {owner.metadata.name!r}: spec.{field} names DebateRun {name!r}, which is not in this"
            f" manifest (there: {there}); add it as a further document or embed it as spec.debate"
        )
    return found.spec


def addresses(resource: Resource) -> tuple[list[Dataset], list[Model]]:
    """All data sets and all models whose identity a plan needs."""
    if isinstance(resource, ModelRelease):
        return [], []
    spec = resource.spec
    debate = spec if isinstance(spec, DebateRunSpec) else spec.debate
    datasets: list[Dataset] = []
    models: list[Model] = []
    if debate is not None:
        datasets.append(debate.dataset)
        teachers = [debate.teacher, *(agent.teacher for agent in debate.protocol.team if agent.teacher)]
        models += [teacher.model for teacher in teachers if teacher.model]
    if isinstance(spec, DistillJobSpec):
        datasets += [suite.dataset for suite in spec.evaluation.suites]
        models.append(spec.student.model)
    elif isinstance(resource, PRMTraining) and resource.spec.model is not None:
        models.append(resource.spec.model)
    return datasets, models


class _Builder:
    """Collects stages; an equal stage is laid out once."""

    def __init__(self, pins: Pins) -> None:
        self.pins = pins
        self.stages: list[Stage] = []
        self.used: set[str] = set()

    def pin(self, uri: str) -> Pin:
        self.used.add(uri)
        return self.pins[uri]

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
        unavailable: str = "",
    ) -> Stage:
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
            unavailable=unavailable,
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
    ) -> Stage:
        """A stage that puts a set of questions to models: a debate, or one subject of an evaluation."""
        data = self.pin(dataset.uri)
        pins = {"dataset": data.identity}
        for index, teacher in enumerate(teachers):
            pins[f"model{index}"] = self._teacher_identity(teacher)
        questions = _least(data.rows, dataset.limit)
        calls = None if questions is None or calls_per_question is None else questions * calls_per_question
        longest = int(protocol["sampling"]["maxTokens"])
        return self.add(
            kind,
            name,
            params={"task": dataset.task, "limit": dataset.limit, "protocol": protocol},
            inputs=inputs,
            pins=pins,
            settings={
                "dataset": dataset.uri,
                "models": [_teacher_settings(teacher) for teacher in teachers],
                "execution": execution.canonical(),
            },
            estimate=Estimate(calls=calls, completion_tokens=None if calls is None else calls * longest),
        )

    def debate(self, spec: DebateRunSpec, *, name: str) -> Stage:
        protocol, teachers = _protocol(spec.protocol, spec.teacher)
        return self.answering(
            "debate",
            name,
            dataset=spec.dataset,
            protocol=protocol,
            teachers=teachers,
            execution=spec.execution,
            calls_per_question=_calls(spec.protocol),
        )

    def _teacher_identity(self, teacher: Teacher) -> str:
        if teacher.model is not None:
            return self.pin(teacher.model.uri).identity
        assert teacher.endpoint is not None  # one of the two, checked by the model
        return endpoint_identity(teacher.endpoint)


def endpoint_identity(endpoint: Endpoint) -> str:
    """A server is known by its address and the name of the model it serves."""
    return f"endpoint:{endpoint.base_url.rstrip('/')}#{endpoint.model}"


def _teacher_settings(teacher: Teacher) -> dict[str, Any]:
    return teacher.canonical()


def _protocol(protocol: Protocol, teacher: Teacher) -> tuple[dict[str, Any], list[Teacher]]:
    """The protocol as parameters, with each agent's engine as an index into the list of distinct models."""
    params = protocol.canonical()
    team = params.pop("team")
    teachers = [teacher]
    engines = []
    for agent in protocol.team:
        own = agent.teacher or teacher
        if own not in teachers:
            teachers.append(own)
        engines.append(teachers.index(own))
    if team:
        params |= {"roles": [agent["role"] for agent in team], "engines": engines}
    if protocol.type == "SinglePass":
        params |= {"agents": 1, "rounds": 1}
    elif protocol.type == "SelfConsistency":
        params |= {"rounds": 1}
    return params, teachers


def _calls(protocol: Protocol) -> int:
    """Most replies per question; a summariser comes on top where ties are broken by one."""
    if protocol.type == "SinglePass":
        return 1
    if protocol.type == "SelfConsistency":
        return protocol.agents
    return protocol.agents * protocol.rounds + (protocol.tie == "Summariser")


def _least(*numbers: int | None) -> int | None:
    known = [number for number in numbers if number is not None]
    return min(known) if known else None


def _prm_training(builder: _Builder, resource: PRMTraining, others: Mapping[str, Resource]) -> None:
    spec = resource.spec
    if spec.debate is None and spec.debate_ref is None:
        raise InvalidInput(f"PRMTraining {resource.metadata.name!r}: give spec.debate or spec.debateRef")
    debate_spec = spec.debate or _referenced(
        resource, "debateRef", spec.debate_ref.name if spec.debate_ref else "", others
    )
    debate = builder.debate(debate_spec, name="debate")
    builder.add(
        "prm",
        "prm",
        params={"loss": spec.loss, "temperature": spec.temperature, "labels": list(spec.labels)},
        inputs={"debate": debate.key},
        unavailable=_LATER["PRMTraining"],
    )


def _distill_job(builder: _Builder, spec: DistillJobSpec, debate_spec: DebateRunSpec) -> None:
    debate = builder.debate(debate_spec, name="debate")
    base = Teacher(model=spec.student.model)
    rows = _least(builder.pin(debate_spec.dataset.uri).rows, debate_spec.dataset.limit)

    def curate(method: str) -> Stage:
        return _curate(builder, spec, debate_spec, debate, method)

    def distill(method: str, data: Stage, before: Stage | None, prefix: str = "distill") -> Stage:
        return _distill(builder, spec, debate_spec, method, data, before, rows, f"{prefix}/{method}")

    student: Stage | None = None
    for method in spec.methods:
        student = distill(method, curate(method), student)
    assert student is not None  # at least one method, checked by the model
    students = {"student": student}
    for control, name in (("OwnAnswers", "own-answers"), ("AnswerOnly", "answer-only")):
        if control in spec.evaluation.controls:
            students[name] = distill(control, curate(control), None, "control")
    compared = {
        suite.name: _evaluations(builder, spec, debate_spec, suite, base, students) for suite in spec.evaluation.suites
    }
    compare = builder.add(
        "compare",
        "compare",
        params={
            "suites": {
                suite.name: {"task": suite.dataset.task, "limit": suite.dataset.limit}
                for suite in spec.evaluation.suites
            },
            "subjects": {suite: list(subjects) for suite, subjects in compared.items()},
            "seed": spec.evaluation.seed,
        },
        inputs={
            f"{suite}/{subject}": stage.key
            for suite, subjects in compared.items()
            for subject, stage in subjects.items()
        },
    )
    if spec.release is not None:
        builder.add(
            "release",
            "release",
            params=spec.release.canonical(),
            inputs={"compare": compare.key, "model": student.key},
            unavailable=_LATER["release"],
        )


def _curate(builder: _Builder, spec: DistillJobSpec, debate_spec: DebateRunSpec, debate: Stage, method: str) -> Stage:
    suites = spec.evaluation.suites
    curation = spec.curation.canonical()
    if method != "DA":
        curation.pop("maxTraces")
    return builder.add(
        "curate",
        f"curate/{method}",
        params={
            "method": method,
            "task": debate_spec.dataset.task,
            "prompts": debate_spec.protocol.prompts.canonical(),
            "seed": debate_spec.protocol.seed,
            "suites": {suite.name: {"task": suite.dataset.task, "limit": suite.dataset.limit} for suite in suites},
            **curation,
        },
        inputs={"debate": debate.key},
        pins={f"suite:{suite.name}": builder.pin(suite.dataset.uri).identity for suite in suites},
        settings={"suites": {suite.name: suite.dataset.uri for suite in suites}},
        unavailable=_LATER["PAD"] if method == "PAD" else "",
    )


_MACHINE_FIELDS = {"backend", "nodes", "gpusPerNode", "processesPerNode", "checkpointSteps"}


def _distill(
    builder: _Builder,
    spec: DistillJobSpec,
    debate_spec: DebateRunSpec,
    method: str,
    data: Stage,
    before: Stage | None,
    questions: int | None,
    name: str,
) -> Stage:
    training: Training = spec.training
    params = {key: value for key, value in training.canonical().items() if key not in _MACHINE_FIELDS}
    traces = spec.curation.max_traces if method == "DA" else 1
    rows = None if questions is None else int(questions * traces * float(training.epochs))
    student = spec.student.model.uri
    return builder.add(
        "distill",
        name,
        params={
            "training": params,
            "task": debate_spec.dataset.task,
            "maxNewTokens": debate_spec.protocol.sampling.max_tokens,
        },
        inputs={"rows": data.key} | ({"model": before.key} if before else {}),
        pins={} if before else {"model": builder.pin(student).identity},
        settings={"checkpointSteps": training.checkpoint_steps} | ({} if before else {"model": student}),
        resources=Resources(
            nodes=training.nodes,
            gpus_per_node=training.gpus_per_node,
            processes_per_node=training.processes,
            backend=training.backend,
        ),
        estimate=Estimate(training_rows=rows, gpus=training.nodes * training.gpus_per_node),
        unavailable=_LATER["PAD"] if method == "PAD" else "",
    )


def _evaluations(
    builder: _Builder,
    spec: DistillJobSpec,
    debate_spec: DebateRunSpec,
    suite: Suite,
    base: Teacher,
    students: dict[str, Stage],
) -> dict[str, Stage]:
    """Subject -> stage, the base first, in the order of the table."""
    debate_protocol, teachers = _protocol(debate_spec.protocol, debate_spec.teacher)
    common = {"prompts": debate_protocol["prompts"], "seed": spec.evaluation.seed}
    greedy = {"type": "SinglePass", "agents": 1, "rounds": 1, **common}
    greedy["sampling"] = debate_protocol["sampling"] | {"temperature": "0"}
    sampled = greedy | {"sampling": debate_protocol["sampling"]}
    controls = set(spec.evaluation.controls)
    found: dict[str, Stage] = {}

    def answer(subject: str, **arguments: Any) -> None:
        found[subject] = builder.answering(
            "evaluate",
            f"evaluate/{suite.name}/{subject}",
            dataset=suite.dataset,
            execution=arguments.pop("execution", spec.execution),
            **arguments,
        )

    single = {"Greedy": ("", greedy), "Sampled": ("-sampled", sampled)}
    for decoding in ("Greedy", "Sampled"):
        # The base's own single passes are also what self-consistency is sized by, so one of them always runs.
        if decoding in spec.evaluation.decoding:
            suffix, protocol = single[decoding]
            answer(f"base{suffix}", protocol=protocol, teachers=[base], calls_per_question=1)
    reference = next(iter(found.values()))
    discussion = debate_protocol | common
    if "Debate" in controls:
        answer(
            "debate",
            protocol=discussion,
            teachers=teachers,
            execution=debate_spec.execution,
            calls_per_question=_calls(debate_spec.protocol),
        )
    if "SelfConsistency" in controls:
        voting = {"type": "SelfConsistency", "rounds": 1, "sampling": debate_protocol["sampling"], **common}
        if "Debate" in controls:
            voting |= {"agents": "EqualTokens"}
            inputs = {"debate": found["debate"].key, "single": reference.key}
        else:
            voting |= {"agents": debate_spec.protocol.agents * debate_spec.protocol.rounds}
            inputs = {}
        answer("self-consistency", protocol=voting, teachers=[base], inputs=inputs)
    if "SelfReview" in controls:
        answer(
            "self-review",
            protocol=discussion | {"peers": "Own"},
            teachers=teachers,
            execution=debate_spec.execution,
            calls_per_question=_calls(debate_spec.protocol),
        )
    for name, stage in students.items():
        for decoding in ("Greedy", "Sampled"):
            if decoding in spec.evaluation.decoding and (name == "student" or decoding == spec.evaluation.decoding[0]):
                suffix, protocol = single[decoding]
                answer(
                    f"{name}{suffix}", protocol=protocol, teachers=[], inputs={"model": stage.key}, calls_per_question=1
                )
    return found
