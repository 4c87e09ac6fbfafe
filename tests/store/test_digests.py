"""Digests of files and folders, and when they are remembered."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from agentark.errors import InvalidInput
from agentark.store import sha256_file, sha256_tree

LARGE = 2 << 20


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own; the file appears with the first remembered digest."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "agentark" / "digests.json"


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The present, an hour later: files that were just made count as old."""
    import time

    now = time.time
    monkeypatch.setattr("time.time", lambda: now() + 3600)


def test_a_digest_is_that_of_the_content(tmp_path: Path) -> None:
    for content in (b"", b"abc", os.urandom(LARGE)):
        (tmp_path / "x").write_bytes(content)
        assert sha256_file(tmp_path / "x") == hashlib.sha256(content).hexdigest()


@pytest.mark.usefixtures("settled")
def test_a_large_file_is_remembered_until_it_changes(tmp_path: Path, cache: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(bytes(LARGE))
    digest = sha256_file(file)
    remembered = json.loads(cache.read_text())
    assert list(remembered.values()) == [digest]
    # What is remembered is what is answered: a mark in the memory comes back.
    cache.write_text(json.dumps(dict.fromkeys(remembered, "f" * 64)))
    assert sha256_file(file) == "f" * 64
    # Same size, same time stamp, other content: the time of change of the entry itself betrays it.
    stamp = file.stat().st_mtime_ns
    file.write_bytes(b"x" * LARGE)
    os.utime(file, ns=(stamp, stamp))
    assert sha256_file(file) == hashlib.sha256(b"x" * LARGE).hexdigest()


def test_a_file_just_written_is_not_remembered(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "x").write_bytes(bytes(LARGE))
    sha256_file(tmp_path / "x")
    assert not cache.exists()


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("content", ["", "{", "[1]", '{"a": 1}'])
def test_a_damaged_memory_is_ignored_and_replaced(tmp_path: Path, cache: Path, content: str) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text(content)
    (tmp_path / "x").write_bytes(bytes(LARGE))
    digest = sha256_file(tmp_path / "x")
    assert digest == hashlib.sha256(bytes(LARGE)).hexdigest()
    assert digest in json.loads(cache.read_text()).values()


@pytest.mark.usefixtures("settled")
def test_a_memory_that_cannot_be_written_costs_only_time(tmp_path: Path, cache: Path) -> None:
    cache.parent.parent.mkdir()
    cache.parent.write_text("a file where the folder should be")
    (tmp_path / "x").write_bytes(bytes(LARGE))
    assert sha256_file(tmp_path / "x") == hashlib.sha256(bytes(LARGE)).hexdigest()


def test_a_tree_is_its_relative_paths_and_contents(tmp_path: Path) -> None:
    def tree(name: str, files: dict[str, bytes]) -> str:
        for path, content in files.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_bytes(content)
        return sha256_tree(tmp_path / name)

    first = tree("a", {"config.json": b"{}", "sub/weights": b"w"})
    assert first == tree("b", {"sub/weights": b"w", "config.json": b"{}"})
    others = [
        tree("c", {"config.json": b"{}", "weights": b"w"}),
        tree("d", {"config.json": b"{}", "sub/weights": b"W"}),
        tree("e", {"config.json": b"{}", "sub/weights": b"w", "sub/more": b""}),
        tree("f", {"config.json": b"w", "sub/weights": b"{}"}),
    ]
    assert len({first, *others}) == 5


def test_what_cannot_be_hashed_is_invalid_input(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="missing: cannot be read"):
        sha256_file(tmp_path / "missing")
    with pytest.raises(InvalidInput, match="not a folder"):
        sha256_tree(tmp_path / "missing")
    with pytest.raises(InvalidInput, match="holds no files"):
        sha256_tree(tmp_path / "empty")
