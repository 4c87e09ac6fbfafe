"""Questions to models while labelling: many at once, each paid for once.

Answers are kept in a ledger on the local disk, one whole JSON line in one write, so that labelling that was killed goes
on where it stopped. Lines are not fsynced: a power cut may lose the last ones, which are then asked again.
"""

import asyncio
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from agentark.errors import EngineError, Interrupted, StoreError
from agentark.llm import Engine, Message, Reply, Sampling


@dataclass(frozen=True, slots=True)
class Query:
    """One request whose reply says something about a step or a solution."""

    messages: tuple[Message, ...]
    sampling: Sampling
    n: int = 1
    gold: str = ""
    """What the reply is compared with; part of the key, as the outcome depends on it."""
    seed: int = 0
    """Of the run; requests with other words draw other numbers all the same."""

    def key(self, model: str) -> str:
        """Name the query by its content and the model's identity: 32 hex digits."""
        spoken = [[message.role, message.content] for message in self.messages]
        content = [model, spoken, repr(self.sampling), self.n, self.gold, self.seed]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Asked:
    """What asking came to; every query counts once, however many steps share it."""

    requests: int
    """Answered now."""
    reused: int
    """Answered by an earlier run."""
    failed: int
    """Refused by the engine; their steps have no label, and the next run asks again."""
    error: str
    """What the engine said of the first that failed; empty for none."""


class Ledger:
    """Outcomes of queries by their key, in a JSON-lines file; use as a context manager.

    Args:
        path: The file; it and its folder are made where missing. One process at a time may write it.

    Raises:
        StoreError: If the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, Any] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            lines = path.read_bytes().split(b"\n")
            if lines[-1]:  # A process was killed while it wrote; what it began is closed and never read.
                os.write(self._file, b"\n")
        except OSError as error:
            raise StoreError(f"{path}: cannot be used to keep answers: {error.strerror}") from error
        for line in lines[:-1]:
            self._found.update(_entry(line))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def __contains__(self, key: str) -> bool:
        return key in self._found

    def __getitem__(self, key: str) -> Any:
        return self._found[key]

    def get(self, key: str) -> Any:
        """The outcome of a query; None where there is none, and where that is the outcome."""
        return self._found.get(key)

    def keep(self, key: str, outcome: Any) -> None:
        """Write an outcome, which must be JSON.

        Raises:
            StoreError: If the disk is full or refuses.
        """
        line = (json.dumps({"key": key, "outcome": outcome}) + "\n").encode()
        try:
            written = os.write(self._file, line)
        except OSError as error:
            raise StoreError(f"{self._path}: an answer cannot be kept: {error.strerror}") from error
        if written != len(line):
            raise StoreError(f"{self._path}: the disk is full; free some space and run the same again")
        self._found[key] = outcome


def _entry(line: bytes) -> dict[str, Any]:
    """Read a line; half a line, left by a kill or a full disk, holds nothing."""
    try:
        entry = json.loads(line)
        return {str(entry["key"]): entry["outcome"]}
    except (ValueError, KeyError, TypeError):
        return {}


async def ask_all(
    queries: Iterable[Query],
    engine: Engine,
    read: Callable[[Query, Reply], Any],
    ledger: Ledger,
    *,
    model: str,
    concurrency: int,
    should_stop: Callable[[], bool],
    on_progress: Callable[[int, int], None],
) -> Asked:
    """Bring the outcome of every query into the ledger.

    Args:
        queries: Equal ones are asked once.
        engine: What answers.
        read: Makes a reply into an outcome, a JSON value.
        ledger: What is in it already is not asked again.
        model: Identity of the model behind the engine, for example the digest of its weights.
        concurrency: Requests at once, >= 1.
        should_stop: Asked before each request.
        on_progress: Called with the queries done and their number.

    Raises:
        EngineError: If every request failed.
        Interrupted: If it had to stop; the ledger holds what was answered.
        StoreError: If an outcome cannot be kept.
    """
    wanted = {query.key(model): query for query in queries}
    missing = {key: query for key, query in wanted.items() if key not in ledger}
    reused = len(wanted) - len(missing)
    waiting = iter(missing.items())
    answered, errors = 0, list[str]()

    async def work(waiting: Iterator[tuple[str, Query]]) -> None:
        nonlocal answered
        for key, query in waiting:
            if should_stop():
                return
            try:
                seed = int(key[:15], 16)  # Words decide the numbers drawn, so that order and company do not matter.
                reply = await engine.chat(query.messages, sampling=query.sampling, n=query.n, seed=seed)
            except EngineError as error:
                errors.append(str(error))
            else:
                ledger.keep(key, read(query, reply))
                answered += 1
            on_progress(reused + answered + len(errors), len(wanted))

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(concurrency, len(missing))):
                group.create_task(work(waiting))
    except BaseExceptionGroup as failures:  # One reason is as good as several, and callers know its type.
        raise failures.exceptions[0] from failures
    left = len(missing) - answered - len(errors)
    if left:
        raise Interrupted(f"stopped with {len(wanted) - left} of {len(wanted)} requests done; run the same again")
    if errors and not answered:
        raise EngineError(f"all {len(errors)} requests failed; the first: {errors[0]}")
    return Asked(answered, reused, len(errors), errors[0] if errors else "")
