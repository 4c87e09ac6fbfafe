"""The traces of one debate: who was right when, verified by the grader, and which of them mended a wrong solution."""

from collections.abc import Sequence
from dataclasses import dataclass

from agentark.api import Prompts
from agentark.debate.rounds import agent_rounds
from agentark.debate.transcript import Record, Turn
from agentark.tasks import Policy, grade
from agentark.tasks.critiques import PeerNames, number_of, turning_critique


@dataclass(frozen=True, slots=True)
class Trace:
    """One agent's solution of one round."""

    agent: int
    round: int
    solution: str
    truncated: bool
    filtered: bool
    """A content filter ended the reply, or it is a refusal; `solution` is empty then."""
    correct: bool
    """The grader finds the gold answer in `solution`, and the reply was not cut off."""
    final: bool
    """Of the last round."""
    corrective: bool
    """Correct, where the same agent was wrong the round before."""
    attempt: str
    """The agent's solution of the round before if this trace is corrective and that one was not cut off, else empty."""
    first_attempt: str
    """The agent's solution of the first round if this trace is corrective and that one was wrong and not cut off."""
    critique: str
    """What named the fault of `attempt`, in the models' words; empty if nobody did."""
    peer_critique: bool
    """A peer named the fault as well."""


class Verifier:
    """Grades the traces of debates."""

    def __init__(self, prompts: Prompts, policy: Policy) -> None:
        """Grade under `policy`; `prompts` are those of the debate."""
        self._policy = policy
        self.names = PeerNames(prompts.peer)

    def traces(self, record: Record) -> list[Trace]:
        """Return all agents' traces by round, then agent."""
        rounds = agent_rounds(record)
        known: dict[str, bool] = {}
        right = [
            [not turn.truncated and self.right(turn.solution, record.gold, known) for turn in turns] for turns in rounds
        ]
        return [
            self._trace(rounds, right, index, agent)
            for index, turns in enumerate(rounds)
            for agent in range(len(turns))
        ]

    def right(self, text: str, gold: str, known: dict[str, bool] | None = None) -> bool:
        """Grade a text; `known` remembers verdicts of one question, because agents repeat each other."""
        if known is None:
            return grade(text, gold, self._policy).correct
        if text not in known:
            known[text] = grade(text, gold, self._policy).correct
        return known[text]

    def _trace(
        self, rounds: Sequence[Sequence[Turn]], right: Sequence[Sequence[bool]], index: int, agent: int
    ) -> Trace:
        turn = rounds[index][agent]
        corrective = index > 0 and right[index][agent] and not right[index - 1][agent]
        attempt = first_attempt = critique = ""
        peers: list[str] = []
        if corrective:
            before = rounds[index - 1][agent]
            attempt = "" if before.truncated else before.solution
            first = rounds[0][agent]
            first_attempt = "" if first.truncated or right[0][agent] else first.solution
            for peer in rounds[index]:
                if peer.agent != agent:
                    peers += self.names.faults_of(number_of(agent, peer.agent), peer.critique)
            critique = turning_critique(self.names, turn.critique, peers)
        return Trace(
            agent=agent,
            round=index,
            solution=turn.solution,
            truncated=turn.truncated,
            filtered=turn.finish_reason == "filtered",
            correct=right[index][agent],
            final=index == len(rounds) - 1,
            corrective=corrective,
            attempt=attempt,
            first_attempt=first_attempt,
            critique=critique,
            peer_critique=bool(peers),
        )
