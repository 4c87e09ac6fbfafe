"""What every store must do, on a folder, a real MinIO and a real SeaweedFS."""

import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agentark.errors import InvalidInput, NotFound, StoreError
from agentark.store import Store

ODD_NAMES = [
    "with space.json",
    "ünïcödé/数学/задача.txt",
    "a+b&c=d?e#f%20g",
    "quote'\"<tag>~(x)[y]{z}.json",
    "emoji-🦆.bin",
    "..dots.../.hidden",
]


def test_what_was_written_is_read(store: Store) -> None:
    store.write("stages/debate/x.json", b"one")
    assert store.read("stages/debate/x.json") == b"one"
    store.write("stages/debate/x.json", b"two")
    assert store.read("stages/debate/x.json") == b"two"


def test_an_empty_object_is_an_object(store: Store) -> None:
    store.write("empty", b"")
    assert store.read("empty") == b""
    entry = store.stat("empty")
    assert entry is not None and entry.size == 0
    assert not store.create("empty", b"x")


def test_create_happens_once(store: Store) -> None:
    assert store.create("manifest.json", b"first")
    assert not store.create("manifest.json", b"second")
    assert store.read("manifest.json") == b"first"
    store.delete("manifest.json")
    assert store.create("manifest.json", b"third")


def test_create_does_not_replace_what_was_written(store: Store) -> None:
    store.write("a", b"written")
    assert not store.create("a", b"created")
    assert store.read("a") == b"written"


def test_of_16_racing_creates_exactly_one_wins(store: Store) -> None:
    barrier = threading.Barrier(16)

    def race(key: str, mine: bytes) -> bool:
        barrier.wait()
        return store.create(key, mine)

    with ThreadPoolExecutor(16) as pool:
        for number in range(3):
            key = f"race/{number}/manifest.json"
            bodies = [f"attempt {index}".encode() for index in range(16)]
            won = list(pool.map(race, [key] * 16, bodies))
            assert won.count(True) == 1
            assert store.read(key) == bodies[won.index(True)]


def test_a_missing_object_is_not_found(store: Store, tmp_path: Path) -> None:
    assert store.stat("nothing/here") is None
    with pytest.raises(NotFound, match="nothing/here"):
        store.read("nothing/here")
    with pytest.raises(NotFound, match="nothing/here"):
        store.download("nothing/here", tmp_path / "target")
    assert list(tmp_path.glob("*target*")) == []
    assert list(store.entries("nothing")) == []
    assert store.delete("nothing") == 0


def test_a_folder_is_no_object(store: Store) -> None:
    store.write("folder/x", b"1")
    assert store.stat("folder") is None
    with pytest.raises(NotFound):
        store.read("folder")


def test_stat_names_size_and_changes_its_etag_with_the_content(store: Store) -> None:
    store.write("a/b", b"12345")
    first = store.stat("a/b")
    assert first is not None and (first.path, first.size) == ("a/b", 5)
    assert store.stat("a/b") == first
    store.write("a/b", b"54321")
    second = store.stat("a/b")
    assert second is not None and second.etag != first.etag


def test_entries_come_in_the_order_of_their_paths(store: Store) -> None:
    # '-' sorts before '/', '0' after it: a walk folder by folder would get this wrong.
    paths = ["a-b", "a/b/c", "a/x", "a/x-y", "a0", "b", "é/z"]
    for path in reversed(paths):
        store.write(path, path.encode())
    assert [entry.path for entry in store.entries("")] == paths
    assert [entry.path for entry in store.entries("a")] == ["a/b/c", "a/x", "a/x-y"]
    assert [entry.path for entry in store.entries("a/")] == ["a/b/c", "a/x", "a/x-y"]
    assert all(entry == store.stat(entry.path) for entry in store.entries(""))


def test_what_a_store_keeps_for_itself_is_not_listed(store: Store) -> None:
    assert store.create("x", b"1")
    assert [entry.path for entry in store.entries("")] == ["x"]
    with pytest.raises(InvalidInput, match=r"\.store"):
        store.write(".store/x", b"")


def test_listing_goes_beyond_a_thousand_objects(store: Store) -> None:
    paths = [f"shards/{number:06d}.jsonl.zst" for number in range(1050)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda path: store.write(path, b"x"), paths))
    assert [entry.path for entry in store.entries("shards")] == paths
    assert store.delete("shards") == 1050
    assert list(store.entries("")) == []


def test_delete_takes_the_object_and_what_lies_below_and_nothing_beside(store: Store) -> None:
    for path in ("a/1", "a/b/2", "ab", "a-c/3"):
        store.write(path, b"x")
    assert store.delete("a") == 2
    assert [entry.path for entry in store.entries("")] == ["a-c/3", "ab"]
    assert store.delete("ab") == 1
    assert [entry.path for entry in store.entries("")] == ["a-c/3"]


@pytest.mark.parametrize("path", ODD_NAMES)
def test_odd_names_are_kept(store: Store, path: str, tmp_path: Path) -> None:
    store.write(path, path.encode())
    assert store.read(path) == path.encode()
    assert not store.create(path, b"other")
    assert [entry.path for entry in store.entries("")] == [path]
    store.download(path, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == path.encode()
    assert store.delete(path) == 1
    assert store.create(path, b"new")


@pytest.mark.parametrize(
    "path", ["", "/abs", "a//b", "a/../b", "..", "./a", "a/", "a\nb", "a\\b", "a\0b", "lone\ud800"]
)
def test_malformed_paths_are_refused(store: Store, path: str) -> None:
    for operation in (store.read, store.stat, lambda bad: store.write(bad, b""), lambda bad: store.create(bad, b"")):
        with pytest.raises(InvalidInput, match="store path"):
            operation(path)


def test_twenty_megabytes_go_up_and_come_down(store: Store, tmp_path: Path) -> None:
    source, target = tmp_path / "source.bin", tmp_path / "new" / "target.bin"
    source.write_bytes(os.urandom(20 << 20))
    store.upload("big/model.safetensors", source)
    entry = store.stat("big/model.safetensors")
    assert entry is not None and entry.size == 20 << 20
    store.download("big/model.safetensors", target)
    assert _digest(target.read_bytes()) == _digest(source.read_bytes())
    assert [file.name for file in target.parent.iterdir()] == ["target.bin"]
    # In memory as well, and through each other's way.
    store.write("big/model.safetensors", source.read_bytes())
    assert _digest(store.read("big/model.safetensors")) == _digest(source.read_bytes())


def test_an_upload_replaces(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for content in (b"a longer first version", b"short"):
        source.write_bytes(content)
        store.upload("x", source)
        assert store.read("x") == content


def test_an_upload_of_nothing_names_the_file(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        store.upload("x", tmp_path / "missing")
    assert store.stat("x") is None


def test_readers_never_see_a_mixture(store: Store) -> None:
    versions = {bytes([65 + number]) * 200_000 for number in range(4)}
    store.write("shared", b"A" * 200_000)
    done = threading.Event()

    def rewrite() -> None:
        for _ in range(5):
            for version in sorted(versions):
                store.write("shared", version)
        done.set()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(rewrite)
        while not done.is_set() and not writing.done():
            assert store.read("shared") in versions
        writing.result()


def test_writing_while_the_folder_is_emptied_loses_nothing(store: Store) -> None:
    def write_and_delete(worker: int) -> None:
        for number in range(10):
            path = f"shared/folder/{worker}-{number}"
            store.write(path, b"x")
            if number < 9:
                assert store.delete(path) == 1

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write_and_delete, range(6)))
    assert [entry.path for entry in store.entries("shared")] == [f"shared/folder/{worker}-9" for worker in range(6)]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
