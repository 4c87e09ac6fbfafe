"""Whether a student may be released: its gates, held against the answers to the same questions. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentark.api import Gate
from agentark.errors import InvalidInput
from agentark.statistics import mcnemar_exact

Answers = Mapping[str, bool]
"""Question id -> whether it was answered right."""

STUDENT = "student"
"""Subject that is to be released: the student after distillation."""
REFERENCES = {"student": "base", "debate": "debate"}
"""`minGainOver` -> the subject that is meant: the student before distillation is the evaluation's base."""
_WORDS = {"student": "the student before distillation", "debate": "the debate"}


@dataclass(frozen=True, slots=True)
class Gain:
    """The student against another subject on the same questions."""

    over: str
    """`student` (before distillation) or `debate`."""
    value: float
    """Accuracy of the other subject, 0 to 1."""
    gained: int
    """Questions that only the student answers right."""
    lost: int
    """Questions that only the other subject answers right."""
    p: float
    """How often two equally good subjects would differ this much (McNemar's exact test, two-sided)."""
    significance: float
    """Largest p at which the gain counts."""


@dataclass(frozen=True, slots=True)
class GateOutcome:
    """What a gate asks for, what was found, and whether that is enough."""

    suite: str
    metric: str
    questions: int
    value: float
    """The student's accuracy, 0 to 1."""
    min_value: float | None
    """Least value that is asked for; None for none."""
    gain: Gain | None
    """Against the subject that it must be better than; None where none is named."""
    passed: bool
    """Whether everything that the gate asks for is met."""
    failures: tuple[str, ...]
    """What is not met, each with by how much; empty when the gate is passed."""


def subjects_of(gate: Gate) -> tuple[str, ...]:
    """The subjects whose answers a gate needs."""
    return (STUDENT,) if gate.min_gain_over is None else (STUDENT, REFERENCES[gate.min_gain_over])


def hold(gate: Gate, answers: Mapping[str, Answers]) -> GateOutcome:
    """Hold a gate against the answers of its suite.

    Args:
        gate: What is asked for.
        answers: Subject -> its answers, for all `subjects_of` the gate.

    Raises:
        InvalidInput: There are no answers, or two subjects did not answer the same questions.
    """
    student = answers[STUDENT]
    if not student:
        raise InvalidInput(f"gate on suite {gate.suite!r}: the student answered no question; give the suite questions")
    # A quotient of two integers and a decimal text are both rounded once, so that 27 of 30 is "0.9".
    value = sum(student.values()) / len(student)
    failures = []
    least = gate.min_value
    if least is not None and value < least:
        failures.append(f"accuracy {value:.3f} is {least - value:.3f} below minValue {gate.min_value:g}")
    gain = None
    if gate.min_gain_over is not None:
        gain = _gain(gate, gate.min_gain_over, student, answers[REFERENCES[gate.min_gain_over]])
        failures += _short_of(gain, value)
    return GateOutcome(gate.suite, gate.metric, len(student), value, least, gain, not failures, tuple(failures))


def gate_line(outcome: GateOutcome) -> str:
    """A gate's figures and verdict in one line."""
    found = f"{outcome.suite}: accuracy {outcome.value:.3f} on {outcome.questions:,} questions"
    if outcome.gain is not None:
        found += f", {_against(outcome.gain, outcome.value)}"
    return f"{found}: " + ("passed" if outcome.passed else f"FAILED, {'; '.join(outcome.failures)}")


def refusal(outcomes: Sequence[GateOutcome]) -> str:
    """Why a student is not released, in one line; empty where all gates are passed."""
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if not failed:
        return ""
    reasons = "; ".join(f"{outcome.suite}: {', '.join(outcome.failures)}" for outcome in failed)
    return f"not released, gates failed: {len(failed)} of {len(outcomes)}: {reasons}"


def _gain(gate: Gate, over: str, student: Answers, other: Answers) -> Gain:
    if student.keys() != other.keys():
        raise InvalidInput(
            f"gate on suite {gate.suite!r}: the student ({len(student)} questions) and {_WORDS[over]} ({len(other)}) "
            "did not answer the same questions; run the failed ones again"
        )
    gained = sum(student[question] and not other[question] for question in student)
    lost = sum(other[question] and not student[question] for question in student)
    p = mcnemar_exact(lost, gained)
    return Gain(over, sum(other.values()) / len(other), gained, lost, p, gate.significance)


def _short_of(gain: Gain, value: float) -> list[str]:
    """What a gain lacks. A loss is never a gain, however significant it is."""
    if gain.gained <= gain.lost:
        return [f"no gain: {_against(gain, value)}"]
    if gain.p > gain.significance:
        return [f"the gain may be luck: {_against(gain, value)}, above significance {gain.significance:g}"]
    return []


def _against(gain: Gain, value: float) -> str:
    points = 100 * (value - gain.value)
    p = "p < 0.0001" if gain.p < 0.0001 else f"p = {gain.p:.2g}"
    return f"{points:+.1f} points over {_WORDS[gain.over]} ({gain.gained} gained, {gain.lost} lost, {p})"
