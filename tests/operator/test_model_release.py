"""ModelReleases on a real API server with a real MinIO: what is released is shown, and a rollback is one field."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from agentark_operator.releases import SOURCE_RUN

from agentark.api import DistillJob, StoreSource
from agentark.execution.stages.release import decision_line, lineage_of
from agentark.planning import Plan, pin_addresses
from agentark.planning import plan as lay_out
from agentark.release import (
    Lineage,
    ReleasedModel,
    ReleasedScore,
    ReleasedVersion,
    VersionContent,
    list_versions,
    promote,
    publish,
    read_current,
)
from agentark.store import Store, open_store
from agentark.store.outputs import put_folder
from agentark.store.stages import now
from tests.operator.kstatus import health
from tests.operator.running import Bench, Operators, condition, phase
from tests.servers.kubernetes import ApiServer
from tests.servers.s3 import S3Server
from tests.servers.stage_command import StageCommand
from tests.servers.stage_results import commit_result

NAMESPACE = "releases"
Body = dict[str, Any]
Apply = Callable[..., str]


@pytest.fixture(scope="module")
def bench(cluster: ApiServer, minio_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    answer = cluster.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    assert answer.status == 201, answer.message
    made = Bench(cluster, minio_server, NAMESPACE)
    made.prepare(tmp_path_factory.mktemp("bench"))
    return made


@pytest.fixture(scope="module")
def operators(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operators]:
    """One operator for all tests of this file."""
    made = Operators(bench.server, tmp_path_factory.mktemp("operator"), {"AGENTARK_NAMESPACES": NAMESPACE})
    with made.running():
        yield made


@pytest.fixture
def store(bench: Bench) -> Store:
    server = bench.s3
    return open_store(
        bench.store["uri"], endpoint=server.endpoint, access_key=server.access_key, secret_key=server.secret_key
    )


@pytest.fixture
def apply(bench: Bench, operators: Operators) -> Iterator[Apply]:
    """Apply the ModelRelease of a name; returns its path. Deleted at the end."""
    paths = set()

    def act(name: str, **spec: Any) -> str:
        path = bench.apply(bench.resource("ModelRelease", name, spec))
        paths.add(path)
        return path

    yield act
    for path in paths:
        bench.server.request("DELETE", path)
        assert bench.server.request("GET", path).status == 404, "nothing holds it"


def weights(store: Store, folder: Path, path: str, content: str) -> tuple[str, ReleasedModel]:
    """Put a model into the store; its digest and where it is."""
    model = folder / content
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_text(content)
    put = put_folder(store, path, model)
    return f"sha256:{put.sha256}", ReleasedModel(path=put.path, uri=f"{store.uri}/{put.path}", bytes=put.bytes)


def release(store: Store, folder: Path, name: str, key: str, *, accuracy: float = 0.5) -> ReleasedVersion:
    """Release a student as a job does."""
    digest, model = weights(store, folder, f"stages/distill/{name}-{key}/attempts/1/model", f"{name}-{key}")
    lineage = Lineage(
        run_id=f"job-{key}", kind="DistillJob", namespace="lab", name="job", stage_key=key, stages=(), pins={}
    )
    score = ReleasedScore(suite="sums", subject="student", value=accuracy, low=0.0, high=1.0)
    content = VersionContent(
        name=name, digest=digest, model=model, scores=(score,), gates=(), lineage=lineage, created_at=now()
    )
    return publish(store, content)[0]


def touch(bench: Bench, path: str) -> Body:
    """Have a resource looked at, as a person can."""
    change = {"metadata": {"annotations": {"agentark.dev/requestedAt": now()}}}
    answer = bench.server.request("PATCH", path, change, form="application/merge-patch+json")
    assert answer.status == 200, answer.message
    return answer.body


def reason(wanted: str) -> Callable[[Body], bool]:
    """Whether a resource is ready, or not, for a reason, and its status about its spec."""

    def right(found: Body) -> bool:
        fresh = found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"]
        return fresh and bool(condition(found)["reason"] == wanted)

    return right


def shown(bench: Bench, path: str) -> dict[str, Any]:
    """What `kubectl get -o wide` shows of a resource."""
    headers = {
        "Authorization": f"Bearer {bench.server.token}",
        "Accept": "application/json;as=Table;v=v1;g=meta.k8s.io",
    }
    table = bench.server.pool.request("GET", bench.server.url + path, headers=headers).json()
    names = [column["name"] for column in table["columnDefinitions"]]
    return dict(zip(names, table["rows"][0]["cells"], strict=True))


def test_what_jobs_release_is_shown(bench: Bench, apply: Apply, store: Store, tmp_path: Path) -> None:
    path = apply("sums")
    found = bench.server.awaited(path, reason("NoVersion"))
    assert "waits for a job that releases sums" in condition(found)["message"] and health(found) == "InProgress"
    release(store, tmp_path, "sums", "a", accuracy=0.25)
    second = release(store, tmp_path, "sums", "b", accuracy=2 / 3)
    touch(bench, path)
    found = bench.server.awaited(path, reason("Newest"))
    assert health(found) == "Current" and "finalizers" not in found["metadata"]
    current = {"version": 2, "digest": second.digest, "uri": second.uri_in(store), "runId": "job-b"}
    current |= {"releasedAt": second.created_at, "suite": "sums", "score": "0.6667"}
    assert found["status"]["current"] == current == found["status"]["versions"][1]
    assert [one["score"] for one in found["status"]["versions"]] == ["0.2500", "0.6667"]
    columns = shown(bench, path)
    assert (columns["Version"], columns["Score"], columns["Ready"]) == (2, "0.6667", "True")
    assert (columns["Digest"], columns["Run"], columns["Reason"]) == (second.digest, "job-b", "Newest")
    managers = {one["manager"]: one.get("subresource", "") for one in found["metadata"]["managedFields"]}
    assert managers["agentark-operator"] == "status", "of a person's resource it writes the status alone"


def test_a_rollback_is_one_field_and_without_it_the_newest_is_back(
    bench: Bench, apply: Apply, store: Store, tmp_path: Path
) -> None:
    first, second = (release(store, tmp_path, "back", key) for key in "ab")
    path = apply("back", currentVersion=1, digest=first.digest)
    found = bench.server.awaited(path, reason("Chosen"))
    assert (found["status"]["current"]["version"], health(found)) == (1, "Current")
    assert "as spec.currentVersion says; the newest is 2" in condition(found)["message"]
    pinned = read_current(store, "back")
    assert pinned is not None and (pinned.version, pinned.pinned) == (1, True)
    release(store, tmp_path, "back", "c")
    assert read_current(store, "back") == pinned, "a newer one does not take its place"

    apply("back", currentVersion=2, digest=first.digest)
    found = bench.server.awaited(path, reason("DigestMismatch"))
    message = condition(found, "Stalled")["message"]
    assert first.digest in message and second.digest in message and "correct spec.digest" in message
    assert health(found) == "Failed" and found["status"]["current"]["version"] == 1
    apply("back", currentVersion=7)
    found = bench.server.awaited(path, reason("VersionNotFound"))
    assert "are: 1, 2, 3" in condition(found, "Stalled")["message"] and health(found) == "Failed"
    assert read_current(store, "back") == pinned, "what cannot be done changes nothing"

    apply("back")
    found = bench.server.awaited(path, reason("Newest"))
    assert found["status"]["current"]["version"] == 3 and "pinnedVersion" not in found["status"]
    current = read_current(store, "back")
    assert current is not None and (current.version, current.pinned) == (3, False)


def test_a_pin_by_hand_is_left_alone(bench: Bench, apply: Apply, store: Store, tmp_path: Path) -> None:
    for key in "ab":
        release(store, tmp_path, "hand", key)
    pinned = promote(store, "hand", 1)
    path = apply("hand")
    found = bench.server.awaited(path, reason("Promoted"))
    assert found["status"]["current"]["version"] == 1 and health(found) == "Current"
    assert read_current(store, "hand") == pinned


def test_a_version_whose_weights_are_gone_is_not_promoted(
    bench: Bench, apply: Apply, store: Store, tmp_path: Path
) -> None:
    first = release(store, tmp_path, "gone", "a")
    release(store, tmp_path, "gone", "b")
    store.delete(f"{first.model.path}/model.safetensors")
    path = apply("gone", currentVersion=1)
    found = bench.server.awaited(path, reason("NotPromoted"))
    assert first.model.path in condition(found)["message"] and health(found) == "InProgress"
    assert found["status"]["current"]["version"] == 2 and "pinnedVersion" not in found["status"]
    store.write(f"{first.model.path}/model.safetensors", b"gone-a")
    assert bench.server.awaited(path, reason("Chosen"))["status"]["current"]["version"] == 1


def test_another_look_writes_nothing_new(
    bench: Bench, operators: Operators, apply: Apply, store: Store, tmp_path: Path
) -> None:
    release(store, tmp_path, "still", "a")
    path = apply("still", currentVersion=1)
    bench.server.awaited(path, reason("Chosen"))
    for _ in range(2):  # the first pass that is counted may be the one that chose
        passes, before = _passes(operators), touch(bench, path)
        deadline = time.monotonic() + 30
        while _passes(operators) == passes:
            assert time.monotonic() < deadline, "it is not looked at"
            time.sleep(0.05)
    after = bench.server.request("GET", path).body
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def test_a_missing_secret_is_named_and_mended(bench: Bench, apply: Apply, store: Store, tmp_path: Path) -> None:
    release(store, tmp_path, "locked", "a")
    path = apply("locked", store={**bench.store, "credentialsSecretRef": {"name": "later"}})
    found = bench.server.awaited(path, reason("StoreUnavailable"))
    assert "Secret 'later'" in condition(found)["message"] and health(found) == "InProgress"
    bench.make_secret("later")
    assert health(bench.server.awaited(path, reason("Newest"))) == "Current"


def test_a_release_outlives_its_job(bench: Bench, operators: Operators, store: Store, tmp_path: Path) -> None:
    job = bench.distill_job("student", release={"name": "outlives"})
    plan = done(bench, store, job)
    digest, model = weights(store, tmp_path, "stages/distill/outlives/attempts/1/model", "outlives")
    stage = next(one for one in plan.stages if one.kind == "release")
    content = VersionContent(
        name="outlives",
        digest=digest,
        model=model,
        scores=(),
        gates=(),
        lineage=lineage_of(plan, stage),
        created_at=now(),
    )
    version, current = publish(store, content)
    commit_stage(store, plan, "release", released=True, decision=decision_line(version, current))
    path = bench.apply(job)
    found = bench.server.awaited(path, lambda one: phase(one) == "Succeeded")
    assert condition(found)["message"].endswith("outlives: released as version 1 " + f"({digest[:19]}), no gates asked")

    where = bench.path("ModelRelease", "outlives")
    made = bench.server.awaited(where, reason("Newest"))
    assert made["metadata"]["annotations"] == {SOURCE_RUN: plan.run_id}
    assert made["spec"] == {"store": bench.store} and "ownerReferences" not in made["metadata"]
    assert made["status"]["current"]["runId"] == plan.run_id
    bench.server.request("DELETE", path)
    bench.gone(path)
    assert bench.server.request("GET", where).body["metadata"]["uid"] == made["metadata"]["uid"]
    assert list_versions(store, "outlives").readable == [version]
    bench.server.request("DELETE", where)
    assert list_versions(store, "outlives").readable == [version], "the record is the store's"


def test_a_job_says_why_its_student_was_not_released(bench: Bench, operators: Operators, store: Store) -> None:
    job = bench.distill_job("weak", "DA", release={"name": "weak", "gates": [{"suite": "test", "minValue": "0.9"}]})
    plan = done(bench, store, job)
    decision = "weak: not released, gates failed: 1 of 1: test: accuracy 0.750 is 0.150 below minValue 0.9"
    commit_stage(store, plan, "release", released=False, decision=decision)
    path = bench.apply(job)
    found = bench.server.awaited(path, lambda one: phase(one) == "Succeeded")
    assert condition(found)["message"].endswith(decision) and health(found) == "Current"
    assert bench.server.request("GET", bench.path("ModelRelease", "weak")).status == 404
    bench.server.request("DELETE", path)


def test_a_model_release_that_is_there_stays_as_it_is(bench: Bench, apply: Apply, store: Store, tmp_path: Path) -> None:
    release(store, tmp_path, "mine", "a")
    where = apply("mine", currentVersion=1)
    before = bench.server.awaited(where, reason("Chosen"))
    job = bench.distill_job("again", release={"name": "mine"}, curation={"heldOutFraction": "0.2"})
    commit_stage(store, done(bench, store, job), "release", released=True, decision="mine: released as version 2")
    path = bench.apply(job)
    bench.server.awaited(path, lambda one: phase(one) == "Succeeded")
    after = bench.server.request("GET", where).body
    assert (after["spec"], after["metadata"].get("annotations")) == (before["spec"], None)
    bench.server.request("DELETE", path)


def done(bench: Bench, store: Store, job: Body) -> Plan:
    """Put everything that a job does before its release into the store; returns the plan."""
    server, resource = bench.s3, DistillJob.model_validate(job)

    def opened(uri: str) -> Store:
        return open_store(uri, endpoint=server.endpoint, access_key=server.access_key, secret_key=server.secret_key)

    source = StoreSource(uri=store.uri, endpoint=server.endpoint)
    pins = pin_addresses([resource], base=Path(), store=store, source=source, opened=opened)
    plan = lay_out(resource, pins)
    for stage in plan.stages:
        if stage.kind != "release":
            commit_stage(store, plan, stage.name)
    return plan


def commit_stage(store: Store, plan: Plan, name: str, **metrics: Any) -> None:
    stage = next(one for one in plan.stages if one.name == name)
    commit_result(store, StageCommand(stage.kind, stage.key, store.uri), plan=plan, metrics=metrics, outputs={})


def _passes(operators: Operators) -> float:
    """Passes over ModelReleases so far."""
    with urllib3.PoolManager(retries=False, timeout=5.0) as pool:
        text = pool.request("GET", f"http://{operators.address}/metrics").data.decode()
    rows = [line for line in text.splitlines() if line.startswith('agentark_reconcile_total{kind="ModelRelease"')]
    return sum(float(line.rpartition(" ")[2]) for line in rows)
