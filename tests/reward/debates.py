"""Small debates to label."""

from agentark.llm import Message
from agentark.reward.labels import Discussion, Turn
from agentark.reward.labels.discussions import Candidate

RIGHT = "Step 1: 3 + 4 = 7\nStep 2: 7 * 2 = 14\nThe answer is \\boxed{14}"
SLIPPED = "Step 1: 3 + 4 = 7\nStep 2: 7 * 2 = 15\nThe answer is \\boxed{15}"
EARLY = "Step 1: 3 + 4 = 8\nStep 2: 8 * 2 = 16\nThe answer is \\boxed{16}"
UNKNOWN = "Step 1: 9 - 2 = 7\nStep 2: 7 * 2 = 14\nThe answer is \\boxed{15}"


def turn(agent: int, number: int, solution: str, critique: str = "", *, complete: bool = True) -> Turn:
    return Turn(
        agent=agent,
        round=number,
        solution=solution,
        critique=critique,
        correct=solution.endswith("{14}"),
        complete=complete,
        answer=solution.partition("{")[2].rstrip("}"),
    )


def discussion(*turns: Turn, gold: str | None = "14", name: str = "q1") -> Discussion:
    return Discussion(name, (Message("user", "Three and four, doubled?"),), gold, turns)


def lines(text: Candidate) -> list[str]:
    return [text.words(step) for step in text.steps]
