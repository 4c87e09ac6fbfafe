"""What becomes of S3 requests when the network or the server fails, on a real MinIO behind a proxy that misbehaves."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentark.errors import StoreError, StoreRefused
from agentark.store import Store
from tests.servers.proxy import Fate, Proxy, proxy
from tests.servers.s3 import S3Server
from tests.store.conftest import opened


@pytest.fixture
def between(minio_server: S3Server) -> Iterator[Proxy]:
    """A proxy before MinIO."""
    with proxy(minio_server.endpoint) as running:
        yield running


@pytest.fixture
def prefix() -> str:
    """A prefix no other test uses."""
    return f"faults/{uuid.uuid4().hex}"


@pytest.fixture
def behind(minio_server: S3Server, between: Proxy, prefix: str) -> Store:
    """A store on MinIO through the proxy, used once so that region and probe are behind it."""
    store = opened(minio_server, prefix, endpoint=between.endpoint)
    assert store.create("first", b"x")
    return store


def test_a_create_whose_answer_is_lost_is_known_as_won(behind: Store, between: Proxy) -> None:
    between.once("PUT", "manifest.json", "lose answer")
    assert behind.create("manifest.json", b"attempt 1, unique")
    assert behind.read("manifest.json") == b"attempt 1, unique"


def test_a_create_that_never_arrived_can_still_lose(
    behind: Store, between: Proxy, minio_server: S3Server, prefix: str
) -> None:
    direct = opened(minio_server, prefix)

    def decide(method: str, path: str) -> Fate:
        if method != "PUT" or direct.stat("manifest.json"):
            return "pass"
        assert direct.create("manifest.json", b"attempt 2")
        return "lose request"

    between.fate = decide
    assert not behind.create("manifest.json", b"attempt 1")
    assert behind.read("manifest.json") == b"attempt 2"


@pytest.mark.parametrize("fate", ["unavailable", "lose request", "lose answer"])
def test_passing_failures_are_survived(behind: Store, between: Proxy, fate: Fate, tmp_path: Path) -> None:
    between.once("PUT", "object", fate, times=2)
    behind.write("object", b"content")
    between.once("PUT", "new", fate, times=2)
    assert behind.create("new", b"content")
    between.once("GET", "object", fate, times=2)
    assert behind.read("object") == b"content"
    between.once("HEAD", "object", fate, times=2)
    assert behind.stat("object") is not None
    between.once("GET", "list-type", fate)
    assert len(list(behind.entries(""))) == 3
    between.once("POST", "delete", fate)
    behind.delete("object")
    assert behind.stat("object") is None


def test_a_write_that_is_denied_is_tried_once_more(behind: Store, between: Proxy) -> None:
    # As MinIO answers where the folder is emptied at that moment (test_conformance.py, which seldom meets it).
    between.once("PUT", "object", "denied")
    behind.write("object", b"content")
    between.once("PUT", "new", "denied")
    assert behind.create("new", b"content")
    for act in (behind.write, behind.create):
        between.once("PUT", "other", "denied", times=2)
        between.seen.clear()
        with pytest.raises(StoreRefused, match="AccessDenied"):
            act("other", b"content")
        assert len(between.seen) == 2
    assert behind.read("object") == behind.read("new") == b"content" and behind.stat("other") is None


def test_a_body_that_is_cut_is_read_again(behind: Store, between: Proxy, tmp_path: Path) -> None:
    content = bytes(range(256)) * 4000
    behind.write("object", content)
    between.once("GET", "object", "cut body")
    assert behind.read("object") == content
    between.once("GET", "object", "cut body")
    behind.download("object", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content
    assert len(list(tmp_path.iterdir())) == 1


def test_a_large_upload_survives_a_lost_part_and_a_lost_completion(
    behind: Store, between: Proxy, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * (4096 * 18))
    between.once("PUT", "partNumber=2", "lose request")
    behind.upload("part", source)
    between.once("POST", "uploadId", "lose answer")
    behind.upload("completion", source)
    for path in ("part", "completion"):
        entry = behind.stat(path)
        assert entry is not None and entry.size == source.stat().st_size


def test_a_server_that_ignores_the_condition_is_refused(minio_server: S3Server, between: Proxy, prefix: str) -> None:
    between.fate = lambda method, path: "ignore condition"
    store = opened(minio_server, prefix, endpoint=between.endpoint)
    with pytest.raises(StoreError, match="If-None-Match") as caught:
        store.create("stages/manifest.json", b"x")
    assert between.endpoint in str(caught.value)
    assert store.stat("stages/manifest.json") is None


def test_the_probe_costs_one_request(behind: Store, minio_server: S3Server, between: Proxy, prefix: str) -> None:
    again = opened(minio_server, prefix, endpoint=between.endpoint)
    between.seen.clear()
    assert again.create("a", b"1") and again.create("b", b"1")
    assert [path.split("?")[0].rsplit("/", 1)[1] for method, path in between.seen if method == "PUT"] == [
        "create-only",
        "a",
        "b",
    ]


def test_a_server_that_stays_away_is_given_up(minio_server: S3Server, between: Proxy, behind: Store) -> None:
    between.fate = lambda method, path: "unavailable"
    between.seen.clear()
    with pytest.raises(StoreError, match="503") as caught:
        behind.create("x", b"1")
    assert between.endpoint in str(caught.value) and repr(minio_server.bucket) in str(caught.value)
    assert len(between.seen) == 5
