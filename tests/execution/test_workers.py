"""Pods that share the questions of a stage: whoever does what, the result is that of one process."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agentark.api import StoreSource
from agentark.api import read_manifest as read_yaml
from agentark.errors import EngineError, InvalidInput
from agentark.execution import running
from agentark.execution.shares import share_of
from agentark.execution.stages import answering
from agentark.llm import Engine, Message, Sampling
from agentark.llm.testing import ScriptedEngine
from agentark.planning import Plan, keep_plan, pin_addresses, plan
from agentark.store import ALL, Share, StageManifest, Store, open_store, read_manifest, read_progress, stage_path
from tests.execution.conftest import ROOT, Workplace, debate_run
from tests.execution.test_runs import wait_for
from tests.execution.worker import words

QUESTIONS = 300  # five shards of at most 64
Make = Callable[..., tuple[Plan, Store]]


@pytest.fixture
def make(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Plan a debate over many questions, answered by a script, and a store of some name for it."""
    place.questions(QUESTIONS)
    script: dict[str, Callable[[], Engine]] = {"engine": partial(ScriptedEngine, words, latency_s=0.02)}
    monkeypatch.setattr(answering, "build_engines", lambda context: [script["engine"]()])

    def planned(name: str, engine: Callable[[], Engine] | None = None, **execution: Any) -> tuple[Plan, Store]:
        script["engine"] = engine or script["engine"]
        file = place.write("run.yaml", debate_run("http://127.0.0.1:9/v1", execution=execution))
        store = open_store(str(place.folder / name))
        (resource,) = read_yaml(file)
        return plan(resource, pin_addresses([resource], base=place.folder, store=store, source=StoreSource())), store

    return planned


def work(planned: tuple[Plan, Store], share: Share) -> StageManifest | None:
    found, store = planned
    return running.run_stage(found, found.stages[0].key, store, share)


def digests(manifest: StageManifest | None) -> dict[str, str]:
    assert manifest is not None
    return {name: output.sha256 for name, output in manifest.outputs.items()}


def paid(manifest: StageManifest | None) -> dict[str, float]:
    assert manifest is not None
    return {name: value for name, value in manifest.usage.items() if name != "seconds"}


def test_workers_leave_what_one_would_have_left(make: Make) -> None:
    alone = work(make("alone"), ALL)
    shared = make("shared")
    found = [work(shared, Share(index, 3)) for index in (2, 0, 1)]
    assert found[:2] == [None, None], "a worker that is done before the others commits nothing"
    assert digests(found[2]) == digests(alone)
    assert paid(found[2]) == paid(alone)
    assert found[2] is not None and alone is not None
    assert found[2].metrics == alone.metrics
    counts = {"questions": QUESTIONS, "failed": 0, "agents": 3, "with_gold": QUESTIONS, "cut": 0, "empty": 0}
    assert {name: alone.metrics[name] for name in counts} == counts
    key = alone.key
    times = [json.loads(shared[1].read(path)) for path in paths(shared[1], stage_path("debate", key, "shares"))]
    assert found[2].usage["seconds"] == max(one["seconds"] for one in times)
    assert [work(shared, Share(index, 3)) for index in range(3)] == [found[2]] * 3


def paths(store: Store, prefix: str) -> list[str]:
    return [entry.path for entry in store.entries(prefix)]


def test_more_workers_than_shards(make: Make) -> None:
    shared = make("shared")
    found = [work(shared, Share(index, 7)) for index in range(7)]
    assert [manifest is not None for manifest in found] == [False] * 6 + [True]
    assert found[6] is not None and found[6].metrics["questions"] == QUESTIONS


def test_all_at_once_end_in_one_manifest(make: Make) -> None:
    alone = work(make("alone"), ALL)
    shared = make("shared")
    with ThreadPoolExecutor(4) as pool:
        found = [one for one in pool.map(lambda index: work(shared, Share(index, 4)), range(4)) if one]
    assert found and all(one == found[0] == read_manifest(shared[1], "debate", one.key) for one in found)
    assert digests(found[0]) == digests(alone)
    assert paid(found[0]) == paid(alone)


def test_two_that_end_at_the_same_moment_commit_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    barrier = threading.Barrier(2)
    longest, commit = answering.longest_s, running.commit

    def look_together(context: Any, seconds: float) -> float | None:
        longest(context, seconds)
        barrier.wait(timeout=60)
        return longest(context, seconds)

    def commit_together(store: Store, manifest: StageManifest) -> StageManifest:
        barrier.wait(timeout=60)
        return commit(store, manifest)

    monkeypatch.setattr(answering, "longest_s", look_together)
    monkeypatch.setattr(running, "commit", commit_together)
    shared = make("shared")
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda index: work(shared, Share(index, 2)), range(2))
    assert first is not None and first == second == read_manifest(shared[1], "debate", first.key)


@pytest.mark.long
def test_a_killed_worker_is_started_again_and_pays_only_for_what_was_in_flight(make: Make, place: Workplace) -> None:
    alone = work(make("alone", concurrency=8), ALL)
    shared = make("shared", concurrency=8)
    log = place.folder / "calls"
    command = [sys.executable, "-m", "tests.execution.worker", str(log), "stage", "debate", "--store", shared[1].uri]
    command += ["--plan", f"store:{keep_plan(shared[1], shared[0])}", "--key", shared[0].stages[0].key]

    def start(index: int) -> "subprocess.Popen[str]":
        more = {"AGENTARK_WORKERS": "2", "JOB_COMPLETION_INDEX": str(index), "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(
            command, env=os.environ | more, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    first, second = start(0), start(1)
    wait_for(lambda: log.exists() and calls(log).count(first.pid) > 30)
    first.kill()
    first.communicate()
    out, _ = second.communicate(timeout=120)
    assert (second.returncode, out) == (0, "worker 1 of 2 is done; the last one commits stage debate\n")
    assert read_manifest(shared[1], "debate", shared[0].stages[0].key) is None
    again = start(0)
    out, _ = again.communicate(timeout=120)
    assert (again.returncode, out) == (0, "")
    manifest = read_manifest(shared[1], "debate", shared[0].stages[0].key)
    assert digests(manifest) == digests(alone)
    assert paid(manifest) == paid(alone)
    assert len(calls(log)) - paid(alone)["calls"] <= 8


def calls(log: Path) -> list[int]:
    """Process of each finished call."""
    return [json.loads(line)["pid"] for line in log.read_text().splitlines()]


def test_progress_is_that_of_all_workers(make: Make) -> None:
    shared = make("shared")
    key = shared[0].stages[0].key
    for index in (0, 1):
        work(shared, Share(index, 3))
    found = read_progress(shared[1], "debate", key)
    assert found is not None
    # Worker 2 has shard 2 alone; it has not begun.
    assert (found.done, found.total, found.workers) == (QUESTIONS - 64, QUESTIONS, 3)
    assert found.percent == pytest.approx(100 * (QUESTIONS - 64) / QUESTIONS, abs=0.01)
    assert found.metrics["calls"] > 0
    work(shared, ALL)  # A later attempt with fewer workers: its progress is what counts from now on.
    alone = read_progress(shared[1], "debate", key)
    assert alone is not None and (alone.done, alone.total, alone.workers) == (QUESTIONS, QUESTIONS, 1)


def failing(*ids: int) -> Callable[[], Engine]:
    def script(messages: Sequence[Message], sampling: Sampling, index: int, seed: int) -> str:
        if any(f"What is {number} + 1?" in messages[0].content for number in ids):
            raise EngineError("gave up after 8 tries")
        return words(messages, sampling, index, seed)

    return lambda: ScriptedEngine(script)


def test_each_worker_has_limits_and_errors_of_its_own(make: Make) -> None:
    shared = make("shared", failing(3, 70, 71), maxFailedQuestions=1)
    assert work(shared, Share(0, 2)) is None
    with pytest.raises(EngineError, match="2 of 128 questions failed"):
        work(shared, Share(1, 2))
    records = stage_path("debate", shared[0].stages[0].key, "records")
    errors = [path for path in paths(shared[1], records) if "errors" in path]
    assert [path.removeprefix(f"{records}/errors-") for path in errors] == ["0000-of-0002.jsonl", "0001-of-0002.jsonl"]
    make("shared", failing())
    # The failure that worker 0 may have is final: another worker could be committing its shard.
    assert work(shared, Share(0, 2)) is None
    manifest = work(shared, Share(1, 2))
    assert manifest is not None
    assert (manifest.metrics["questions"], manifest.metrics["failed"]) == (QUESTIONS - 1, 1)
    assert [path for path in paths(shared[1], records) if "errors" in path] == errors[:1]


@pytest.mark.parametrize(
    ("kind", "environment", "expected"),
    [
        ("debate", {}, ALL),
        ("debate", {"JOB_COMPLETION_INDEX": "3"}, ALL),
        ("curate", {"AGENTARK_WORKERS": "1", "JOB_COMPLETION_INDEX": "0"}, ALL),
        ("evaluate", {"AGENTARK_WORKERS": "4", "JOB_COMPLETION_INDEX": "3"}, Share(3, 4)),
        ("curate", {"AGENTARK_WORKERS": "2", "JOB_COMPLETION_INDEX": "0"}, "a curate stage is not shared"),
        ("debate", {"AGENTARK_WORKERS": "two"}, "AGENTARK_WORKERS is 'two'"),
        ("debate", {"AGENTARK_WORKERS": "0"}, "AGENTARK_WORKERS is '0'"),
        ("debate", {"AGENTARK_WORKERS": "2"}, "JOB_COMPLETION_INDEX is ''"),
        ("debate", {"AGENTARK_WORKERS": "2", "JOB_COMPLETION_INDEX": "2"}, "worker 2 of 2: workers are numbered"),
    ],
)
def test_the_share_comes_from_the_environment(kind: str, environment: dict[str, str], expected: Share | str) -> None:
    if isinstance(expected, Share):
        assert share_of(kind, environment) == expected
        return
    with pytest.raises(InvalidInput, match=expected):
        share_of(kind, environment)
