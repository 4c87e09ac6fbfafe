"""Nothing half-written is ever seen: after kill -9, on a full disk, without permission, in a damaged store."""

import os
import random
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentark.errors import StoreError
from agentark.store import Output, StageManifest, Store, commit, open_store, read_manifest, verify_outputs
from agentark.store.local import LocalStore
from agentark.store.outputs import fetch, put_bytes, put_file, put_folder
from tests.servers.s3 import S3Server
from tests.store.writer import is_whole

ROOT = Path(__file__).parents[2]


def manifest(outputs: dict[str, Output], *, attempt: int = 1) -> StageManifest:
    return StageManifest(
        kind="debate",
        key="0123456789abcdef",
        params={"agents": 5},
        inputs={},
        outputs=outputs,
        attempt=attempt,
        started_at="2026-01-01T00:00:00.000Z",
        finished_at="2026-01-01T00:01:00.000Z",
    )


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program in a process of its own."""
    command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_a_killed_writer_leaves_only_whole_objects(
    store: Store, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    endpoint, environment = "", dict(os.environ)
    if not isinstance(store, LocalStore):
        kind = request.node.callspec.params["store"]
        server: S3Server = request.getfixturevalue(f"{kind}_server")
        endpoint = server.endpoint
        environment |= {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
    command = [sys.executable, "-m", "tests.store.writer", store.uri, endpoint, str(tmp_path)]
    for number in range(2):
        moment = random.Random(number)
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline()
            time.sleep(moment.uniform(0, 0.3))  # not a wait for anything: the moment of death is the point
            writer.send_signal(signal.SIGKILL)
        entries = list(store.entries(""))
        assert {"file", "object"} < {entry.path for entry in entries}
        assert all(is_whole(store.read(entry.path)) for entry in entries)


def test_what_killed_writers_left_is_swept_after_a_day(tmp_path: Path) -> None:
    open_store(str(tmp_path)).write("x", b"1")
    old, new = tmp_path / ".store" / "tmp" / "old", tmp_path / ".store" / "tmp" / "new"
    for file in (old, new):
        file.write_bytes(b"half")
    os.utime(old, (time.time() - 90_000, time.time() - 90_000))
    assert [entry.path for entry in open_store(str(tmp_path)).entries("")] == ["x"]
    assert (old.exists(), new.exists()) == (False, True)


FILL = """
    import resource, sys
    from pathlib import Path
    from agentark.errors import StoreUnavailable
    from agentark.store import open_store
    store = open_store(sys.argv[1])
    store.write("kept", b"old")
    if sys.argv[3] == "limited":
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    big = bytes(8 << 20)
    for operation in (
        lambda: store.write("kept", big),
        lambda: store.create("new/manifest.json", big),
        lambda: store.upload("uploaded", Path(sys.argv[2])),
        lambda: open_store(sys.argv[4]).download("big", Path(sys.argv[1]) / "copy"),
    ):
        try:
            operation()
        except StoreUnavailable as error:
            print(error)
        else:
            raise SystemExit("no error")
    assert store.read("kept") == b"old"
    assert [entry.path for entry in store.entries("")] == ["kept"], list(store.entries(""))
    store.write("kept", b"small things still fit")
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder with 4 MiB of space; where a disk cannot be mounted, one for a process with limited files."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        yield place, "limited"
        return
    try:
        yield place, "mounted"
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_said_and_keeps_what_was_there(small_disk: tuple[Path, str], tmp_path: Path) -> None:
    place, how = small_disk
    source = tmp_path / "source"
    source.write_bytes(bytes(8 << 20))
    open_store(str(tmp_path / "other")).upload("big", source)
    done = run(FILL, str(place), str(source), how, str(tmp_path / "other"))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 4
    assert all(str(place) in line and "free space" in line for line in lines)
    assert list((place / ".store" / "tmp").iterdir()) == []
    assert not [file for file in place.iterdir() if file.name.endswith(".part")]


def test_a_file_size_limit_is_said_too(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(8 << 20))
    open_store(str(tmp_path / "other")).upload("big", source)
    done = run(FILL, str(tmp_path / "store"), str(source), "limited", str(tmp_path / "other"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("free space") == 4


def test_a_folder_without_permission_is_said() -> None:
    # As another user: root may write anywhere.
    program = """
        import os, sys
        from agentark.errors import StoreError
        from agentark.store import open_store
        if os.getuid() == 0:
            os.setgroups([]); os.setgid(65534); os.setuid(65534)
        for operation in (lambda store: store.write("x", b"1"), lambda store: store.create("y", b"1")):
            try:
                operation(open_store(sys.argv[1]))
            except StoreError as error:
                print(error)
    """
    # Folders of pytest's own are closed to others, and other processes of the run write there.
    with tempfile.TemporaryDirectory() as parent:
        place = Path(parent, "store")
        for folder in (Path(parent), place):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o555)
        done = run(program, str(place))
        for folder in (Path(parent), place):
            folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("write access") == 2 and str(place) in done.stdout


def test_a_manifest_whose_outputs_are_not_there_is_not_committed(store: Store) -> None:
    there = put_bytes(store, "stages/debate/0123456789abcdef/attempts/1/a.jsonl", b"row\n", rows=1)
    missing = there.model_copy(update={"path": "stages/debate/0123456789abcdef/attempts/1/b.jsonl"})
    with pytest.raises(StoreError, match="'lost' is missing"):
        commit(store, manifest({"there": there, "lost": missing}))
    with pytest.raises(StoreError, match="has 4 bytes"):
        commit(store, manifest({"there": there.model_copy(update={"bytes": 5})}))
    assert read_manifest(store, "debate", "0123456789abcdef") is None


def test_a_damaged_store_is_found(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "sub" / "weights.bin").write_bytes(os.urandom(9 << 20))
    prefix = "stages/debate/0123456789abcdef/attempts/1"
    outputs = {
        "shard": put_bytes(store, f"{prefix}/shard", b"rows", rows=2),
        "big": put_file(store, f"{prefix}/big", folder / "sub" / "weights.bin"),
        "model": put_folder(store, f"{prefix}/model", folder),
    }
    committed = commit(store, manifest(outputs))
    verify_outputs(store, committed)
    fetch(store, outputs["model"], tmp_path / "again")
    assert (tmp_path / "again" / "sub" / "weights.bin").read_bytes() == (folder / "sub" / "weights.bin").read_bytes()

    damages = {
        f"{prefix}/shard": b"r0ws",
        f"{prefix}/big": bytes(9 << 20),
        f"{prefix}/model/config.json": b"[]",
    }
    for path, content in damages.items():
        good = store.read(path)
        store.write(path, content)
        with pytest.raises(StoreError, match=r"changed or damaged.*delete stages/debate/0123456789abcdef"):
            verify_outputs(store, committed)
        store.delete(path)
        with pytest.raises(StoreError, match=r"is missing|bytes, its manifest says"):
            verify_outputs(store, committed)
        store.write(path, good)
    verify_outputs(store, committed)

    store.write(f"{prefix}/shard", b"r0ws")
    with pytest.raises(StoreError, match="changed or damaged"):
        fetch(store, outputs["shard"], tmp_path / "shard")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"kind": "debate"}'])
def test_what_is_no_manifest_is_said(folder: Store, content: bytes) -> None:
    folder.write("stages/debate/0123456789abcdef/manifest.json", content)
    with pytest.raises(StoreError, match=r"manifest\.json is no stage manifest.*delete it"):
        read_manifest(folder, "debate", "0123456789abcdef")


def test_a_manifest_from_the_future_is_refused(folder: Store) -> None:
    future = manifest({}).model_copy(update={"schema_version": 99})
    folder.write("stages/debate/0123456789abcdef/manifest.json", future.model_dump_json().encode())
    with pytest.raises(StoreError, match="upgrade agentark"):
        read_manifest(folder, "debate", "0123456789abcdef")
