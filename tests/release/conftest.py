"""A distillation whose evaluations are in the store, written down by who answers what right."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentark.api import read_manifest as read_resources
from agentark.debate.transcript import MessageRef, Record, Turn, shard_path, write_shard
from agentark.execution.running import run_stage
from agentark.planning import Pin, Plan, Stage, plan
from agentark.store import Output, StageManifest, Store, commit, open_store, stage_path
from agentark.store.outputs import put_folder
from agentark.store.stages import now

QUESTIONS = 20


@pytest.fixture(params=["folder", "minio"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store: a folder, or a fresh prefix on a real server."""
    if request.param == "folder":
        return open_store(str(tmp_path / "store"))
    server = request.getfixturevalue("minio_server")
    return open_store(
        f"s3://{server.bucket}/release/{uuid.uuid4().hex}",
        endpoint=server.endpoint,
        access_key=server.access_key,
        secret_key=server.secret_key,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Store:
    """An empty store in a folder."""
    return open_store(str(tmp_path / "store"))


@dataclass(frozen=True, slots=True)
class World:
    """A store, and jobs whose release can be run in it."""

    store: Store
    folder: Path

    def plan(self, *gates: dict[str, Any], decoding: str = "Greedy", **training: Any) -> Plan:
        """Of a job that releases `sums`; another `training` is another student."""
        job = {
            "apiVersion": "agentark.dev/v1alpha1",
            "kind": "DistillJob",
            "metadata": {"name": "job", "namespace": "team-a"},
            "spec": {
                "debate": {"dataset": {"uri": "file:train.jsonl"}, "teacher": {"model": {"uri": "file:base"}}},
                "student": {"model": {"uri": "file:base"}},
                "methods": ["RSFT"],
                "training": training,
                "evaluation": {
                    "suites": [{"name": "test", "dataset": {"uri": "file:test.jsonl"}}],
                    "controls": ["Debate"],
                    "decoding": [decoding],
                },
                "release": {"name": "sums", "gates": list(gates)},
            },
        }
        file = self.folder / "job.yaml"
        file.write_text(yaml.safe_dump(job))
        (resource,) = read_resources(file)
        uris = ("file:train.jsonl", "file:test.jsonl", "file:base")
        return plan(resource, {uri: Pin(uri=uri, identity=f"sha256:{uri}", rows=QUESTIONS) for uri in uris})

    def evaluated(self, made: Plan, right: Mapping[str, int], *, weights: bytes = b"student") -> Output:
        """Put the student and everybody's answers into the store.

        Args:
            made: Whose stages they are.
            right: Subject -> how many of the questions it answers right, the first ones.
            weights: Content of the student's weights.
        """
        model = self.folder / "models" / uuid.uuid4().hex
        model.mkdir(parents=True)
        (model / "config.json").write_text("{}")
        (model / "model.safetensors").write_bytes(weights)
        student = put_folder(self.store, stage_path("distill", of(made, "distill/RSFT").key, "model"), model)
        self._commit(of(made, "distill/RSFT"), {"model": student})
        for subject, count in right.items():
            stage = of(made, f"evaluate/test/{subject}")
            records = [json_line(record(number, number < count)) for number in range(QUESTIONS)]
            self.store.write(shard_path(stage_path("evaluate", stage.key, "records"), 0), write_shard(records))
            self._commit(stage, {}, metrics={"agents": 1}, usage={"seconds": 1.0})
        run_stage(made, of(made, "compare").key, self.store)
        return student

    def release(self, made: Plan) -> StageManifest:
        """Run the release stage."""
        manifest = run_stage(made, of(made, "release").key, self.store)
        assert manifest is not None
        return manifest

    def _commit(self, stage: Stage, outputs: dict[str, Output], **content: Any) -> None:
        manifest = StageManifest(
            kind=stage.kind,
            key=stage.key,
            params=stage.params,
            inputs=stage.inputs,
            outputs=outputs,
            attempt=1,
            started_at=now(),
            finished_at=now(),
            **content,
        )
        commit(self.store, manifest)


@pytest.fixture
def world(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world in a folder and in a bucket."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return World(store, tmp_path)


@pytest.fixture
def local_world(folder: Store, tmp_path: Path) -> World:
    """A world in a folder."""
    return World(folder, tmp_path)


def of(made: Plan, name: str) -> Stage:
    return next(stage for stage in made.stages if stage.name == name)


def json_line(record: Record) -> bytes:
    return json.dumps(record.model_dump(mode="json")).encode()


def record(number: int, right: bool) -> Record:
    """A single pass over one question, whose answer is its number."""
    answer = str(number) if right else "-1"
    turn = Turn(
        agent=0, round=0, role="agent", model="m", messages=(MessageRef(role="user", template="solve"),), text=answer,
        reasoning="", critique="", solution=answer, answer=answer, finish_reason="stop", truncated=False,
        prompt_tokens=10, completion_tokens=5, latency_s=1.0, temperature=0.0, top_p=1.0, top_k=0, max_tokens=64,
        seed=0, sample=0, samples=1,
    )  # fmt: skip
    return Record(
        id=f"q{number}", question=f"Which number is {number}?", gold=str(number), strategy="SinglePass", agents=1,
        roles=("",), turns=(turn,), rounds=1, consensus=True, answer=answer, solution=answer, decided_by="Single",
        calls=1, prompt_tokens=10, completion_tokens=5,
    )  # fmt: skip
