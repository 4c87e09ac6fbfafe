"""Records of debates, written down reply by reply."""

from collections.abc import Callable, Sequence

import pytest

from agentark.debate.prompts import split_reply
from agentark.debate.transcript import MessageRef, Record, Turn
from agentark.tasks import Policy, extract

MARKER = "Step 1:"


def _turn(agent: int, round_index: int, reply: str, policy: Policy) -> Turn:
    truncated = reply.endswith("<cut>")
    text = reply.removesuffix("<cut>")
    critique, solution = split_reply(text, MARKER)
    return Turn(
        agent=agent,
        round=round_index,
        role="agent",
        model="m",
        messages=(MessageRef(role="user", template="solve"),),
        text=text,
        reasoning="",
        critique=critique,
        solution=solution,
        answer=extract(solution, policy) or "",
        finish_reason="length" if truncated else "stop",
        truncated=truncated,
        prompt_tokens=10,
        completion_tokens=5,
        latency_s=1.0,
        temperature=0.8,
        top_p=1.0,
        top_k=0,
        max_tokens=64,
        seed=100 * round_index + agent,
        sample=0,
        samples=1,
    )


@pytest.fixture
def make_record() -> Callable[..., Record]:
    """Make a record from the agents' replies round by round; a reply that ends in "<cut>" hit the token limit."""

    def make(
        question_id: str,
        gold: str,
        rounds: Sequence[Sequence[str]],
        *,
        question: str = "",
        policy: Policy = Policy(kind="number"),
    ) -> Record:
        turns = tuple(
            _turn(agent, index, reply, policy) for index, row in enumerate(rounds) for agent, reply in enumerate(row)
        )
        last = turns[-1]
        return Record(
            id=question_id,
            question=question or f"Question {question_id}?",
            gold=gold,
            strategy="Debate",
            agents=len(rounds[0]),
            roles=("",) * len(rounds[0]),
            turns=turns,
            rounds=len(rounds),
            consensus=False,
            answer=last.vote,
            solution=last.solution,
            decided_by="Majority",
            calls=len(turns),
            prompt_tokens=10 * len(turns),
            completion_tokens=5 * len(turns),
        )

    return make
