"""Rounds in which the student of the round before debates, each with a gate at its end."""

from collections.abc import Callable
from dataclasses import dataclass

from agentark.api import DebateSpec, DistillJobSpec
from agentark.errors import InvalidInput
from agentark.planning.building import Builder, debate_protocol, workers
from agentark.planning.stage import Estimate, Stage


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of training starts from."""

    debate: Stage
    start: Stage | None = None
    """Whose model is trained; None for the job's student."""
    name: str = ""
    """Part of the names of its stages; empty for the first round."""


def evolve(
    builder: Builder,
    spec: DistillJobSpec,
    debate_spec: DebateSpec,
    rows: Stage,
    student: Stage,
    train: Callable[[Round], Stage],
) -> Stage:
    """Lay out the rounds after the first, and the gates of all.

    All rounds are planned; those after a gate that turns its student away cost nothing, as their stages pass on that
    there is nothing to do.

    Args:
        builder: Collects the stages.
        spec: The job.
        debate_spec: Its debate.
        rows: Training data of the first round. Its held-out questions measure the students of all rounds, so that the
            measure does not move with those who are measured.
        student: Of the first round.
        train: Lays out the training of a round; returns its student's stage.

    Returns:
        The last gate, whose model is the best student so far.

    Raises:
        InvalidInput: Several models debate, and one student cannot stand for them.
    """
    assert spec.evolve is not None
    if len(debate_protocol(debate_spec.protocol, debate_spec.teacher)[1]) > 1:
        raise InvalidInput(
            "evolve: protocol.team names several models, and the student cannot stand for all; leave out their teachers"
        )
    gate = _gate(builder, spec, debate_spec, 1, rows, student, None)
    for number in range(2, spec.evolve.rounds + 1):
        name = f"round-{number}/"
        needs_gold = spec.curation.labels == "Gold"
        debate = builder.debate(debate_spec, name=f"debate/round-{number}", needs_gold=needs_gold, teacher=gate)
        gate = _gate(builder, spec, debate_spec, number, rows, train(Round(debate, gate, name)), gate)
    return gate


def _gate(
    builder: Builder,
    spec: DistillJobSpec,
    debate_spec: DebateSpec,
    number: int,
    rows: Stage,
    candidate: Stage,
    before: Stage | None,
) -> Stage:
    base = spec.student.model.uri
    return builder.add(
        "gate",
        f"gate/round-{number}",
        params={
            "round": number,
            **debate_spec.dataset.keyed(),
            "maxNewTokens": debate_spec.protocol.sampling.max_tokens,
        },
        inputs={"rows": rows.key, "candidate": candidate.key} | ({"before": before.key} if before else {}),
        pins={} if before else {"before": builder.pin(base).identity},
        settings={"execution": spec.execution.canonical()} | ({} if before else {"before": base}),
        resources=workers(spec.execution, shared=False),
        estimate=Estimate(gpus=spec.execution.gpus_per_worker),
    )
