"""What the init container is told is what `agentark` takes: run here, against a real store and a real release."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agentark.release import Lineage, ReleasedModel, VersionContent, promote, publish
from agentark.store import Store, open_store, sha256_tree
from tests.charts.charting import Helm
from tests.charts.inference import container, pod, render, variables
from tests.servers.s3 import S3Server

FILES = {"config.json": b"{}", "model.safetensors": b"w" * 3000, "tokenizer.json": b"[]"}
OTHER = {**FILES, "model.safetensors": b"v" * 3000}


@pytest.fixture
def store(minio_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with versions 1 and 2 of the release `math-student`."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", minio_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", minio_server.secret_key)
    opened = open_store(f"s3://{minio_server.bucket}/{tmp_path.name}", endpoint=minio_server.endpoint)
    for number, files in enumerate((FILES, OTHER), 1):
        path = f"stages/distill/{number}/model"
        for name, content in files.items():
            opened.write(f"{path}/{name}", content)
        publish(opened, version(path, f"{opened.uri}/{path}", digest_of(files, tmp_path / f"made-{number}")))
    return opened


def version(path: str, uri: str, digest: str) -> VersionContent:
    """What is released of a model."""
    lineage = Lineage(
        run_id="r", kind="DistillJob", namespace="n", name="r", stage_key=digest[-16:], stages=(), pins={}
    )
    size = sum(map(len, FILES.values()))
    model = ReleasedModel(path=path, uri=uri, bytes=size)
    return VersionContent(
        name="math-student", digest=digest, model=model, scores=(), gates=(), lineage=lineage, created_at="now"
    )


def digest_of(files: Mapping[str, bytes], folder: Path) -> str:
    """Digest of a folder with these files, which is made."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return f"sha256:{sha256_tree(folder)}"


class Node:
    """Runs a pod's init container as a process here, its volumes being folders."""

    def __init__(self, helm: Helm, server: S3Server, store: Store, folder: Path) -> None:
        self._helm, self._server, self._folder = helm, server, folder
        self._store = {"uri": store.uri, "endpoint": server.endpoint, "secretName": "store"}

    @property
    def served(self) -> Path:
        """What is mounted at /models."""
        return self._folder / "models"

    @property
    def word(self) -> str:
        """What Kubernetes would show of the container that failed."""
        return (self._folder / "termination-log").read_text()

    def begin(self, model: dict[str, Any], name: str = "fetch", **given: Any) -> int:
        """The exit code of the init container of a pod that serves the model."""
        spec = pod(render(self._helm, models={"math": model}, **{"store": self._store, **given}))
        one = container(spec, name)
        mounts = {mount["mountPath"]: mount["name"] for mount in one["volumeMounts"]}
        assert mounts == {"/models": "models", "/work": "work", "/tmp": "temporary"}
        for volume in mounts.values():
            (self._folder / volume).mkdir(exist_ok=True)
        command = [sys.executable, *one["command"][1:], *(self._path(word) for word in one["args"])]
        env = {name: self._value(value) for name, value in variables(one).items()}
        env["AGENTARK_TERMINATION_LOG"] = str(self._folder / "termination-log")
        done = subprocess.run(command, env={**env, "PATH": os.environ["PATH"]}, cwd="/", check=False, timeout=120)
        return done.returncode

    def contents(self, folder: str) -> dict[str, bytes]:
        """The files of a model, but for the notes of `agentark fetch`."""
        found = (self.served / folder).iterdir()
        return {file.name: file.read_bytes() for file in found if not file.name.startswith(".agentark")}

    def _path(self, word: str) -> str:
        return f"{self.served}{word.removeprefix('/models')}" if word.startswith("/models") else word

    def _value(self, value: Any) -> str:
        if isinstance(value, dict):
            reference = value["secretKeyRef"]
            assert reference["name"] == "store"
            return {"accessKey": self._server.access_key, "secretKey": self._server.secret_key}[reference["key"]]
        for inside, volume in (("/work", "work"), ("/tmp", "temporary")):
            if value == inside or value.startswith(f"{inside}/"):
                return f"{self._folder / volume}{value.removeprefix(inside)}"
        return str(value)


@pytest.fixture
def node(helm_newest: Helm, minio_server: S3Server, store: Store, tmp_path: Path) -> Node:
    return Node(helm_newest, minio_server, store, tmp_path)


def test_a_version_of_a_release_is_fetched(node: Node) -> None:
    assert node.begin({"release": "math-student@1"}) == 0
    assert node.contents("math") == FILES


def test_without_a_version_it_is_the_current_one_of_the_moment(node: Node, store: Store) -> None:
    assert node.begin({"release": "math-student"}) == 0
    assert node.contents("math") == OTHER
    promote(store, "math-student", 1)
    assert node.begin({"release": "math-student"}) == 0
    assert node.contents("math") == FILES


def test_a_wrong_digest_is_refused_with_what_was_found(node: Node, tmp_path: Path) -> None:
    wrong = "sha256:" + 64 * "0"
    assert node.begin({"release": "math-student@1", "digest": wrong}) == 2
    assert node.word.startswith("InvalidInput: release://math-student@1:") and wrong in node.word
    right = digest_of(FILES, tmp_path / "same")
    assert node.begin({"release": "math-student@1", "digest": right}) == 0


def test_a_folder_of_a_bucket_is_fetched_and_checked(node: Node, store: Store, tmp_path: Path) -> None:
    uri = f"{store.uri}/stages/distill/2/model"
    right = digest_of(OTHER, tmp_path / "same")
    assert node.begin({"uri": uri, "digest": right}) == 0
    assert node.contents("math") == OTHER
    # It needs no place in which releases are: only the server and its keys.
    elsewhere = {"endpoint": node._store["endpoint"], "secretName": "store"}
    assert node.begin({"uri": uri, "digest": right}, store=elsewhere) == 0
    assert node.begin({"uri": uri, "digest": "sha256:" + 64 * "0"}) == 2
    assert f"is {right} now, sha256:000" in node.word and "was asked for" in node.word


def test_versions_lie_side_by_side_in_a_cache(node: Node) -> None:
    cache = {"existingClaim": "models"}
    for number in (1, 2, 1):
        assert node.begin({"release": f"math-student@{number}", "cache": cache}) == 0
    assert sorted(len(node.contents(one.name)) for one in node.served.iterdir()) == [len(FILES)] * 2


def test_a_volume_is_checked_where_it_lies(node: Node) -> None:
    node.served.mkdir()
    right = digest_of(FILES, node.served / "seven")
    model: dict[str, Any] = {"pvc": {"claimName": "models", "path": "seven"}}
    assert node.begin({**model, "digest": right}, "verify") == 0
    (node.served / "seven" / "tokenizer.json").write_bytes(b"{}")
    assert node.begin({**model, "digest": right}, "verify") == 2
    assert node.word.startswith("InvalidInput: ") and f"{right} was asked for" in node.word


def test_a_release_that_is_not_there_is_named(node: Node) -> None:
    assert node.begin({"release": "writer"}) == 2
    assert "there is no release 'writer'" in node.word
    assert node.begin({"release": "math-student@9"}) == 2
    assert "no version 9" in node.word
