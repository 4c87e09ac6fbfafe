"""Many questions at once: concurrency, shards, resume, failures.

Every question runs by itself; no question waits for another but for a free slot. What is bounded, so that 20,000
questions need no more memory than 1,000:

- requests in flight, and questions in flight, by `concurrency`;
- shards that are begun but not written: at most 4 x ceil(concurrency / shard_size), and never fewer than 8. A finished
  question is held as one JSON line until its shard is written, so one slow question holds back its own shard only.
"""

import asyncio
import itertools
import math
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from agentark.debate.journal import JournalledEngine, open_journal
from agentark.debate.protocol import DebateProtocol, discuss
from agentark.debate.shards import SHARD_SIZE, Failure, Packed, Shard, Shards, Tally
from agentark.debate.transcript import Record
from agentark.errors import EngineError, Interrupted, InvalidInput
from agentark.llm.chat import Engine
from agentark.store import ALL, Share, Store
from agentark.tasks import Policy, Question

Progress = Callable[[int, int, int], None]
Answer = Callable[[Question, Sequence[Engine]], Awaitable[Record]]

# When failures have already decided that the run fails, so many in a row mean that the rest would fail as well.
_HOPELESS = 32
_KEPT_FAILURES = 1000
_LONGEST_ERROR = 1000


@dataclass(frozen=True, slots=True)
class Summary:
    """What lies in the store at the end of a run, whichever process paid for it; of a share, what belongs to it."""

    questions: int
    """Questions with a record."""
    failed: int
    """Questions without one."""
    calls: int
    prompt_tokens: int
    completion_tokens: int
    shards: tuple[str, ...]
    """Store paths, in data-set order."""
    errors: tuple[Failure, ...]
    """The first 1,000 failures."""


async def run_questions(
    questions: Iterable[Question],
    *,
    protocol: DebateProtocol,
    engines: Sequence[Engine],
    policy: Policy,
    store: Store,
    prefix: str,
    journal: Path,
    concurrency: int,
    shard_size: int = SHARD_SIZE,
    max_failed: int = 0,
    share: Share = ALL,
    on_progress: Progress,
    stop: asyncio.Event,
    grace_s: float = 30.0,
) -> Summary:
    """Work on all questions and leave their records as shards in the store.

    A start with the same arguments goes on where the last one ended, however it ended: questions in complete shards are
    skipped, finished calls of the others are taken from the journal.

    Args:
        questions: Any iterable; it is read in a thread, one shard at a time, as room becomes free.
        protocol: How each question is worked on.
        engines: The engines that the protocol counts; they stay open.
        policy: How answers are read and compared.
        store: Where the shards go.
        prefix: Folder in the store; shard i is ``<prefix>/shards/<i as 6 digits>.jsonl.zst`` and holds questions
            ``i * shard_size`` to ``(i + 1) * shard_size - 1`` in the order given. Failures go to
            ``<prefix>/errors.jsonl``.
        journal: Local folder for finished calls, kept between starts; one process at a time may use it.
        concurrency: Requests in flight at most, >= 1.
        shard_size: Questions per shard, >= 1; must stay the same between starts.
        max_failed: Questions that may fail. The others of their shards are then kept; otherwise these shards stay
            unwritten, and a restart repeats the failed questions only.
        share: The shards that are worked on; other workers have the others. Each holds to the limits above by itself,
            has a journal and an errors file (``errors-<share>.jsonl``) of its own, and leaves a shard that is in the
            store as it is, tolerated failures included.
        on_progress: Called in the event loop with (questions done, questions failed, calls) after each question; done
            and calls count what earlier starts finished, too.
        stop: Once set, nothing new begins and requests in flight are finished and journalled.
        grace_s: Seconds that requests in flight are given after `stop`; then they are cut off.

    Raises:
        EngineError: If more than `max_failed` questions failed.
        Interrupted: If `stop` was set before all was done.
        InvalidInput: If a question cannot be read, or ids repeat within a shard.
        StoreError: If the store or the journal fails.
        AgentArkError: If another process uses the journal.
    """
    limits = _Limits(concurrency, shard_size, max_failed, grace_s)

    async def answer(question: Question, through: Sequence[Engine]) -> Record:
        return await discuss(question, protocol=protocol, engines=through, policy=policy)

    with open_journal(journal, shard_size=shard_size) as calls:
        shards = Shards(store, prefix, calls, shard_size, share)
        return await _RunningDebate(answer, engines, shards, limits, on_progress, stop).run(questions)


@dataclass(frozen=True, slots=True)
class _Limits:
    concurrency: int
    shard_size: int
    max_failed: int
    grace_s: float

    def __post_init__(self) -> None:
        for name, minimum in (("concurrency", 1), ("shard_size", 1), ("max_failed", 0)):
            if getattr(self, name) < minimum:
                raise InvalidInput(f"{name} is {getattr(self, name)}; accepted: {minimum} or more")

    @property
    def open_shards(self) -> int:
        return max(8, 4 * math.ceil(self.concurrency / self.shard_size))


class _RunningDebate:
    """One start over all questions."""

    def __init__(
        self,
        answer: Answer,
        engines: Sequence[Engine],
        shards: Shards,
        limits: _Limits,
        on_progress: Progress,
        stop: asyncio.Event,
    ) -> None:
        self._answer = answer
        self._engines = engines
        self._shards = shards
        self._limits = limits
        self._on_progress = on_progress
        self._stop = stop
        self._halt = asyncio.Event()
        self._calls_in_flight = asyncio.Semaphore(limits.concurrency)
        self._questions_in_flight = asyncio.Semaphore(limits.concurrency)
        self._open_shards = asyncio.Semaphore(limits.open_shards)
        self._asking: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._tally = Tally()
        self._failures: list[Failure] = []
        self._failed = 0
        self._failed_in_row = 0
        self._failed_for_good = 0
        self._gave_up = False
        self._deferred: list[Packed] = []
        self._written: list[int] = []
        self._cut_off = False
        self._fatal: BaseException | None = None

    async def run(self, questions: Iterable[Question]) -> Summary:
        """Work on all questions; see `run_questions`."""
        watch = asyncio.create_task(self._watch_stop())
        work = asyncio.create_task(self._work(questions))
        halted = asyncio.create_task(self._halt.wait())
        try:
            await asyncio.wait({work, halted}, return_when=asyncio.FIRST_COMPLETED)
            await self._wind_down(work)
        finally:
            # Also on the way out of a cancellation of the caller: nothing may outlive the journal's lock.
            left = {watch, work, halted, *self._asking, *self._closing}
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        if self._fatal is not None:
            raise self._fatal
        if self._over_budget() and (self._gave_up or not self._cut_off):
            await self._raise_failed()
        if self._cut_off:
            raise Interrupted(f"stopped with {self._tally.questions} questions done; run the same again to go on")
        return await self._finish()

    def _stopping(self) -> bool:
        return self._stop.is_set() or self._halt.is_set()

    async def _watch_stop(self) -> None:
        await self._stop.wait()
        self._halt.set()

    async def _work(self, questions: Iterable[Question]) -> None:
        """Begin every question as room becomes free, then wait for the last ones."""
        source = iter(questions)
        existing = await asyncio.to_thread(self._shards.existing)
        for index in itertools.count():
            await self._open_shards.acquire()
            shard = await asyncio.to_thread(self._shards.open, index, source, existing)
            if shard is None:
                break
            if not shard.questions:
                self._open_shards.release()
                continue
            self._tally.include(shard.already)
            if not shard.waiting:
                self._failed_for_good += shard.failed
                self._written.append(index)
                self._open_shards.release()
                self._report()
                continue
            for position in shard.todo():
                await self._questions_in_flight.acquire()
                self._start(self._asking, self._ask(shard, position))
        while self._asking or self._closing:
            await asyncio.wait({*self._asking, *self._closing})

    async def _wind_down(self, work: asyncio.Task[None]) -> None:
        """Let requests in flight end when the run is halted; take over the error if beginning questions failed."""
        if not work.done():
            self._cut_off = True
            work.cancel()
            await asyncio.wait({work})
        if not work.cancelled() and (error := work.exception()) is not None:
            self._fatal = self._fatal or error
            self._halt.set()
        if self._asking:
            _, late = await asyncio.wait(self._asking, timeout=self._limits.grace_s)
            for task in late:
                task.cancel()
        while self._asking or self._closing:
            await asyncio.wait({*self._asking, *self._closing})

    async def _ask(self, shard: Shard, position: int) -> None:
        """Get one question's record, through the journal of its shard."""
        question = shard.questions[position]
        engines = [
            JournalledEngine(engine, journal=shard.journal, slots=self._calls_in_flight, stopping=self._stopping)
            for engine in self._engines
        ]
        try:
            record = await self._answer(question, engines)
        except Interrupted:
            self._cut_off = True
            return
        except EngineError as error:
            self._fail(shard, question, error)
        else:
            shard.lines[position] = record.model_dump_json().encode()
            self._tally.add(record.calls, record.prompt_tokens, record.completion_tokens)
            self._failed_in_row = 0
        finally:
            self._questions_in_flight.release()
        shard.waiting -= 1
        self._report()
        if not shard.waiting:
            self._start(self._closing, self._close(shard))

    def _fail(self, shard: Shard, question: Question, error: EngineError) -> None:
        shard.failed += 1
        self._failed += 1
        self._failed_in_row += 1
        if len(self._failures) < _KEPT_FAILURES:
            self._failures.append(Failure(question.id, str(error)[:_LONGEST_ERROR]))
        if self._over_budget():
            self._deferred.clear()
            if self._failed_in_row >= _HOPELESS:
                self._gave_up = True
                self._halt.set()

    def _over_budget(self) -> bool:
        return self._failed > self._limits.max_failed

    async def _close(self, shard: Shard) -> None:
        """Write a shard whose questions are all done, or set one with failures aside until the end."""
        packed = await asyncio.to_thread(self._shards.pack, shard)
        if not shard.failed:
            await asyncio.to_thread(self._shards.write, packed)
            self._written.append(shard.index)
        elif not self._over_budget():
            self._deferred.append(packed)
        self._open_shards.release()

    async def _finish(self) -> Summary:
        if self._failures or not self._failed_for_good:
            await asyncio.to_thread(self._shards.write_failures, self._failures)
        for packed in self._deferred:
            await asyncio.to_thread(self._shards.write, packed)
            self._written.append(packed.number)
        return Summary(
            questions=self._tally.questions,
            failed=self._failed + self._failed_for_good,
            calls=self._tally.calls,
            prompt_tokens=self._tally.prompt_tokens,
            completion_tokens=self._tally.completion_tokens,
            shards=tuple(self._shards.path(index) for index in sorted(self._written)),
            errors=tuple(self._failures),
        )

    async def _raise_failed(self) -> NoReturn:
        await asyncio.to_thread(self._shards.write_failures, self._failures)
        tried = self._failed + self._tally.questions
        rest = f"gave up after {self._failed_in_row} failures in a row" if self._gave_up else "all others are done"
        raise EngineError(
            f"{self._failed} of {tried} questions failed (maxFailedQuestions: {self._limits.max_failed}), {rest}. "
            f"Question {self._failures[0].question_id!r}: {self._failures[0].error}. "
            "Mend the cause, or raise execution.maxFailedQuestions, and run the same again: only what is missing is "
            "asked"
        )

    def _start(self, group: set[asyncio.Task[None]], work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        group.add(task)
        task.add_done_callback(lambda done: self._ended(group, done))

    def _ended(self, group: set[asyncio.Task[None]], task: asyncio.Task[None]) -> None:
        group.discard(task)
        if task.cancelled():
            self._cut_off = True
        elif (error := task.exception()) is not None:
            # The disk, the store or a defect: no other question would fare better.
            self._fatal = self._fatal or error
            self._halt.set()

    def _report(self) -> None:
        self._on_progress(self._tally.questions, self._failed + self._failed_for_good, self._tally.calls)
