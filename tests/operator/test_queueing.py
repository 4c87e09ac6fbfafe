"""The work queue: no event is lost, no key is worked on twice at once, failures wait and events do not."""

import asyncio
import random
from collections import Counter

import pytest
from agentark_operator.workqueue import WorkQueue


async def soon(queue: WorkQueue[str]) -> str:
    async with asyncio.timeout(5):
        return await queue.take()


async def nothing(queue: WorkQueue[str], within_s: float = 0.02) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(within_s):
            await queue.take()


async def test_keys_come_once_and_in_order() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for key in "abacab":
        queue.add(key)
    assert len(queue) == 3
    assert [await soon(queue) for _ in range(3)] == ["a", "b", "c"]
    await nothing(queue)


async def test_an_event_during_the_pass_asks_for_one_more() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    assert await soon(queue) == "a"
    queue.add("a")
    queue.add("a")
    await nothing(queue)  # nobody works on it twice at once
    queue.done("a")
    assert await soon(queue) == "a"
    queue.done("a")
    await nothing(queue)


async def test_failures_wait_ever_longer_and_an_event_cuts_the_wait_short() -> None:
    queue: WorkQueue[str] = WorkQueue(base_s=0.5, most_s=3.0, draw=lambda: 0.999)
    waits = []
    for _ in range(5):
        queue.add("a")
        assert await soon(queue) == "a"
        waits.append(round(queue.failed("a"), 2))
    assert waits == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert queue.failures("a") == 5
    queue.add("a")
    assert await soon(queue) == "a"
    queue.done("a")
    assert queue.failures("a") == 0


async def test_a_failed_key_comes_back_by_itself() -> None:
    queue: WorkQueue[str] = WorkQueue(base_s=0.001)
    queue.add("a")
    await soon(queue)
    queue.failed("a")
    assert await soon(queue) == "a"


async def test_the_earliest_of_several_wishes_counts() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_later("a", 60)
    queue.add_later("b", 0.001)
    queue.add_later("a", 0.002)
    queue.add_later("a", 60)
    assert [await soon(queue), await soon(queue)] == ["b", "a"]
    queue.done("a")
    await nothing(queue)
    queue.add_later("a", 0.001)
    queue.forget("a")
    await nothing(queue)


async def test_under_random_load_each_change_is_seen_and_none_twice_at_once() -> None:
    rng = random.Random(3)
    queue: WorkQueue[int] = WorkQueue(base_s=0.0005)
    changed: Counter[int] = Counter()
    seen: Counter[int] = Counter()
    at_work: set[int] = set()
    failures = 0

    async def work() -> None:
        nonlocal failures
        while True:
            key = await queue.take()
            assert key not in at_work
            at_work.add(key)
            found = changed[key]  # a pass reads the state when it begins
            await asyncio.sleep(rng.random() / 2000)
            at_work.discard(key)
            if rng.random() < 0.2:
                failures += 1
                queue.failed(key)
            else:
                seen[key] = max(seen[key], found)
                queue.done(key)

    workers = [asyncio.create_task(work()) for _ in range(4)]
    for _ in range(3000):
        key = rng.randrange(40)
        changed[key] += 1
        queue.add(key)
        if rng.random() < 0.1:
            await asyncio.sleep(0)
    async with asyncio.timeout(30):
        while seen != changed:
            assert not any(worker.done() for worker in workers)
            await asyncio.sleep(0.001)
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    assert failures > 10
