"""One subject of an evaluation: a model, a vote or a debate, with its answers to all questions and what they cost."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from agentark.debate.transcript import Record
from agentark.errors import InvalidInput
from agentark.statistics import Interval, mean_interval
from agentark.tasks import Policy, equal

_NAMED = 5  # question ids named in an error


@dataclass(frozen=True, slots=True)
class Subject:
    """Who answered."""

    name: str
    """Unique within a comparison, for machines."""
    label: str
    """What a reader sees, for example "student, single pass"."""
    records: Iterable[Record]
    """Its answers; read once, one at a time."""
    samples: int = 1
    """Records it has of each question, >= 1: more than one where decoding is sampled repeatedly."""
    wall_s: float = 0.0
    """Seconds in which all its answers were made on this machine; 0 where nobody measured."""


@dataclass(frozen=True, slots=True)
class SubjectScore:
    """How well a subject did, and its mean cost per answered question."""

    name: str
    label: str
    decoding: Literal["Greedy", "Sampled"]
    """Greedy if every turn was decoded at temperature 0."""
    n: int
    """Questions."""
    samples: int
    """Answers to each question."""
    correct: float
    """Questions answered right; with several samples each counts as the fraction that is right."""
    accuracy: float
    """``correct / n``, 0..1."""
    interval: Interval
    """95 % interval of the accuracy: Wilson's, widened or narrowed for several samples as `mean_interval` says."""
    unanswered: float
    """Share of answers that are missing: none found, or cut at the token limit; they count as wrong. 0..1."""
    prompt_tokens: float
    completion_tokens: float
    calls: float
    """Requests to engines."""
    latency_s: float
    """Seconds on the critical path: the slowest request of each round, rounds one after the other."""
    busy_s: float
    """Seconds of all requests added up."""
    seconds: float
    """Seconds of the machine: `Subject.wall_s` per answer, or `latency_s` where it was not measured. Batched engines
    answer many questions at once, so this can be far below the latency."""
    per_question: Mapping[str, float]
    """Score by question id, 0..1."""

    @property
    def tokens(self) -> float:
        """Prompt and completion tokens per question."""
        return self.prompt_tokens + self.completion_tokens


def score(subject: Subject, policy: Policy) -> SubjectScore:
    """Grade a subject's final answers and average their costs.

    Args:
        subject: Its records, in any order.
        policy: How answers are compared with the gold column.

    Raises:
        InvalidInput: If there is no record, or a question does not have exactly ``subject.samples`` of them.
    """
    right: defaultdict[str, int] = defaultdict(int)
    seen: Counter[str] = Counter()
    unanswered = prompt = completion = calls = 0
    latency = busy = 0.0
    greedy = True
    for record in subject.records:
        seen[record.id] += 1
        right[record.id] += bool(record.answer) and equal(record.answer, record.gold, policy)
        unanswered += not record.answer
        prompt += record.prompt_tokens
        completion += record.completion_tokens
        calls += record.calls
        latency += critical_path_s(record)
        busy += sum(turn.latency_s for turn in record.turns if turn.sample == 0)
        greedy = greedy and all(turn.temperature == 0 for turn in record.turns)
    _refuse_uneven(subject, seen)
    total = seen.total()
    per_question = {question: right[question] / subject.samples for question in seen}
    correct = sum(right.values()) / subject.samples
    return SubjectScore(
        name=subject.name,
        label=subject.label,
        decoding="Greedy" if greedy else "Sampled",
        n=len(seen),
        samples=subject.samples,
        correct=correct,
        accuracy=correct / len(seen),
        interval=mean_interval(list(per_question.values()), samples=subject.samples),
        unanswered=unanswered / total,
        prompt_tokens=prompt / total,
        completion_tokens=completion / total,
        calls=calls / total,
        latency_s=latency / total,
        busy_s=busy / total,
        seconds=subject.wall_s / total if subject.wall_s else latency / total,
        per_question=per_question,
    )


def critical_path_s(record: Record) -> float:
    """Return the seconds that a question takes when all requests of a round run at once."""
    slowest: defaultdict[int, float] = defaultdict(float)
    for turn in record.turns:
        slowest[turn.round] = max(slowest[turn.round], turn.latency_s)
    return sum(slowest.values())


def split_samples(records: Iterable[Record]) -> Iterator[Record]:
    """Take independent samples (round 0) apart into single passes, each with the cost it would have had alone.

    So the votes of a self-consistency also give the accuracy of one sampled pass, without another request.
    """
    for record in records:
        alone = [turn for turn in record.turns if turn.role == "agent" and turn.round == 0]
        requests = {turn.seed: turn.prompt_tokens for turn in alone if turn.sample == 0}
        for turn in alone:
            prompt_tokens = requests[turn.seed]
            single = turn.model_copy(update={"agent": 0, "sample": 0, "samples": 1, "prompt_tokens": prompt_tokens})
            yield record.model_copy(
                update={
                    "strategy": "SinglePass",
                    "agents": 1,
                    "roles": record.roles[turn.agent : turn.agent + 1],
                    "turns": (single,),
                    "rounds": 1,
                    "consensus": bool(turn.vote),
                    "answer": turn.vote,
                    "solution": turn.solution if turn.vote else "",
                    "decided_by": "Single" if turn.vote else "None",
                    "calls": 1,
                    "prompt_tokens": prompt_tokens,
                    "completion_tokens": turn.completion_tokens,
                }
            )


def refuse_different_questions(scores: Iterable[SubjectScore]) -> None:
    """Make sure that subjects answered the same questions.

    Raises:
        InvalidInput: If one lacks a question that another has; names both and the questions.
    """
    first, *others = scores
    for other in others:
        missing, extra = first.per_question.keys() - other.per_question, other.per_question.keys() - first.per_question
        if missing or extra:
            parts = [f"{who} lacks {_named(ids)}" for who, ids in ((other.name, missing), (first.name, extra)) if ids]
            raise InvalidInput(
                f"{first.name} ({first.n} questions) and {other.name} ({other.n}) did not answer the same questions: "
                f"{'; '.join(parts)}; run the failed questions again, or evaluate both on the questions they share"
            )


def _refuse_uneven(subject: Subject, seen: Counter[str]) -> None:
    if subject.samples < 1:
        raise InvalidInput(f"{subject.name}: samples is {subject.samples}; accepted: 1 or more")
    if not seen:
        raise InvalidInput(f"{subject.name}: no records to score; did its evaluation run, and on which questions?")
    uneven = {question for question, count in seen.items() if count != subject.samples}
    if uneven:
        sizes = sorted({seen[question] for question in uneven})
        raise InvalidInput(
            f"{subject.name}: expected {subject.samples} record(s) of each question, found "
            f"{' or '.join(map(str, sizes))} of {_named(uneven)}; give each question's records exactly once"
        )


def _named(ids: Iterable[str]) -> str:
    ordered = sorted(ids)
    more = f" and {len(ordered) - _NAMED} more" if len(ordered) > _NAMED else ""
    return ", ".join(map(repr, ordered[:_NAMED])) + more
