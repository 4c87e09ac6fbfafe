"""Attempts that race, manifests, progress, runs."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agentark.errors import InvalidInput, NotFound, StoreError
from agentark.store import (
    ProgressWriter,
    RunRecord,
    RunStage,
    StageManifest,
    Store,
    commit,
    list_runs,
    next_attempt,
    open_store,
    read_manifest,
    read_progress,
    read_run,
    stage_path,
    write_run,
)
from agentark.store.outputs import put_bytes
from agentark.store.stages import attempt_path

KEY = "0123456789abcdef"


def finished(store: Store, attempt: int) -> StageManifest:
    shard = attempt_path("debate", KEY, attempt, "shards", "000000.jsonl")
    return StageManifest(
        kind="debate",
        key=KEY,
        params={"agents": 5, "sampling": {"temperature": 0.7}},
        inputs={"dataset": "sha256:aa"},
        outputs={"shard": put_bytes(store, shard, f"attempt {attempt}".encode(), rows=1)},
        metrics={"accuracy": 0.9, "by_round": [0.5, 0.9]},
        usage={"seconds": 1.5},
        versions={"agentark": "0.1.0"},
        attempt=attempt,
        started_at="2026-01-01T00:00:00.000Z",
        finished_at="2026-01-01T00:01:00.000Z",
    )


def test_a_manifest_comes_back_as_it_was_committed(store: Store) -> None:
    assert read_manifest(store, "debate", KEY) is None
    made = finished(store, 1)
    assert commit(store, made) == made
    assert read_manifest(store, "debate", KEY) == made
    assert stage_path("debate", KEY) == f"stages/debate/{KEY}"


def test_of_two_racing_attempts_one_wins_and_the_other_gets_its_manifest(store: Store) -> None:
    barrier = threading.Barrier(2)
    made = [finished(store, attempt) for attempt in (1, 2)]

    def race(manifest: StageManifest) -> StageManifest:
        barrier.wait()
        return commit(store, manifest)

    with ThreadPoolExecutor(2) as pool:
        got = list(pool.map(race, made))
    assert got[0] == got[1] == read_manifest(store, "debate", KEY)
    assert got[0] in made


def test_racing_attempts_get_different_numbers(store: Store) -> None:
    barrier = threading.Barrier(4)

    def race(_: int) -> int:
        barrier.wait()
        return next_attempt(store, "debate", KEY)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(race, range(4))) == [1, 2, 3, 4]
    assert next_attempt(store, "debate", KEY) == 5
    assert next_attempt(store, "curate", KEY) == 1


class Counting:
    """Time that moves when told to, and how often a store was written to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_progress_is_written_once_per_interval_and_at_the_end(folder: Store) -> None:
    clock = Counting()
    with ProgressWriter(folder, "debate", KEY, 5.0, unit="questions", clock=clock) as writer:
        assert read_progress(folder, "debate", KEY) is None
        seen = []
        for done in range(1, 101):
            writer.update(done=done, total=200, failed=1, metrics={"loss": float(done)})
            found = read_progress(folder, "debate", KEY)
            assert found is not None
            seen.append(found.done)
            clock.now_s += 0.5
        assert sorted(set(seen)) == [1, 11, 21, 31, 41, 51, 61, 71, 81, 91]
        assert found.rate == pytest.approx(2.0)
        assert found.eta_s == pytest.approx((200 - 92) / 2.0)
        assert (found.percent, found.failed, found.unit) == (46.0, 1, "questions")
        assert found.metrics == {"loss": 91.0}
    last = read_progress(folder, "debate", KEY)
    assert last is not None and last.done == 100 and last.heartbeat_at.endswith("Z")


def test_progress_follows_a_change_of_speed_and_ignores_what_was_done_before(folder: Store) -> None:
    clock = Counting()
    writer = ProgressWriter(folder, "debate", KEY, 1.0, clock=clock)
    writer.update(done=1000, total=3000)
    first = read_progress(folder, "debate", KEY)
    assert first is not None and (first.rate, first.eta_s) == (0.0, None)
    for step in range(1, 301):
        clock.now_s += 1.0
        writer.update(done=1000 + (step if step <= 150 else 150 + (step - 150) * 4), total=3000)
    found = read_progress(folder, "debate", KEY)
    assert found is not None and found.rate == pytest.approx(4.0)


def test_a_store_that_takes_no_progress_does_not_stop_the_work(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(str(tmp_path / "store"))
    store.write(f"stages/debate/{KEY}/progress.json/in-the-way", b"")
    with ProgressWriter(store, "debate", KEY) as writer:
        writer.update(done=1, total=2)
    assert "progress was not written" in caplog.text


def test_what_is_no_progress_is_said(folder: Store) -> None:
    folder.write(f"stages/debate/{KEY}/progress.json", b"{}")
    with pytest.raises(StoreError, match="not readable as progress"):
        read_progress(folder, "debate", KEY)


def record(name: str, number: int, *, namespace: str = "default") -> RunRecord:
    return RunRecord(
        run_id=f"{name}-{number:08x}",
        name=name,
        namespace=namespace,
        created_at=f"2026-01-0{number}T00:00:00.000Z",
        manifest={"kind": "DistillJob", "metadata": {"name": name}},
        stages=(RunStage(kind="debate", name="debate", key=KEY),),
        pins={"file:train.jsonl": "sha256:aa"},
    )


def test_runs_are_listed_newest_first_and_found_by_id_or_name(store: Store) -> None:
    runs = [record("student", 1), record("student", 3), record("other", 2), record("elsewhere", 4, namespace="team-a")]
    for run in runs:
        write_run(store, run)
    assert list_runs(store) == [runs[3], runs[1], runs[2], runs[0]]
    assert list_runs(store, namespace="default") == [runs[1], runs[2], runs[0]]
    assert read_run(store, "student-00000001") == runs[0]
    assert read_run(store, "student") == runs[1]
    assert read_run(store, "elsewhere", namespace="team-a") == runs[3]
    assert list_runs(store, namespace="nobody") == []


def test_a_run_that_is_not_there_is_not_found_with_the_nearest_name(folder: Store) -> None:
    write_run(folder, record("student", 1))
    with pytest.raises(NotFound, match="did you mean 'student'"):
        read_run(folder, "studnet")
    with pytest.raises(NotFound, match="team-a"):
        read_run(folder, "student", namespace="team-a")


def test_names_of_runs_stay_in_their_folder(folder: Store) -> None:
    for name in ("../x", "a/b", ""):
        with pytest.raises(InvalidInput):
            write_run(folder, record("x", 1).model_copy(update={"name": name}))


def test_a_damaged_record_is_named(folder: Store) -> None:
    folder.write("runs/default/student/student-1.json", b"{}")
    with pytest.raises(StoreError, match=r"runs/default/student/student-1\.json is no record"):
        list_runs(folder)
