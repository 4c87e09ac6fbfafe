"""Shards of a debate: what of them lies in the store, what is still missing, and how they are written.

Everything here blocks (disk, store) and is called from threads.
"""

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from agentark.debate.journal import Journal, ShardJournal
from agentark.debate.protocol import clean
from agentark.debate.transcript import shard_lines, shard_path, write_shard
from agentark.errors import InvalidInput, StoreError
from agentark.store import ALL, Share, Store
from agentark.tasks import Question

SHARD_SIZE = 64
"""Questions of a shard where nothing else is asked for."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A question that got no record because its engine gave up."""

    question_id: str
    error: str


@dataclass(slots=True)
class Tally:
    """Sums over records."""

    questions: int = 0
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, calls: int, prompt_tokens: int, completion_tokens: int) -> None:
        self.questions += 1
        self.calls += calls
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens

    def include(self, other: "Tally") -> None:
        """Add another tally's sums."""
        self.questions += other.questions
        self.calls += other.calls
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens


@dataclass(slots=True)
class Shard:
    """A shard whose questions are being worked on."""

    index: int
    questions: tuple[Question, ...]
    lines: list[bytes | None]
    """The records, as far as they are there."""
    journal: ShardJournal
    waiting: int
    """Questions that are neither done nor failed."""
    failed: int = 0
    already: Tally = field(default_factory=Tally)
    """Sums over the records that an earlier start left."""

    def todo(self) -> Iterator[int]:
        return (position for position, line in enumerate(self.lines) if line is None)


class Packed(NamedTuple):
    """A shard ready to be written."""

    number: int
    data: bytes
    journal: ShardJournal


class Shards:
    """Shards in the store and their journals. Its methods block: they run in threads.

    Where several workers share the questions, a shard that lies in the store is final, questions that failed included:
    another worker may be about to commit the stage with its digest.
    """

    def __init__(self, store: Store, prefix: str, journal: Journal, size: int, share: Share = ALL) -> None:
        self._store = store
        self._prefix = prefix
        self._journal = journal
        self._size = size
        self._share = share

    def existing(self) -> frozenset[str]:
        return frozenset(entry.path for entry in self._store.entries(f"{self._prefix}/shards"))

    def path(self, index: int) -> str:
        return shard_path(self._prefix, index)

    def open(self, index: int, source: Iterator[Question], existing: frozenset[str]) -> Shard | None:
        """Read the next questions and what is already there of them; None at the end of the questions.

        The shard of another worker comes without questions.
        """
        questions = tuple(itertools.islice(source, self._size))
        if not questions:
            return None
        if not self._share.has(index):
            return Shard(index, (), [], self._journal.shard(index), waiting=0)
        journal = self._journal.shard(index)
        shard = Shard(index, questions, [None] * len(questions), journal, len(questions))
        positions = {clean(question.id): position for position, question in enumerate(questions)}
        if len(positions) < len(questions):
            ids = [question.id for question in questions]
            twice = next(id_ for id_ in ids if ids.count(id_) > 1)
            raise InvalidInput(f"question id {twice!r} occurs more than once; ids must be unique in a data set")
        if self.path(index) in existing:
            self._fill(shard, positions)
            if not self._share.is_all:
                shard.failed, shard.waiting = shard.waiting, 0
        if not shard.waiting:
            # A process killed between writing a shard and removing its journal leaves the journal behind.
            journal.discard()
        return shard

    def pack(self, shard: Shard) -> Packed:
        shard.journal.close()
        return Packed(shard.index, write_shard(line for line in shard.lines if line is not None), shard.journal)

    def write(self, shard: Packed) -> None:
        if self._share.is_all:
            self._store.write(self.path(shard.number), shard.data)
        else:
            self._store.create(self.path(shard.number), shard.data)
        # Only now: until the shard is in the store the journal is the only place that holds these calls.
        shard.journal.discard()

    def write_failures(self, failures: Sequence[Failure]) -> None:
        path = f"{self._prefix}/{'errors' if self._share.is_all else f'errors-{self._share.name}'}.jsonl"
        rows = [json.dumps({"id": failure.question_id, "error": failure.error}) + "\n" for failure in failures]
        if rows:
            self._store.write(path, "".join(rows).encode())
        else:
            self._store.delete(path)

    def _fill(self, shard: Shard, positions: dict[str, int]) -> None:
        path = self.path(shard.index)
        for line in shard_lines(self._store.read(path), source=path):
            row = json.loads(line)
            position = positions.get(row["id"])
            if position is None:
                first = shard.index * self._size
                raise StoreError(
                    f"{path} holds question {row['id']!r}, which is not among questions {first} to "
                    f"{first + len(shard.questions) - 1} of this data set: it was written with other questions or "
                    "another shard size; use another prefix or delete the shards"
                )
            shard.lines[position] = line
            shard.waiting -= 1
            shard.already.add(row["calls"], row["prompt_tokens"], row["completion_tokens"])
