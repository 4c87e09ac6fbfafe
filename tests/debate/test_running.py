"""Many questions: shards, resume, failures, interruption, bounds."""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from agentark.debate import DebateProtocol, read_records, read_shard
from agentark.debate.transcript import shard_path, write_shard
from agentark.errors import AgentArkError, EngineError, Interrupted, InvalidInput, StoreError
from agentark.llm.chat import Message, Reply, Sampling
from agentark.llm.testing import ScriptedEngine
from agentark.store import Store, open_store
from agentark.tasks import Question
from tests.debate.conftest import PROMPTS, Run, contents, disagreeing, many

Script = Callable[[Sequence[Message], Sampling, int, int], str]


def failing(*numbers: int) -> Script:
    """A script whose engine gives up on these questions."""
    texts = {f"Solve What is {number}?" for number in numbers}

    def script(messages: Sequence[Message], sampling: Sampling, index: int, seed: int) -> str:
        if messages[0].content in texts:
            raise EngineError("gave up after 8 tries")
        return disagreeing(messages, sampling, index, seed)

    return script


async def test_shards_hold_every_question_in_order(run: Run, store: Store) -> None:
    engine = ScriptedEngine(disagreeing)
    progress: list[tuple[int, int, int]] = []
    summary = await run(iter(many(10)), engine, on_progress=lambda *numbers: progress.append(numbers))

    assert summary.shards == tuple(shard_path("debates/one", index) for index in range(3))
    records = list(read_records(store, "debates/one"))
    assert [record.id for record in records] == [f"q{number}" for number in range(10)]
    assert [len(list(read_shard(store.read(path)))) for path in summary.shards] == [4, 4, 2]
    assert {record.decided_by for record in records} > {"Consensus"}
    assert (summary.questions, summary.failed, summary.errors) == (10, 0, ())
    assert summary.calls == sum(record.calls for record in records) == engine.calls
    assert summary.prompt_tokens == sum(record.prompt_tokens for record in records)
    assert progress[-1] == (10, 0, engine.calls)
    assert [done for done, _, _ in progress] == list(range(1, 11))


async def test_a_second_start_asks_nothing(run: Run, store: Store, tmp_path: Path) -> None:
    first = await run(many(10), ScriptedEngine(disagreeing))
    before = contents(store)
    engine = ScriptedEngine(disagreeing)
    assert await run(many(10), engine) == first
    assert engine.calls == 0
    assert contents(store) == before
    assert sorted(path.name for path in (tmp_path / "journal").iterdir()) == ["layout.json", "lock"]


async def test_concurrency_changes_no_byte(run: Run, store: Store, tmp_path: Path) -> None:
    await run(many(10), ScriptedEngine(disagreeing), concurrency=1)
    other = open_store(str(tmp_path / "other"))
    await run(many(10), ScriptedEngine(disagreeing), concurrency=64, store=other, journal=tmp_path / "j2")
    assert contents(other) == contents(store)


async def test_no_questions_no_shards(run: Run) -> None:
    summary = await run([], ScriptedEngine(disagreeing))
    assert (summary.questions, summary.shards) == (0, ())


async def test_requests_in_flight_are_bounded_and_used(run: Run) -> None:
    engine = ScriptedEngine(disagreeing, latency_s=0.001, wait=True)
    await run(many(60), engine, concurrency=16)
    assert engine.peak_in_flight == 16


async def test_questions_are_read_only_as_room_becomes_free(run: Run) -> None:
    """One question that never ends holds up its shard, not the others, and bounds what is read ahead."""
    read: list[int] = []
    released = asyncio.Event()

    def lazily() -> Iterator[Question]:
        for number, question in enumerate(many(200)):
            read.append(number)
            yield question

    class Stuck(ScriptedEngine):
        async def chat(self, messages: Sequence[Message], *, sampling: Sampling, n: int = 1, seed: int) -> Reply:
            if messages[0].content in {f"Solve What is {8 * shard}?" for shard in range(8)}:
                await released.wait()
            return await super().chat(messages, sampling=sampling, n=n, seed=seed)

    ahead: list[int] = []

    def progress(done: int, failed: int, calls: int) -> None:
        ahead.append(len(read) - done)
        # Eight shards are open, each held back by its first question: nothing else can go on.
        if done == 8 * 7:
            assert len(read) == 8 * 8
            released.set()

    engine = Stuck(disagreeing)
    summary = await run(lazily(), engine, concurrency=16, shard_size=8, on_progress=progress, grace_s=1.0)
    assert summary.questions == 200
    assert max(ahead) <= 8 * 8


async def test_a_failed_question_fails_alone_and_is_repeated_alone(run: Run, store: Store) -> None:
    first = ScriptedEngine(failing(2, 9))
    text = r"2 of 12 questions failed \(maxFailedQuestions: 0\).*'q\d': gave up after 8 tries"
    with pytest.raises(EngineError, match=f"{text}.*raise execution.maxFailed"):
        await run(many(12), first)
    assert [entry.path for entry in store.entries("debates/one/shards")] == [shard_path("debates/one", 1)]
    errors = [json.loads(line) for line in store.read("debates/one/errors.jsonl").splitlines()]
    assert sorted(error["id"] for error in errors) == ["q2", "q9"]

    second = ScriptedEngine(disagreeing)
    summary = await run(many(12), second)
    again = {record.id: record.calls for record in read_records(store, "debates/one")}
    assert second.calls == again["q2"] + again["q9"]
    assert first.calls + second.calls == summary.calls
    assert store.stat("debates/one/errors.jsonl") is None


async def test_tolerated_failures_leave_the_rest(run: Run, store: Store) -> None:
    summary = await run(many(12), ScriptedEngine(failing(2, 9)), max_failed=2)
    assert (summary.questions, summary.failed, len(summary.shards)) == (10, 2, 3)
    assert {failure.question_id for failure in summary.errors} == {"q2", "q9"}
    assert "q2" not in {record.id for record in read_records(store, "debates/one")}

    engine = ScriptedEngine(disagreeing)
    complete = await run(many(12), engine)
    records = list(read_records(store, "debates/one"))
    assert (complete.questions, complete.failed) == (12, 0)
    assert [record.id for record in records] == [f"q{number}" for number in range(12)]
    assert engine.calls == records[2].calls + records[9].calls


async def test_a_dead_engine_is_not_asked_for_every_question(run: Run) -> None:
    engine = ScriptedEngine(failing(*range(10_000)))
    with pytest.raises(EngineError, match="gave up after 3"):
        await run(many(10_000), engine)
    assert engine.failures < 100


async def test_stop_keeps_what_is_in_flight_and_begins_nothing(run: Run, store: Store) -> None:
    stop = asyncio.Event()
    engine = ScriptedEngine(disagreeing, latency_s=0.001, wait=True)
    calls_at_stop = []

    def progress(done: int, failed: int, calls: int) -> None:
        if done == 10 and not stop.is_set():
            stop.set()
            calls_at_stop.append(engine.calls + engine.in_flight)

    with pytest.raises(Interrupted, match="run the same again"):
        await run(many(100), engine, stop=stop, on_progress=progress)
    assert engine.calls == calls_at_stop[0]

    rest = ScriptedEngine(disagreeing)
    summary = await run(many(100), rest)
    assert engine.calls + rest.calls == summary.calls
    assert len(list(read_records(store, "debates/one"))) == 100


async def test_stop_before_the_start(run: Run) -> None:
    stop = asyncio.Event()
    stop.set()
    engine = ScriptedEngine(disagreeing)
    with pytest.raises(Interrupted):
        await run(many(10), engine, stop=stop)
    assert engine.calls == 0


async def test_a_request_that_hangs_is_cut_off_after_the_grace(run: Run) -> None:
    stop = asyncio.Event()
    engine = ScriptedEngine(disagreeing, latency_s=3600, wait=True)
    asyncio.get_running_loop().call_later(0.05, stop.set)
    async with asyncio.timeout(10):
        with pytest.raises(Interrupted):
            await run(many(10), engine, stop=stop, grace_s=0.05)
    assert engine.in_flight == 0


async def test_cancelling_leaves_no_task_and_frees_the_journal(run: Run) -> None:
    engine = ScriptedEngine(disagreeing, latency_s=3600, wait=True)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await run(many(10), engine)
    assert len(asyncio.all_tasks()) == 1
    assert (await run(many(10), ScriptedEngine(disagreeing))).questions == 10


async def test_a_bad_row_stops_the_run_and_loses_no_finished_call(run: Run) -> None:
    def rows() -> Iterator[Question]:
        yield from many(6)
        raise InvalidInput("train.jsonl:7: field 'answer' is missing")

    engine = ScriptedEngine(disagreeing)
    with pytest.raises(InvalidInput, match=r"train\.jsonl:7"):
        await run(rows(), engine)
    rest = ScriptedEngine(disagreeing)
    summary = await run(many(8), rest)
    assert engine.calls + rest.calls == summary.calls


async def test_one_process_at_a_time(run: Run) -> None:
    started = asyncio.Event()

    class Telling(ScriptedEngine):
        async def chat(self, messages: Sequence[Message], *, sampling: Sampling, n: int = 1, seed: int) -> Reply:
            started.set()
            return await super().chat(messages, sampling=sampling, n=n, seed=seed)

    first = asyncio.create_task(run(many(4), Telling(disagreeing, latency_s=3600, wait=True)))
    await started.wait()
    with pytest.raises(AgentArkError, match=r"in use by process \d+: the same debate is already running"):
        await run(many(4), ScriptedEngine(disagreeing))
    first.cancel()
    await asyncio.wait({first})


async def test_other_questions_under_the_same_prefix_are_refused(run: Run) -> None:
    await run(many(8), ScriptedEngine(disagreeing))
    with pytest.raises(StoreError, match=r"holds question 'q0', which is not among questions 0 to 3"):
        await run(many(12)[4:], ScriptedEngine(disagreeing))


async def test_another_shard_size_is_refused(run: Run) -> None:
    with pytest.raises(EngineError):
        await run(many(8), ScriptedEngine(failing(0)))
    with pytest.raises(InvalidInput, match="begun with a shard size of 4, now it is 5"):
        await run(many(8), ScriptedEngine(disagreeing), shard_size=5)


async def test_a_damaged_shard_is_named(run: Run, store: Store) -> None:
    await run(many(8), ScriptedEngine(disagreeing))
    path = shard_path("debates/one", 1)
    store.write(path, store.read(path)[:-20])
    with pytest.raises(StoreError, match=rf"{path} is damaged .*delete it and run again"):
        await run(many(8), ScriptedEngine(disagreeing))
    with pytest.raises(StoreError, match="is damaged"):
        list(read_records(store, "debates/one"))
    store.delete(path)
    assert (await run(many(8), ScriptedEngine(disagreeing))).questions == 8


async def test_duplicate_ids_are_refused(run: Run) -> None:
    with pytest.raises(InvalidInput, match="'q1' occurs more than once"):
        await run([*many(2), many(2)[1]], ScriptedEngine(disagreeing))


@pytest.mark.parametrize(("name", "value"), [("concurrency", 0), ("shard_size", 0), ("max_failed", -1)])
async def test_bad_limits_are_refused(run: Run, name: str, value: int) -> None:
    with pytest.raises(InvalidInput, match=f"{name} is {value}"):
        await run(many(1), ScriptedEngine(disagreeing), **{name: value})


async def test_self_consistency_runs_the_same_way(run: Run, store: Store) -> None:
    protocol = DebateProtocol(type="SelfConsistency", agents=5, prompts=PROMPTS)
    summary = await run(many(6), ScriptedEngine(disagreeing), protocol=protocol)
    assert summary.calls == 6
    assert all(len(record.turns) == 5 for record in read_records(store, "debates/one"))


def test_a_record_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    shard = write_shard([b'{"schema_version": 99}'])
    with pytest.raises(StoreError, match="schema version 99, this agentark reads 1; upgrade"):
        list(read_shard(shard, source="x.jsonl.zst"))
    with pytest.raises(StoreError, match=r"x.jsonl.zst:1: is not a debate record"):
        list(read_shard(write_shard([b"{}"]), source="x.jsonl.zst"))
