"""What a debate came to: who was right, who agreed, and which replies could not count."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agentark.debate.transcript import Record, Turn
from agentark.tasks import Policy, equal, reference

WARNED_SHARE = 0.2
"""A larger share of replies that cannot count is a fault of the setting rather than of single questions."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Sums over the records of a debate; rates are between 0 and 1."""

    questions: int
    with_gold: int
    """Questions whose gold answer the data set gives."""
    agents_right: float | None
    """Mean share of the agents that end right, over questions with gold; None without any."""
    vote_right: float | None
    """Share of the questions with gold whose final answer is right; None without any."""
    agreement: float
    """Share of the questions on which all agents end with one answer."""
    replies: int
    """All turns, summarisers' included."""
    cut: int
    """Replies that reached the token limit."""
    empty: int
    """Replies that ended by themselves without any visible text."""
    filtered: int
    """Replies that a content filter ended, and refusals."""

    @property
    def uncounted(self) -> int:
        """Replies that are cut, empty or filtered, so that they cannot vote."""
        return self.cut + self.empty + self.filtered


def outcome_of(records: Iterable[Record], policy: Policy) -> Outcome:
    """Add up what became of every question, one record in memory at a time."""
    questions = with_gold = votes_right = agreed = 0
    agents_right = 0.0
    ends = {"": 0, "cut": 0, "empty": 0, "filtered": 0}
    for record in records:
        questions += 1
        agreed += record.consensus
        for turn in record.turns:
            ends[_end(turn)] += 1
        if record.gold.strip():
            with_gold += 1
            last = record.last_turns()
            right = _right({record.answer, *(turn.vote for turn in last)}, record.gold, policy)
            votes_right += right[record.answer]
            agents_right += sum(right[turn.vote] for turn in last) / len(last)
    return Outcome(
        questions=questions,
        with_gold=with_gold,
        agents_right=agents_right / with_gold if with_gold else None,
        vote_right=votes_right / with_gold if with_gold else None,
        agreement=agreed / questions if questions else 0.0,
        replies=sum(ends.values()),
        cut=ends["cut"],
        empty=ends["empty"],
        filtered=ends["filtered"],
    )


def warning_of(outcome: Outcome, *, failed: int, max_tokens: int, field: str, model_field: str) -> str:
    """Say what to mend where more than a fifth of the replies could not count; empty where fewer are.

    Args:
        outcome: Of a debate.
        failed: Its questions without a record, which are said beside the replies.
        max_tokens: Its longest reply.
        field: Place of the debate in its manifest, for example ``spec.debate``.
        model_field: Place of the model that answered.
    """
    if outcome.uncounted <= WARNED_SHARE * outcome.replies:
        return ""
    mends = (
        (outcome.cut, f"cut at {max_tokens:,} tokens (raise {field}.protocol.sampling.maxTokens)"),
        (
            outcome.empty,
            f"empty (see whether the server of {model_field} keeps answers as reasoning or tool calls, or name "
            "another model there)",
        ),
        (
            outcome.filtered,
            f"filtered or refused (name another model in {model_field}, or leave such questions out of "
            f"{field}.dataset)",
        ),
    )
    causes = "; ".join(f"{count:,} {mend}" for count, mend in mends if count)
    share = outcome.uncounted / outcome.replies
    beside = f"; {failed:,} questions failed" if failed else ""
    return f"{outcome.uncounted:,} of {outcome.replies:,} replies ({share:.0%}) could not count: {causes}{beside}"


def _end(turn: Turn) -> str:
    if turn.finish_reason == "filtered":
        return "filtered"
    if not turn.complete:
        return "cut"
    return "" if turn.text.strip() else "empty"


def _right(answers: Iterable[str], gold: str, policy: Policy) -> Mapping[str, bool]:
    """Answer -> whether it is right; agents repeat each other, so each spelling is compared once."""
    target = reference(gold, policy)
    return {answer: bool(answer) and equal(answer, target, policy) for answer in answers}
