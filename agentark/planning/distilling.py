"""The stages of a distillation: training data and students, one after the other."""

import functools
from typing import Any

from agentark.api import PAD, DebateSpec, DistillJobSpec, Teacher, Training
from agentark.errors import InvalidInput
from agentark.planning.building import Builder, least
from agentark.planning.evaluating import evaluations
from agentark.planning.evolving import Round, evolve
from agentark.planning.rewarding import RewardModel, reward_model
from agentark.planning.stage import Estimate, Resources, Stage


def distill_job(builder: Builder, spec: DistillJobSpec, debate_spec: DebateSpec, rewards: RewardModel | None) -> None:
    """Lay out a DistillJob: debate, methods in their order, further rounds, controls, evaluation, release.

    Args:
        builder: Collects the stages.
        spec: The job.
        debate_spec: Its debate, references resolved.
        rewards: The process reward model that PAD needs; None where nothing scores steps, or a server does.

    Raises:
        InvalidInput: The debate cannot give a method anything to learn.
    """
    protocol = debate_spec.protocol
    if "DPO" in spec.methods and (protocol.type != "Debate" or protocol.rounds < 2):
        raise InvalidInput(
            "methods: DPO learns from answers that agents mend in later rounds, but the debate is of type "
            f"{protocol.type} with {protocol.rounds} round(s); take type Debate with two rounds or more"
        )
    debate = builder.debate(debate_spec, name="debate", needs_gold=spec.curation.labels == "Gold")
    base = Teacher(model=spec.student.model)
    rows = least(builder.pin(debate_spec.dataset.uri).rows, debate_spec.dataset.limit)
    own_debate = rewards is None or rewards.debate == debate_spec
    prm = reward_model(builder, rewards, debate_name="debate" if own_debate else "prm/debate") if rewards else None

    def train(pad: PAD, turn: Round, prefix: str = "distill") -> Stage:
        student = turn.start
        for method in spec.methods:
            data = _curate(builder, spec, debate_spec, turn.debate, method, turn.name)
            name = f"{prefix}/{turn.name}{method}"
            if method == "PAD":
                student = _pad(builder, spec, debate_spec, pad, data, student, prm, rows, name)
            else:
                student = _distill(builder, spec, debate_spec, method, data, student, rows, name)
        assert student is not None  # at least one method, checked by the model
        return student

    pad = spec.pad or PAD()
    first = Round(debate)
    student = train(pad, first)
    if spec.evolve is not None:
        held_out = _curate(builder, spec, debate_spec, debate, spec.methods[0])
        student = evolve(builder, spec, debate_spec, held_out, student, functools.partial(train, pad))
    students = {"student": student}
    for control, name in (("OwnAnswers", "own-answers"), ("AnswerOnly", "answer-only")):
        if control in spec.evaluation.controls:
            data = _curate(builder, spec, debate_spec, debate, control)
            students[name] = _distill(builder, spec, debate_spec, control, data, None, rows, f"control/{control}")
    if "OutcomeOnly" in spec.evaluation.controls:
        students["outcome-only"] = train(pad.model_copy(update={"process_weight": 0.0}), first, "control")
    compared = {
        suite.name: evaluations(builder, spec, debate_spec, suite, base, students) for suite in spec.evaluation.suites
    }
    compare = builder.add(
        "compare",
        "compare",
        params={
            "suites": {
                suite.name: {**suite.dataset.keyed(), "limit": suite.dataset.limit} for suite in spec.evaluation.suites
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
            params=spec.release.keyed(),
            inputs={"compare": compare.key, "model": student.key},
        )


def _curate(
    builder: Builder, spec: DistillJobSpec, debate_spec: DebateSpec, debate: Stage, method: str, turn: str = ""
) -> Stage:
    suites = spec.evaluation.suites
    return builder.add(
        "curate",
        f"curate/{turn}{method}",
        params={
            "method": method,
            **debate_spec.dataset.keyed(),
            "prompts": debate_spec.protocol.prompts.keyed(),
            "seed": debate_spec.protocol.seed,
            "suites": {suite.name: {"task": suite.dataset.task, "limit": suite.dataset.limit} for suite in suites},
            **spec.curation.keyed(method, spec.curation.labels),
        },
        inputs={"debate": debate.key},
        pins={f"suite:{suite.name}": builder.pin(suite.dataset.uri).identity for suite in suites},
        settings={"suites": {suite.name: suite.dataset.uri for suite in suites}},
    )


def _distill(
    builder: Builder,
    spec: DistillJobSpec,
    debate_spec: DebateSpec,
    method: str,
    data: Stage,
    before: Stage | None,
    questions: int | None,
    name: str,
) -> Stage:
    training: Training = spec.training
    own = spec.settings_of(method)
    if own is not None:  # where both name a field, the method's own counts
        shared = type(own).model_fields.keys() & Training.model_fields
        training = training.model_copy(update={field: getattr(own, field) for field in shared})
    traces = spec.curation.max_traces if method == "DA" else 1
    rows = None if questions is None else int(questions * traces * training.epochs)
    student = spec.student.model.uri
    return builder.add(
        "distill",
        name,
        params={
            **({} if own is None else {"method": method, method.lower(): own.keyed()}),
            "training": training.keyed("Supervised"),
            **debate_spec.dataset.keyed(),
            "maxNewTokens": debate_spec.protocol.sampling.max_tokens,
        },
        inputs={"rows": data.key} | ({"model": before.key} if before else {}),
        pins={} if before else {"model": builder.pin(student).identity},
        settings={"checkpointSteps": training.checkpoint_steps} | ({} if before else {"model": student}),
        resources=_machines(training),
        estimate=Estimate(training_rows=rows, gpus=training.nodes * training.gpus_per_node),
    )


def _pad(
    builder: Builder,
    spec: DistillJobSpec,
    debate_spec: DebateSpec,
    pad: PAD,
    data: Stage,
    before: Stage | None,
    prm: Stage | None,
    questions: int | None,
    name: str,
) -> Stage:
    training = spec.training
    inputs = {"rows": data.key} | ({"model": before.key} if before else {})
    student = spec.student.model.uri
    pins = {} if before else {"model": builder.pin(student).identity}
    settings: dict[str, Any] = {"checkpointSteps": pad.checkpoint_steps} | ({} if before else {"model": student})
    if pad.vllm_url:
        settings["vllmUrl"] = pad.vllm_url
    if pad.needs_prm and pad.prm_endpoint is not None:
        pins["prm"] = builder.pin(pad.prm_endpoint.weights.uri).identity
        settings["prmEndpoint"] = pad.prm_endpoint.canonical()
    elif pad.needs_prm:
        assert prm is not None  # laid out wherever steps are scored without a server
        inputs["prm"] = prm.key
    answers = pad.steps // pad.iterations * pad.prompts_per_step * pad.group
    longest = pad.max_new_tokens or debate_spec.protocol.sampling.max_tokens
    return builder.add(
        "distill",
        name,
        params={
            "method": "PAD",
            "pad": pad.keyed("StepScores" if pad.needs_prm else ""),
            "training": training.keyed("PAD"),
            **debate_spec.dataset.keyed(),
            "maxNewTokens": longest,
        },
        inputs=inputs,
        pins=pins,
        settings=settings,
        resources=_machines(training),
        estimate=Estimate(
            training_rows=answers, completion_tokens=answers * longest, gpus=training.nodes * training.gpus_per_node
        ),
    )


def _machines(training: Training) -> Resources:
    return Resources(
        nodes=training.nodes,
        gpus_per_node=training.gpus_per_node,
        processes_per_node=training.processes,
        backend=training.backend,
    )
