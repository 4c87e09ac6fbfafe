"""The stages of a distillation: training data and students, one after the other."""

from agentark.api import DebateRunSpec, DistillJobSpec, Teacher, Training
from agentark.planning.building import LATER, Builder, least
from agentark.planning.evaluating import evaluations
from agentark.planning.stage import Estimate, Resources, Stage


def distill_job(builder: Builder, spec: DistillJobSpec, debate_spec: DebateRunSpec) -> None:
    """Lay out a DistillJob: debate, methods in their order, controls, evaluation, release."""
    debate = builder.debate(debate_spec, name="debate")
    base = Teacher(model=spec.student.model)
    rows = least(builder.pin(debate_spec.dataset.uri).rows, debate_spec.dataset.limit)

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
        suite.name: evaluations(builder, spec, debate_spec, suite, base, students) for suite in spec.evaluation.suites
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
            unavailable=LATER["release"],
        )


def _curate(builder: Builder, spec: DistillJobSpec, debate_spec: DebateRunSpec, debate: Stage, method: str) -> Stage:
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
        unavailable=LATER["PAD"] if method == "PAD" else "",
    )


_MACHINE_FIELDS = {"backend", "nodes", "gpusPerNode", "processesPerNode", "checkpointSteps"}


def _distill(
    builder: Builder,
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
        unavailable=LATER["PAD"] if method == "PAD" else "",
    )
