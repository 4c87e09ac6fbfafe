"""What each round of the debates did: accuracy, agreement, answers corrected and answers harmed.

Tallied record by record, so that a debate over any number of questions is measured in one pass over its shards.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from agentark.debate.protocol import vote
from agentark.debate.transcript import Record, Turn
from agentark.tasks import Policy, equal


@dataclass(frozen=True, slots=True)
class RoundScore:
    """One round over all questions; a question that ended before it stays as it was left.

    The rates are between 0 and 1 and over all questions, so that they can be compared from round to round.
    """

    round: int
    """Index, from 0."""
    held: int
    """Questions that were debated in this round."""
    agent_accuracy: float
    """Mean share of the agents that are right."""
    vote_accuracy: float
    """Share of questions where the answer with most votes is right, the first agent's among equals."""
    agreement: float
    """Share of questions where all agents give one answer."""
    agreement_accuracy: float
    """Share of these where it is right; 0 where nobody agrees."""
    corrected: int
    """Agents wrong (or without an answer) in the round before and right in this one."""
    wrong_before: int
    """Agents of held questions wrong in the round before."""
    harmed: int
    """Agents right in the round before and wrong in this one."""
    right_before: int
    """Agents of held questions right in the round before."""
    truncated: int
    """Replies of this round cut at the token limit."""


@dataclass(slots=True)
class _Sums:
    questions: int = 0
    agents_right: float = 0.0
    votes_right: int = 0
    agreed: int = 0
    agreed_right: int = 0

    def add(self, other: "_Sums") -> None:
        self.questions += other.questions
        self.agents_right += other.agents_right
        self.votes_right += other.votes_right
        self.agreed += other.agreed
        self.agreed_right += other.agreed_right


@dataclass(slots=True)
class _Moves:
    corrected: int = 0
    wrong_before: int = 0
    harmed: int = 0
    right_before: int = 0
    truncated: int = 0


@dataclass(slots=True)
class RoundTally:
    """Adds up records; `scores` may be read at any time."""

    policy: Policy
    _held: defaultdict[int, _Sums] = field(default_factory=lambda: defaultdict(_Sums))
    _ended: defaultdict[int, _Sums] = field(default_factory=lambda: defaultdict(_Sums))
    _moves: defaultdict[int, _Moves] = field(default_factory=lambda: defaultdict(_Moves))

    def add(self, record: Record) -> None:
        """Count one question's agents; its summariser is no agent."""
        rounds = agent_rounds(record)
        known: dict[str, bool] = {}
        right = [[self._right(turn, record.gold, known) for turn in turns] for turns in rounds]
        last = _Sums()
        for index, turns in enumerate(rounds):
            groups = vote(turns, self.policy)
            first_right = bool(groups) and self._right(groups[0][0], record.gold, known)
            agreed = bool(groups) and len(groups[0]) == len(turns)
            last = _Sums(1, sum(right[index]) / len(turns), first_right, agreed, agreed and first_right)
            self._held[index].add(last)
            self._moves[index].truncated += sum(turn.truncated for turn in turns)
        if rounds:
            self._ended[len(rounds)].add(last)
        for index, (before, after) in enumerate(pairwise(right), 1):
            moves = self._moves[index]
            moves.wrong_before += before.count(False)
            moves.right_before += before.count(True)
            for was, now in zip(before, after, strict=True):
                moves.corrected += now and not was
                moves.harmed += was and not now

    def scores(self) -> tuple[RoundScore, ...]:
        """Return the rounds so far, in order."""
        out = []
        carried = _Sums()
        for index in sorted(self._held):
            carried.add(self._ended.get(index, _Sums()))
            total = _Sums()
            total.add(self._held[index])
            total.add(carried)
            moves = self._moves[index]
            out.append(
                RoundScore(
                    round=index,
                    held=self._held[index].questions,
                    agent_accuracy=total.agents_right / total.questions,
                    vote_accuracy=total.votes_right / total.questions,
                    agreement=total.agreed / total.questions,
                    agreement_accuracy=total.agreed_right / total.agreed if total.agreed else 0.0,
                    corrected=moves.corrected,
                    wrong_before=moves.wrong_before,
                    harmed=moves.harmed,
                    right_before=moves.right_before,
                    truncated=moves.truncated,
                )
            )
        return tuple(out)

    def _right(self, turn: Turn, gold: str, known: dict[str, bool]) -> bool:
        # Agents repeat each other's answers: compare each spelling once a question.
        if turn.vote not in known:
            known[turn.vote] = bool(turn.vote) and equal(turn.vote, gold, self.policy)
        return known[turn.vote]


def agent_rounds(record: Record) -> list[list[Turn]]:
    """Return the agents' turns by round, then agent, without the summariser's."""
    rounds: defaultdict[int, list[Turn]] = defaultdict(list)
    for turn in record.turns:
        if turn.role == "agent":
            rounds[turn.round].append(turn)
    return [sorted(rounds[index], key=lambda turn: turn.agent) for index in sorted(rounds)]


def score_rounds(records: Iterable[Record], policy: Policy) -> tuple[RoundScore, ...]:
    """Measure every round of some debates."""
    tally = RoundTally(policy)
    for record in records:
        tally.add(record)
    return tally.scores()


def render_rounds(scores: Sequence[RoundScore]) -> str:
    """Lay rounds out as a plain-text table, one a line."""
    headings = ("round", "held", "agents right", "vote right", "all agree", "corrected", "harmed")
    widths = (5, 6, 12, 10, 9, 13, 13)
    lines = ["  ".join(heading.rjust(width) for heading, width in zip(headings, widths, strict=True))]
    for score in scores:
        corrected = f"{score.corrected} of {score.wrong_before}" if score.round else "-"
        harmed = f"{score.harmed} of {score.right_before}" if score.round else "-"
        shares = (f"{x:.1%}" for x in (score.agent_accuracy, score.vote_accuracy, score.agreement))
        cells = (str(score.round), str(score.held), *shares, corrected, harmed)
        lines.append("  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)))
    return "\n".join(lines) + "\n"
