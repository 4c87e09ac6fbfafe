"""A model for a server: whole and the right one, or an error; never half of it, never twice."""

import json
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agentark.api import Model, StoreSource
from agentark.errors import AgentArkError, InvalidInput, StoreError
from agentark.execution import fetching
from agentark.execution.fetching import MARK, fetch_model
from agentark.planning import pin_model
from agentark.release.version import Lineage, ReleasedModel, ReleasedVersion
from agentark.store import Store, open_store, sha256_tree
from agentark.store.s3 import S3Store
from tests.execution.conftest import Workplace
from tests.servers.s3 import S3Server

FILES = {"config.json": b"{}", "model.safetensors": b"w" * 3000, "more/tokenizer.json": b"[]"}


@pytest.fixture
def source(minio_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> StoreSource:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", minio_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", minio_server.secret_key)
    return StoreSource(uri=f"s3://{minio_server.bucket}/{tmp_path.name}", endpoint=minio_server.endpoint)


@pytest.fixture
def bucket(source: StoreSource) -> Iterator[Store]:
    """A bucket with a model at `models/tiny`."""
    store = open_store(source.uri, endpoint=source.endpoint or "")
    for name, content in FILES.items():
        store.write(f"models/tiny/{name}", content)
    yield store


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths that were downloaded."""
    found: list[str] = []
    download = S3Store.download

    def noted(self: S3Store, path: str, target: Path) -> None:
        found.append(path)
        download(self, path, target)

    monkeypatch.setattr(S3Store, "download", noted)
    return found


def contents(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(MARK))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_a_model_is_fetched_once(bucket: Store, source: StoreSource, downloads: list[str], tmp_path: Path) -> None:
    uri, folder = f"{source.uri}/models/tiny", tmp_path / "served"
    (folder / "lost+found").mkdir(parents=True)  # the folder is a volume
    identity = pin_model(Model(uri=uri), store=bucket, source=source).identity
    first = fetch_model(uri, folder, identity=identity, source=source)
    assert contents(folder) == FILES
    assert (first.was_there, first.identity, len(downloads)) == (False, identity, 3)
    assert fetch_model(uri, folder, identity=identity, source=source).was_there
    assert fetch_model(uri, folder, identity="", source=source).was_there
    assert len(downloads) == 3
    (folder / "model.safetensors").unlink()
    assert not fetch_model(uri, folder, identity=identity, source=source).was_there
    assert downloads[3:] == ["tiny/model.safetensors"]


def test_of_two_who_share_a_folder_one_fetches(
    bucket: Store, source: StoreSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, folder = f"{source.uri}/models/tiny", tmp_path / "served"
    begun, go_on = threading.Event(), threading.Event()
    download = S3Store.download

    def slow(self: S3Store, path: str, target: Path) -> None:
        begun.set()
        assert go_on.wait(60)
        download(self, path, target)

    monkeypatch.setattr(S3Store, "download", slow)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(fetch_model, uri, folder, identity="", source=source)
        assert begun.wait(60)
        second = pool.submit(fetch_model, uri, folder, identity="", source=source)
        assert not second.done()
        go_on.set()
        assert [one.result(60).was_there for one in (first, second)] == [False, True]
    assert contents(folder) == FILES


def test_an_interrupted_fetch_leaves_nothing_that_passes_for_a_model_and_goes_on(
    bucket: Store, source: StoreSource, downloads: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, folder = f"{source.uri}/models/tiny", tmp_path / "served"
    download = S3Store.download

    def dying(self: S3Store, path: str, target: Path) -> None:
        if path.endswith("tokenizer.json"):
            raise StoreError("the network is gone")
        download(self, path, target)

    with monkeypatch.context() as broken:
        broken.setattr(S3Store, "download", dying)
        with pytest.raises(StoreError, match="the network is gone"):
            fetch_model(uri, folder, identity="", source=source)
    assert "files" not in json.loads((folder / MARK).read_text())
    before = len(downloads)
    fetch_model(uri, folder, identity="", source=source)
    assert contents(folder) == FILES
    assert downloads[before:] == ["tiny/more/tokenizer.json"]


def test_another_model_than_the_pinned_one_is_refused(bucket: Store, source: StoreSource, tmp_path: Path) -> None:
    uri, folder = f"{source.uri}/models/tiny", tmp_path / "served"
    pinned = fetch_model(uri, folder, identity="", source=source).identity
    bucket.write("models/tiny/model.safetensors", b"v" * 3000)
    with pytest.raises(InvalidInput, match=f"is etags:[0-9a-f]+ now, {pinned} was asked for: the model was changed"):
        fetch_model(uri, tmp_path / "other", identity=pinned, source=source)
    assert not contents(tmp_path / "other")
    # The new one replaces the old one where nobody asks for the old one.
    assert fetch_model(uri, folder, identity="", source=source).identity != pinned
    assert contents(folder)["model.safetensors"] == b"v" * 3000


def test_a_model_that_changes_while_it_is_fetched_is_refused(
    bucket: Store, source: StoreSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = fetching._copy

    def overtaken(store: Store, path: str, folder: Path) -> None:
        copy(store, path, folder)
        bucket.write("models/tiny/config.json", b'{"new": 1}')

    monkeypatch.setattr(fetching, "_copy", overtaken)
    with pytest.raises(InvalidInput, match="was changed or replaced"):
        fetch_model(f"{source.uri}/models/tiny", tmp_path / "served", identity="", source=source)
    assert not contents(tmp_path / "served")


def test_digests_are_compared_with_what_has_arrived(bucket: Store, source: StoreSource, tmp_path: Path) -> None:
    uri, folder = f"{source.uri}/models/tiny", tmp_path / "served"
    fetch_model(uri, folder, identity="", source=source)
    same = tmp_path / "same"
    shutil.copytree(folder, same, ignore=shutil.ignore_patterns(f"{MARK}*"))
    digest = f"sha256:{sha256_tree(same)}"
    assert fetch_model(uri, folder, identity=digest, source=source).identity == digest
    with pytest.raises(InvalidInput, match=f"is {digest} now, sha256:0 was asked for"):
        fetch_model(uri, folder, identity="sha256:0", source=source)


def test_a_released_model_comes_from_the_store_it_was_released_in(
    bucket: Store, source: StoreSource, tmp_path: Path
) -> None:
    for name, content in FILES.items():
        (tmp_path / "made" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "made" / name).write_bytes(content)
    digest = f"sha256:{sha256_tree(tmp_path / 'made')}"
    model = ReleasedModel(path="models/tiny", uri=f"{source.uri}/models/tiny", bytes=3004)
    lineage = Lineage(run_id="r", kind="DistillJob", namespace="n", name="r", stage_key="0" * 16, stages=(), pins={})
    record = ReleasedVersion(
        name="math", digest=digest, model=model, scores=(), gates=(), lineage=lineage, created_at="now", version=3
    )
    bucket.write("releases/math/3.json", record.model_dump_json().encode())
    found = fetch_model("release://math@3", tmp_path / "served", identity="", source=source)
    assert (found.identity, contents(tmp_path / "served")) == (digest, FILES)
    assert fetch_model("release://math@3", tmp_path / "served", identity=digest, source=source).was_there
    with pytest.raises(InvalidInput, match=r"which no version in .* has"):
        fetch_model("release://math@3", tmp_path / "served", identity="sha256:0", source=source)
    bucket.write("models/tiny/config.json", b"[]")
    with pytest.raises(InvalidInput, match="was asked for: the model was changed"):
        fetch_model("release://math@3", tmp_path / "other", identity=digest, source=source)


def test_what_somebody_else_put_there_is_left_alone(bucket: Store, source: StoreSource, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("dear")
    with pytest.raises(InvalidInput, match=r"mine: holds files that `agentark fetch` has not fetched"):
        fetch_model(f"{source.uri}/models/tiny", tmp_path / "mine", identity="", source=source)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "dear"


def test_the_hub_is_asked_for_the_pinned_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def snapshot_download(name: str, *, revision: str, local_dir: Path) -> None:
        asked.append((name, revision))
        if revision == "gone":
            raise RuntimeError("404\nRevision not found")
        (local_dir / ".cache").mkdir()
        (local_dir / ".cache" / "notes").write_text("of the client")
        (local_dir / "config.json").write_text("{}")
        if revision == "pickled":
            (local_dir / "pytorch_model.bin").touch()

    info: Any = SimpleNamespace(repo_info=lambda *of, **what: SimpleNamespace(sha="abc", siblings=None))
    hub = SimpleNamespace(snapshot_download=snapshot_download, HfApi=lambda: info)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    source = StoreSource(uri=f"file:{tmp_path / 'store'}")
    found = fetch_model("hf://org/tiny@main", tmp_path / "a", identity="commit:old", source=source)
    assert (found.files, asked) == ({"config.json": 2}, [("org/tiny", "old")])
    assert fetch_model("hf://org/tiny@main", tmp_path / "a", identity="commit:old", source=source).was_there
    assert fetch_model("hf://org/tiny", tmp_path / "b", identity="", source=source).identity == "commit:abc"
    with pytest.raises(AgentArkError, match=r"did not give commit:gone \(RuntimeError: Revision not found\)"):
        fetch_model("hf://org/tiny", tmp_path / "c", identity="commit:gone", source=source)
    with pytest.raises(InvalidInput, match=r"hf://org/tiny: its weights are there only as pytorch_model\.bin"):
        fetch_model("hf://org/tiny", tmp_path / "e", identity="commit:pickled", source=source)
    with pytest.raises(InvalidInput, match="its identity is a commit, not etags:1"):
        fetch_model("hf://org/tiny", tmp_path / "d", identity="etags:1", source=source)


def test_the_command_line(place: Workplace, bucket: Store, source: StoreSource, monkeypatch: Any) -> None:
    monkeypatch.setenv("AGENTARK_TERMINATION_LOG", str(place.folder / "log"))
    uri = f"{source.uri}/models/tiny"
    found = place.run("fetch", uri, "served", "--endpoint", str(source.endpoint))
    assert "is there: 3 files, 0.0 MB in served" in found
    assert "was there" in place.run("fetch", uri, "served", "--endpoint", str(source.endpoint))
    assert "accepted: s3://BUCKET/FOLDER, hf://" in place.run("fetch", "file:model", "served", expect=2)
    place.run("fetch", uri, "other", "--identity", "etags:0", "--endpoint", str(source.endpoint), expect=2)
    assert (place.folder / "log").read_text().startswith(f"InvalidInput: {uri}: is etags:")
    refused = place.run("fetch", uri, "other", "--endpoint", "nowhere", expect=2)
    assert "--endpoint nowhere: accepted: http://HOST:PORT or https://HOST" in refused
    released = place.run("fetch", "release://math@3", "other", expect=2)
    assert "there is no release 'math'" in released


def test_the_digest_of_a_folder(place: Workplace, bucket: Store, source: StoreSource, monkeypatch: Any) -> None:
    monkeypatch.setenv("AGENTARK_TERMINATION_LOG", str(place.folder / "log"))
    place.run("fetch", f"{source.uri}/models/tiny", "served", "--endpoint", str(source.endpoint))
    found = place.run("digest", "served").strip()
    assert re.fullmatch("sha256:[0-9a-f]{64}", found)
    # What it prints is what `fetch` takes, for the folder in a bucket and for the one on a disk.
    uri = f"{source.uri}/models/tiny"
    place.run("fetch", uri, "again", "--identity", found, "--endpoint", str(source.endpoint))
    assert place.run("digest", "again", "--identity", found).strip() == found
    (place.folder / "again" / "model.safetensors").write_bytes(b"x")
    refused = place.run("digest", "again", "--identity", found, expect=2)
    assert f"{found} was asked for; restore it, or correct the digest" in refused
    assert (place.folder / "log").read_text().startswith("InvalidInput: again: is sha256:")
    assert "holds no config.json" in place.run("digest", "nowhere", expect=2)
