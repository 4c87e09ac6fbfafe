"""What there is when somebody reads a page: data in the store, a namespace, resources in the state it tells of."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agentark.release import Lineage, ReleasedModel, ReleasedScore, VersionContent, publish
from agentark.store import open_store
from agentark.store.outputs import put_folder
from agentark.store.stages import now
from tests.docs.world import Reader
from tests.operator.running import Bench, Body
from tests.servers.kubernetes import ApiServer
from tests.servers.kwok import MISSING_IMAGE
from tests.servers.player import Play, Player
from tests.servers.s3 import S3Server, client

TEAM = "team-a"
GOOD = Play()
_ROWS = "".join(f'{{"id": "q{i}", "question": "What is {i} + 1?", "answer": "#### {i + 1}"}}\n' for i in range(8))
_SOON_GONE = {"spec": {"terminationGracePeriodSeconds": 1}}
"""For what has no node: Kubernetes looks at a namespace again after half of its pods' longest grace period."""
_MEMORY = {"spec": {"containers": [{"name": "stage", "resources": {"limits": {"memory": "4Gi"}}}]}}


class Scene:
    """What a page finds.

    Args:
        server: The cluster's API server.
        s3: The store's server.
        player: Plays the pods.
        prefix: Folder of the page's things in the bucket.
        folder: For files of its own.
    """

    def __init__(self, server: ApiServer, s3: S3Server, player: Player, prefix: str, folder: Path) -> None:
        self.server, self.s3, self.player, self.folder = server, s3, player, folder
        self.bench = Bench(server, s3, TEAM)
        self.uri = f"s3://{s3.bucket}/{prefix}"

    def data(self) -> None:
        """Upload questions and a model where the examples look for them."""
        store = client(self.s3.endpoint)
        prefix = self.uri.removeprefix(f"s3://{self.s3.bucket}/")
        self.folder.mkdir(parents=True, exist_ok=True)
        rows, config = self.folder / "rows.jsonl", self.folder / "config.json"
        rows.write_text(_ROWS)
        config.write_text("{}")
        for name in ("gsm8k/train", "gsm8k/test", "train", "test"):
            store.fput_object(self.s3.bucket, f"{prefix}/data/{name}.jsonl", str(rows))
        store.fput_object(self.s3.bucket, f"{prefix}/models/base/config.json", str(config))

    def namespace(self) -> None:
        """The namespace to work in, with the store's Secret; restricted."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TEAM, "labels": labels}}
        answer = self.server.apply(f"/api/v1/namespaces/{TEAM}", made)
        assert answer.status in (200, 201), answer.message
        self.server.awaited(f"/api/v1/namespaces/{TEAM}/serviceaccounts/default", bool)
        self.bench.make_secret()

    def debate(self, name: str, agents: int, **spec: Any) -> str:
        """Apply a DebateRun that shares its stage with no other; returns its path."""
        made: Body = {
            "dataset": {"uri": f"{self.uri}/data/train.jsonl"},
            "teacher": {"endpoint": {"baseUrl": "http://teacher.example:8000/v1", "model": "qwen3-8b"}},
            "protocol": {"agents": agents, "rounds": 2, "tie": "First"},
            "store": self.store,
        }
        return self.bench.apply(self.bench.resource("DebateRun", name, made | spec))

    @property
    def store(self) -> Body:
        """`spec.store` of the examples."""
        secret = {"name": "store"}
        return {"uri": f"{self.uri}/team-a", "endpoint": self.s3.endpoint, "credentialsSecretRef": secret}

    def released(self, name: str, *scores: float) -> None:
        """Publish versions of a model into the store of the examples."""
        server = self.s3
        store = open_store(
            self.store["uri"], endpoint=server.endpoint, access_key=server.access_key, secret_key=server.secret_key
        )
        for number, value in enumerate(scores, 1):
            model = self.folder / f"{name}-{number}"
            model.mkdir(parents=True)
            (model / "model.safetensors").write_text(f"{name} {number}")
            key = f"{number:016x}"
            put = put_folder(store, f"stages/distill/{key}/attempts/1/model", model)
            measured = ReleasedScore(suite="gsm8k", subject="student", value=value, low=value - 0.02, high=value + 0.02)
            made = {"run_id": f"gsm8k-student-{key[-10:]}", "kind": "DistillJob", "namespace": TEAM}
            lineage = Lineage(**made, name="gsm8k-student", stage_key=key, stages=(), pins={})
            content = VersionContent(
                name=name,
                digest=f"sha256:{put.sha256}",
                model=ReleasedModel(path=put.path, uri=f"{store.uri}/{put.path}", bytes=put.bytes),
                scores=(measured,),
                gates=(),
                lineage=lineage,
                created_at=now(),
            )
            publish(store, content)

    def awaited(self, path: str, reason: str) -> None:
        """Wait until a resource says why it is not ready."""
        self.server.awaited(path, lambda one: reason in json.dumps(one.get("status", {}).get("conditions", [])))


def kinds(scene: Scene, reader: Reader) -> None:
    """Nothing but data and a namespace."""
    scene.data()
    scene.namespace()


def release(scene: Scene, reader: Reader) -> None:
    """Three versions are released, and there is a ModelRelease that follows them."""
    kinds(scene, reader)
    scene.released("math-student", 0.4223, 0.4511, 0.4602)
    path = scene.bench.apply(scene.bench.resource("ModelRelease", "math-student", {"store": scene.store}))
    scene.awaited(path, "Newest")


def troubles(scene: Scene, reader: Reader) -> None:
    """One resource for each trouble."""
    kinds(scene, reader)
    ends: Mapping[str, Play] = {
        "little-memory": Play(137, reason="OOMKilled"),
        "bad-rows": Play(2, "InvalidInput: data set s3://agentark/data/train.jsonl, line 3: no field 'answer'"),
        "slow": Play(None),
    }
    scene.player.act = lambda pod: ends.get(pod["metadata"]["labels"]["agentark.dev/name"], GOOD)
    scene.bench.make_secret("store-of-old", accessKey="none-such")
    image = {"spec": {"containers": [{"name": "stage", "image": MISSING_IMAGE}]}}
    paths = {
        scene.debate(
            "no-secret", 2, store=scene.store | {"credentialsSecretRef": {"name": "none-such"}}
        ): "is not there",
        scene.debate("no-image", 3, pods=image): "ImagePullBackOff",
        scene.debate("no-room", 4, execution={"gpusPerWorker": 16}, pods=_SOON_GONE): "Unschedulable",
        scene.debate("not-restricted", 5, pods={"spec": {"hostNetwork": True}}): "PodSecurity",
        scene.debate("little-memory", 6, pods=_MEMORY, runPolicy={"backoffLimit": 1}): "BackoffLimitExceeded",
        scene.debate("bad-rows", 7): "InvalidInput",
        scene.debate("on-my-laptop", 8, dataset={"uri": "file:train.jsonl"}): "InvalidSpec",
        scene.debate("no-data", 9, dataset={"uri": f"{scene.uri}/data/none-such.jsonl"}): "InputNotReady",
        scene.debate("slow", 10): "StageRunning",
    }
    made = {"debateRef": {"name": "none-such"}, "store": scene.store}
    paths[scene.bench.apply(scene.bench.resource("PRMTraining", "no-debate", made))] = "DependencyNotReady"
    for path, reason in paths.items():
        scene.awaited(path, reason)


def done(scene: Scene, reader: Reader) -> None:
    """A debate and a job that names it, both complete."""
    kinds(scene, reader)
    debate = scene.debate("talk", 3)
    job = {
        "debateRef": {"name": "talk"},
        "student": {"model": {"uri": f"{scene.uri}/models/base"}},
        "methods": ["RSFT"],
        "training": {"backend": "Job"},
        "evaluation": {
            "suites": [{"name": "test", "dataset": {"uri": f"{scene.uri}/data/test.jsonl"}}],
            "controls": [],
        },
        "store": scene.store,
    }
    path = scene.bench.apply(scene.bench.resource("DistillJob", "student", job))
    for one in (debate, path):
        scene.awaited(one, '"Complete"')


SCENES: Mapping[str, Callable[[Scene, Reader], None]] = {
    "kinds/modelrelease.md": release,
    "serving.md": release,
    "troubleshooting.md": troubles,
    "operations.md": done,
    "install.md": lambda scene, reader: scene.data(),
}
"""Page -> what it needs beside what `kinds` prepares."""
