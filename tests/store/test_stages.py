"""Attempts that race, manifests, progress, runs."""

import contextlib
import json
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from agentark.errors import InvalidInput, NotFound, StoreError, StoreUnreachable
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
    assert list_runs(store) == ((runs[3], runs[1], runs[2], runs[0]), ())
    assert list_runs(store, namespace="default").records == (runs[1], runs[2], runs[0])
    assert read_run(store, "student-00000001") == runs[0]
    assert read_run(store, "student") == runs[1]
    assert read_run(store, "elsewhere", namespace="team-a") == runs[3]
    assert list_runs(store, namespace="nobody") == ((), ())


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


def damaged(good: bytes) -> dict[str, tuple[bytes, str]]:
    """Name -> content of a record that cannot be read, and what is said of it."""
    other = json.loads(good)
    return {
        "torn": (good[:40], "is no record of a run .*delete it"),
        "empty": (b"", "is no record of a run"),
        "list": (b"[]", "is no record of a run"),
        "latin": (good.replace(b"student", b"stud\xe9nt"), "is no record of a run"),
        "deep": (b"[" * 100_000, "is no record of a run"),
        "types": (json.dumps(other | {"stages": 3}).encode(), r"is no record of a run \(stages: "),
        "climbing": (good.replace(b'"debate"', b'"../debate"'), r"is no record of a run \(stages\.0\.kind: "),
        "newer": (
            json.dumps({"schema_version": 7, "run": 1}).encode(),
            "schema_version 7, .* up to 1; upgrade agentark",
        ),
        "newer-alike": (json.dumps(other | {"schema_version": 7}).encode(), "schema_version 7"),
    }


def test_a_record_that_cannot_be_read_hides_no_other(store: Store) -> None:
    good = record("student", 1)
    write_run(store, good)
    cases = damaged(good.model_dump_json().encode())
    for name, (data, _) in cases.items():
        store.write(f"runs/default/student/{name}.json", data)
    records, unreadable = list_runs(store)
    assert records == (good,)
    assert [run.path for run in unreadable] == sorted(f"runs/default/student/{name}.json" for name in cases)
    for run in unreadable:
        name = run.path.split("/")[3].removesuffix(".json")
        assert re.search(cases[name][1], str(run.error)) and run.path in str(run.error)
        with pytest.raises(StoreError, match=cases[name][1]):
            read_run(store, name)


def test_the_newest_run_of_a_name_that_can_be_read_is_found(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    write_run(store, record("student", 1))
    write_run(store, record("student", 2))
    store.write("runs/default/student/student-00000003.json", b"{")
    assert read_run(store, "student") == record("student", 2)
    assert "passed over" in caplog.text and "student-00000003.json is no record" in caplog.text
    store.delete("runs/default/student/student-00000001.json")
    store.delete("runs/default/student/student-00000002.json")
    with pytest.raises(StoreError, match=r"student-00000003\.json is no record"):
        read_run(store, "student")


@contextlib.contextmanager
def without_root() -> Iterator[None]:
    """As a user whom permissions stop."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_permissions_links_or_folders_keep_from_being_read_hides_no_other() -> None:
    # Not pytest's folder, which only its user may enter.
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "store"
        store = open_store(str(folder))
        write_run(store, record("student", 1))
        write_run(store, record("student", 2))
        runs = folder / "runs" / "default" / "student"
        (runs / "circle.json").symlink_to("circle.json")
        (runs / "nowhere.json").symlink_to("gone.json")
        (runs / "folder.json").mkdir()
        (runs / "student-00000002.json").chmod(0)
        Path(place).chmod(0o755)
        with without_root():
            records, unreadable = list_runs(store)
            assert records == (record("student", 1),)
            assert [run.path.rsplit("/", 1)[1] for run in unreadable] == ["circle.json", "student-00000002.json"]
            assert "Permission denied" in str(unreadable[1].error)
            assert read_run(store, "student") == record("student", 1)
        (runs / "student-00000002.json").chmod(0o644)
        runs.chmod(0)
        with without_root(), pytest.raises(StoreError, match="cannot list 'runs/default/student/': Permission denied"):
            list_runs(store)
        runs.chmod(0o755)


def test_a_store_that_does_not_answer_is_no_list_of_unreadable_runs(folder: Store) -> None:
    class Cut:
        """The store, whose connection is cut after the listing."""

        def __getattr__(self, name: str) -> Any:
            return getattr(folder, name)

        def read(self, path: str) -> bytes:
            raise StoreUnreachable(f"{path}: no connection")

    write_run(folder, record("student", 1))
    with pytest.raises(StoreUnreachable):
        list_runs(Cut())


def test_a_manifest_of_a_newer_version_is_not_called_damaged(folder: Store) -> None:
    folder.write(f"stages/debate/{KEY}/manifest.json", b'{"schema_version": 2, "all": "else"}')
    with pytest.raises(StoreError, match=r"schema_version 2, this version reads up to 1; upgrade agentark"):
        read_manifest(folder, "debate", KEY)
