"""What addresses in S3 stand for: a given digest is held against the content, which is fetched once."""

import hashlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentark.api import DebateRun, StoreSource
from agentark.errors import InvalidInput, StoreUnavailable
from agentark.planning import Pin, pin_addresses
from agentark.store import open_store, sha256_tree
from tests.servers.proxy import Proxy, proxy
from tests.servers.s3 import S3Server

ROWS = b'{"question": "1 + 1?", "answer": "2"}\n'
DIGEST = f"sha256:{hashlib.sha256(ROWS).hexdigest()}"


class Bucket:
    """Data and a model below a prefix of a test's own, behind a proxy that sees what is asked for."""

    def __init__(self, server: S3Server, between: Proxy, folder: Path) -> None:
        self.uri = f"s3://{server.bucket}/pins/{uuid.uuid4().hex}"
        self.source = StoreSource(uri=self.uri, endpoint=between.endpoint, region="us-east-1")
        self.between = between
        self.store = open_store(self.uri, endpoint=between.endpoint, region="us-east-1")
        self.store.write("rows.jsonl", ROWS)
        (folder / "model/sub").mkdir(parents=True)
        for name in ("config.json", "sub/weights"):
            (folder / "model" / name).write_text(name)
            self.store.upload(f"model/{name}", folder / "model" / name)
        self.model_digest = f"sha256:{sha256_tree(folder / 'model')}"

    def pins(self, *, data: str = "", model: str = "", dataset: str = "") -> dict[str, Pin]:
        """Of a DebateRun with these digests."""
        spec = {
            "dataset": {"uri": dataset or f"{self.uri}/rows.jsonl"} | ({"digest": data} if data else {}),
            "teacher": {"model": {"uri": f"{self.uri}/model"} | ({"digest": model} if model else {})},
        }
        made = {"apiVersion": "agentark.dev/v1alpha1", "kind": "DebateRun", "metadata": {"name": "talk"}, "spec": spec}
        self.between.seen.clear()
        return pin_addresses(
            [DebateRun.model_validate(made)], base=Path("/nonexistent"), store=self.store, source=self.source
        )

    @property
    def fetched(self) -> list[str]:
        """Last parts of the paths of objects whose content was asked for."""
        return [path.rpartition("/")[2] for method, path in self.between.seen if method == "GET" and "?" not in path]


@pytest.fixture
def bucket(minio_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", minio_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", minio_server.secret_key)
    with proxy(minio_server.endpoint) as between:
        yield Bucket(minio_server, between, tmp_path)


def test_without_a_digest_nothing_is_fetched(bucket: Bucket) -> None:
    identities = [pin.identity.partition(":")[0] for pin in bucket.pins().values()]
    assert (identities, bucket.fetched) == (["etag", "etags"], [])


def test_a_digest_is_held_against_the_content_once(bucket: Bucket) -> None:
    pins = bucket.pins(data=DIGEST, model=bucket.model_digest)
    assert {pin.identity for pin in pins.values()} == {DIGEST, bucket.model_digest}
    assert sorted(bucket.fetched) == ["config.json", "rows.jsonl", "weights"]
    assert bucket.pins(data=DIGEST, model=bucket.model_digest) == pins
    assert bucket.fetched == []


def test_another_content_is_named_until_it_is_the_right_one(bucket: Bucket) -> None:
    bucket.store.write("rows.jsonl", ROWS * 2)
    with pytest.raises(
        InvalidInput, match=f"rows.jsonl has sha256:.*the manifest says {DIGEST}; .*restore the content"
    ):
        bucket.pins(data=DIGEST)
    bucket.store.write("rows.jsonl", ROWS)
    bucket.pins(data=DIGEST)


def test_digests_of_the_hub_are_refused_with_the_mend(bucket: Bucket) -> None:
    with pytest.raises(InvalidInput, match="leave the digest out and name the commit"):
        bucket.pins(dataset="hf://org/rows#main", data=DIGEST)


def test_whose_bucket_is_missing_is_said(bucket: Bucket) -> None:
    with pytest.raises(
        StoreUnavailable, match=r"data set s3://not-there/rows.jsonl: bucket 'not-there' at .* create it"
    ):
        bucket.pins(dataset="s3://not-there/rows.jsonl")


def test_offline_the_hub_is_not_asked(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(ROWS)
    spec = {"dataset": {"uri": "file:rows.jsonl"}, "teacher": {"model": {"uri": "hf://org/model"}}}
    made = {"apiVersion": "agentark.dev/v1alpha1", "kind": "DebateRun", "metadata": {"name": "talk"}, "spec": spec}
    (tmp_path / "talk.yaml").write_text(json.dumps(made))
    command = [sys.executable, "-m", "agentark", "plan", "-f", "talk.yaml"]
    env = {**os.environ, "HF_HUB_OFFLINE": "1"}  # read when the library is loaded
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "the hub is not asked here (HF_HUB_OFFLINE is set)" in " ".join(done.stderr.split())
