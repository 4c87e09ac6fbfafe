"""Records of debates, written down by their answers alone."""

from collections.abc import Callable, Sequence

import pytest

from agentark.debate.transcript import MessageRef, Record, Turn

MakeRecord = Callable[..., Record]


def _turn(agent: int, round_index: int, answer: str, temperature: float, seconds: float) -> Turn:
    return Turn(
        agent=agent,
        round=round_index,
        role="agent",
        model="m",
        messages=(MessageRef(role="user", template="solve"),),
        text=f"The answer is \\boxed{{{answer}}}",
        reasoning="",
        critique="",
        solution=f"The answer is \\boxed{{{answer}}}",
        answer=answer.rstrip("!"),
        finish_reason="length" if answer.endswith("!") else "stop",
        truncated=answer.endswith("!"),
        prompt_tokens=10 + round_index,
        completion_tokens=5,
        latency_s=seconds,
        temperature=temperature,
        top_p=1.0,
        top_k=0,
        max_tokens=64,
        seed=100 * round_index + agent,
        sample=0,
        samples=1,
    )


@pytest.fixture
def make_record() -> MakeRecord:
    """Make a record from the agents' answers round by round: "" is none, a final "!" means cut at the token limit."""

    def make(
        question_id: str,
        gold: str,
        rounds: Sequence[Sequence[str]],
        *,
        final: str | None = None,
        temperature: float = 0.0,
        seconds: Sequence[Sequence[float]] | None = None,
    ) -> Record:
        turns = tuple(
            _turn(agent, index, answer, temperature, seconds[index][agent] if seconds else 1.0)
            for index, answers in enumerate(rounds)
            for agent, answer in enumerate(answers)
        )
        answer = rounds[-1][0] if final is None else final
        return Record(
            id=question_id,
            question=f"Question {question_id}?",
            gold=gold,
            strategy="SinglePass" if len(turns) == 1 else "Debate",
            agents=len(rounds[0]),
            roles=("",) * len(rounds[0]),
            turns=turns,
            rounds=len(rounds),
            consensus=len(set(rounds[-1])) == 1,
            answer=answer,
            solution=f"The answer is \\boxed{{{answer}}}" if answer else "",
            decided_by="Single" if len(turns) == 1 else "Majority",
            calls=len(turns),
            prompt_tokens=sum(turn.prompt_tokens for turn in turns),
            completion_tokens=sum(turn.completion_tokens for turn in turns),
        )

    return make
