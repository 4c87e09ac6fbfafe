"""Finished calls, kept on the local disk until the questions they belong to lie in a shard.

A call costs money, so it must outlive a killed process. `JournalledEngine` writes each reply in the event-loop step in
which the engine returned it, as one whole JSON line in one `os.write`; a restart is given that reply instead of calling
again. What is guaranteed, and what is not:

- A call whose line was written is never paid again, whatever kills the process afterwards.
- A `kill -9` that lands between the engine's return and that write (some ten microseconds without a suspension point)
  can lose one reply per process: the event loop has one thread, so no second call can be in that state. A call still in
  flight was not finished and is sent again.
- Lines are not fsynced. A power cut may lose the last ones; those calls are paid again and nothing else is affected.

There is one file per unfinished shard, removed when the shard is in the store, so neither the disk nor the memory of a
restart grows with the number of questions.
"""

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from agentark.errors import AgentArkError, Interrupted, InvalidInput, StoreError
from agentark.llm.chat import Completion, Engine, Message, Reply, Sampling

_LOG = logging.getLogger(__name__)


class Journal:
    """The journal folder of one run, open in one process at a time; see `open_journal`."""

    def __init__(self, folder: Path, shard_size: int) -> None:
        self._folder = folder
        layout = folder / "layout.json"
        if layout.exists():
            found = _layout(layout)
            if found != shard_size:
                raise InvalidInput(
                    f"journal {folder} was begun with a shard size of {found}, now it is {shard_size}; "
                    f"go on with {found}, or delete the folder to pay for its calls again"
                )
        else:
            with _disk_errors(layout):
                layout.write_text(json.dumps({"shard_size": shard_size}) + "\n")

    def shard(self, index: int) -> "ShardJournal":
        """Open a shard's file and read what earlier processes left in it."""
        return ShardJournal(self._folder / f"{index:06d}.jsonl")


class ShardJournal:
    """The finished calls of one shard's questions."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._lines = _read_lines(path)

    def find(self, digest: str) -> Reply | None:
        """Return the reply that an earlier process received for a request."""
        line = self._lines.get(digest)
        return None if line is None else _decode(line)

    def append(self, digest: str, reply: Reply) -> None:
        """Keep a reply.

        Raises:
            StoreError: If the disk is full or refuses; the file then ends with the last whole line.
        """
        line = _encode(digest, reply)
        with _disk_errors(self._path):
            if self._file is None:
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            written = os.write(self._file, line)
            if written != len(line):
                os.ftruncate(self._file, os.fstat(self._file).st_size - written)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        """Close the file, keep it for the next start and forget what it held."""
        self._lines = {}
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def discard(self) -> None:
        """Remove the file: its questions are in the store."""
        self.close()
        self._path.unlink(missing_ok=True)


class JournalledEngine:
    """An engine that asks the journal first and tells it at once.

    Args:
        engine: Who answers what the journal cannot.
        journal: Of the question's shard.
        slots: Bounds the requests in flight.
        stopping: Says that no further request may be sent.
    """

    def __init__(
        self, engine: Engine, *, journal: ShardJournal, slots: asyncio.Semaphore, stopping: Callable[[], bool]
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._slots = slots
        self._stopping = stopping

    @property
    def model(self) -> str:
        """Name of the model that answers."""
        return self._engine.model

    async def chat(self, messages: Sequence[Message], *, sampling: Sampling, n: int = 1, seed: int) -> Reply:
        """Return the journalled reply, or call the engine and journal what it returns.

        Raises:
            EngineError: If the engine gave up.
            Interrupted: If the run is stopping and the reply is not in the journal.
            StoreError: If the journal cannot be written.
        """
        digest = request_digest(self._engine.model, messages, sampling, n, seed)
        known = self._journal.find(digest)
        if known is not None:
            return known
        async with self._slots:
            if self._stopping():
                raise Interrupted("stopping: no further request is sent")
            reply = await self._engine.chat(messages, sampling=sampling, n=n, seed=seed)
            # No await between the engine's return and this line: see the module's guarantee.
            self._journal.append(digest, reply)
            return reply

    async def aclose(self) -> None:
        """Do nothing: the engine belongs to whoever opened it."""


@contextlib.contextmanager
def open_journal(folder: Path, *, shard_size: int) -> Iterator[Journal]:
    """Open a run's journal for this process alone.

    Raises:
        AgentArkError: If another process has it open.
        InvalidInput: If it was begun with another shard size.
        StoreError: If the folder cannot be made or written.
    """
    with _disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(lock, 32, 0).decode().strip() or "unknown"
            raise AgentArkError(
                f"journal {folder} is in use by process {owner}: the same debate is already running; "
                "wait for it or stop it first"
            ) from error
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        yield Journal(folder, shard_size)
    finally:
        os.close(lock)


def request_digest(model: str, messages: Sequence[Message], sampling: Sampling, n: int, seed: int) -> str:
    """Name a request by everything that makes up its reply: 32 hex digits."""
    drawn = [sampling.temperature, sampling.top_p, sampling.top_k, sampling.max_tokens, sampling.stop]
    content = [model, [[message.role, message.content] for message in messages], drawn, n, seed]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def _encode(digest: str, reply: Reply) -> bytes:
    completions = [[c.text, c.reasoning, c.finish_reason, c.completion_tokens] for c in reply.completions]
    content = {
        "digest": digest,
        "model": reply.model,
        "prompt_tokens": reply.prompt_tokens,
        "latency_s": reply.latency_s,
        "completions": completions,
    }
    return json.dumps(content).encode() + b"\n"


def _decode(line: bytes) -> Reply:
    content = json.loads(line)
    completions = tuple(Completion(*fields) for fields in content["completions"])
    return Reply(completions, content["prompt_tokens"], content["latency_s"], content["model"])


def _read_lines(path: Path) -> dict[str, bytes]:
    """Return the lines of a journal file by digest; a torn last line is cut off the file."""
    with _disk_errors(path):
        if not path.exists():
            return {}
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole != len(data):
            # Otherwise the next line would be glued to the torn one and lost with it.
            os.truncate(path, whole)
    lines: dict[str, bytes] = {}
    for number, line in enumerate(data[:whole].splitlines(), 1):
        try:
            lines[json.loads(line)["digest"]] = line
        except (ValueError, KeyError, TypeError):
            _LOG.warning("journal %s:%d is damaged; its call is made again", path, number)
    return lines


def _layout(path: Path) -> int:
    try:
        return int(json.loads(path.read_text())["shard_size"])
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"journal {path.parent}: layout.json is damaged; delete the folder and run again") from error


@contextlib.contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"journal {path}: {error.strerror}; make room or choose another work folder") from error
