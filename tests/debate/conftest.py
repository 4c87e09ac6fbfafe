"""A scripted debate: numbers for answers, and everything that the engine was really sent."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from agentark.api import Prompts, Sampling
from agentark.debate import DebateProtocol, Record, Summary, discuss, run_questions
from agentark.llm import chat
from agentark.llm.chat import Engine, Message
from agentark.llm.testing import Answer, ScriptedEngine
from agentark.store import Store, open_store
from agentark.tasks import NUMBER, Question

PROMPTS = Prompts(
    solve="Solve {question}",
    peer="P{number}[{solution}]",
    review="Review:\n{peers}\nNow you.",
    summarise="Sum up {question}:\n{peers}",
    solution_marker="Step 1:",
)
SAMPLING = Sampling(temperature=0.5, max_tokens=50)

Run = Callable[..., Awaitable[Summary]]


class Listener:
    """A script that takes its answers from a table and keeps what it was sent.

    Args:
        replies: By (round, sample or agent's order of asking): the rows are rounds, an answer is a whole reply or a
            bare number that is made into one. A summary is the row after the last round.
    """

    def __init__(self, replies: Sequence[Sequence[Answer | int]]) -> None:
        self.sent: list[tuple[list[Message], int, int]] = []
        self._replies = [list(row) for row in replies]

    def __call__(self, messages: Sequence[Message], sampling: chat.Sampling, index: int, seed: int) -> Answer:
        last = messages[-1].content
        row = len(self._replies) - 1 if last.startswith("Sum up") else min(self._reviews(last), len(self._replies) - 1)
        self.sent.append((list(messages), index, seed))
        reply = self._replies[row].pop(0)
        return f"Step 1: \\boxed{{{reply}}}" if isinstance(reply, int) else reply

    def _reviews(self, last: str) -> int:
        """Round of a request: round 0 is popped whole before round 1 is asked for, and so on."""
        if last.startswith("Solve"):
            return 0
        return next(index for index, row in enumerate(self._replies) if index and row)


@pytest.fixture
def question() -> Question:
    """A question with braces that no template may touch."""
    return Question(id="q1", text="What is {peers} + 1?", gold="7")


@pytest.fixture
def hold(question: Question) -> Callable[..., Awaitable[Record]]:
    """Hold a debate of scripted replies; keywords go to the protocol."""

    async def run(listener: Listener | Sequence[Engine], **protocol: Any) -> Record:
        engines = [ScriptedEngine(listener)] if isinstance(listener, Listener) else listener
        settings = {"agents": 3, "prompts": PROMPTS, "sampling": SAMPLING, "seed": 5} | protocol
        return await discuss(question, protocol=DebateProtocol(**settings), engines=engines, policy=NUMBER)

    return run


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store in a folder."""
    return open_store(str(tmp_path / "store"))


def disagreeing(messages: Sequence[Message], _: chat.Sampling, index: int, seed: int) -> str:
    """Answer so that some debates agree at once, some later and some never."""
    rounds = sum(message.role == "assistant" for message in messages)
    return f"checked {rounds}\nStep 1: \\boxed{{{(seed // 7 + index) % (3 - rounds)}}}"


def many(count: int) -> list[Question]:
    """Questions q0, q1, ..."""
    return [Question(id=f"q{number}", text=f"What is {number}?", gold="0") for number in range(count)]


@pytest.fixture
def run(store: Store, tmp_path: Path) -> Run:
    """Run questions with small settings; keywords replace them."""

    async def start(questions: Iterable[Question], engine: Engine, **settings: Any) -> Summary:
        arguments: dict[str, Any] = {
            "protocol": DebateProtocol(agents=3, prompts=PROMPTS, sampling=SAMPLING, seed=3),
            "engines": [engine],
            "policy": NUMBER,
            "store": store,
            "prefix": "debates/one",
            "journal": tmp_path / "journal",
            "concurrency": 8,
            "shard_size": 4,
            "on_progress": lambda done, failed, calls: None,
            "stop": asyncio.Event(),
        }
        return await run_questions(questions, **(arguments | settings))

    return start


def contents(store: Store) -> dict[str, bytes]:
    """Every object of a store."""
    return {entry.path: store.read(entry.path) for entry in store.entries("")}
