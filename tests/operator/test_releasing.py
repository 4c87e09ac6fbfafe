"""What a ModelRelease asks of its store, and its status for everything that can be the case."""

from typing import Any

import pytest
from agentark_operator.informers.resources import Key
from agentark_operator.releases import (
    SHOWN,
    SOURCE_RUN,
    Choice,
    ObservedRelease,
    choose,
    release_of,
    release_status,
    released_key,
    version_row,
)

from agentark.api import DistillJob, StoreSource
from agentark.api.base import Reference
from agentark.api.modelrelease import ModelReleaseSpec
from agentark.api.status import ReleaseStatus
from agentark.planning import Pin, Plan
from agentark.planning import plan as lay_out
from agentark.release import Current, Lineage, ReleasedModel, ReleasedScore, ReleasedVersion
from agentark.store import StageManifest, open_store
from tests.api.manifests import manifest
from tests.operator.kstatus import health

NOW, LATER = "2026-11-24T12:00:00Z", "2026-11-24T13:00:00Z"
DIGESTS = {number: f"sha256:{number:064x}" for number in (1, 2, 3)}


def current(version: int, *, pinned: bool = False) -> Current:
    return Current(version=version, digest=DIGESTS[version], pinned=pinned)


def row(version: int) -> dict[str, Any]:
    return {"version": version, "uri": f"s3://models/{version}", "digest": f"sha256:{version:064x}", "runId": "job-1"}


CHOICES: list[tuple[str, ModelReleaseSpec, Current | None, int | None, Choice]] = [
    ("nothing asked", ModelReleaseSpec(), current(3), None, Choice()),
    ("a version asked", ModelReleaseSpec(current_version=2), current(3), None, Choice("Pin", 2)),
    ("it is there by chance", ModelReleaseSpec(current_version=3), current(3), None, Choice("Pin", 3)),
    ("it is pinned", ModelReleaseSpec(current_version=2), current(2, pinned=True), 2, Choice("Keep", 2)),
    ("another asked", ModelReleaseSpec(current_version=1), current(2, pinned=True), 2, Choice("Pin", 1)),
    ("pinned by hand", ModelReleaseSpec(), current(2, pinned=True), None, Choice()),
    ("taken back", ModelReleaseSpec(), current(2, pinned=True), 2, Choice("Unpin")),
    ("taken back, pinned by hand since", ModelReleaseSpec(), current(1, pinned=True), 2, Choice()),
    ("taken back, unpinned by hand since", ModelReleaseSpec(), current(3), 2, Choice()),
    ("the spec wins", ModelReleaseSpec(current_version=2), current(1, pinned=True), 2, Choice("Pin", 2)),
    ("a release without a current version", ModelReleaseSpec(current_version=2), None, None, Choice("Pin", 2)),
    ("right digest", ModelReleaseSpec(current_version=2, digest=DIGESTS[2]), current(3), None, Choice("Pin", 2)),
    ("digest of the newest", ModelReleaseSpec(digest=DIGESTS[3]), current(2, pinned=True), 2, Choice("Unpin")),
]


@pytest.mark.parametrize(
    ("spec", "there", "pinned", "expected"), [case[1:] for case in CHOICES], ids=[case[0] for case in CHOICES]
)
def test_the_pin_in_the_store_follows_the_spec(
    spec: ModelReleaseSpec, there: Current | None, pinned: int | None, expected: Choice
) -> None:
    assert choose(spec, DIGESTS, there, pinned, "'sums' in s3://models") == expected


REFUSED: list[tuple[ModelReleaseSpec, int | None, str, str]] = [
    (
        ModelReleaseSpec(current_version=9),
        2,
        "VersionNotFound",
        "spec.currentVersion is 9, but the versions of 'sums' in s3://models are: 1, 2, 3; set one of these",
    ),
    (
        ModelReleaseSpec(current_version=2, digest=DIGESTS[1]),
        None,
        "DigestMismatch",
        f"spec.digest is {DIGESTS[1]}, but version 2 of 'sums' in s3://models has {DIGESTS[2]}; correct spec.digest",
    ),
    (
        ModelReleaseSpec(digest=DIGESTS[1]),
        None,
        "DigestMismatch",
        f"version 2 of 'sums' in s3://models has {DIGESTS[2]}",
    ),
    (ModelReleaseSpec(digest=DIGESTS[2]), 2, "DigestMismatch", f"version 3 of 'sums' in s3://models has {DIGESTS[3]}"),
]


@pytest.mark.parametrize(("spec", "pinned", "reason", "message"), REFUSED)
def test_what_the_store_does_not_have_changes_nothing_and_is_named(
    spec: ModelReleaseSpec, pinned: int | None, reason: str, message: str
) -> None:
    choice = choose(spec, DIGESTS, current(2, pinned=True), pinned, "'sums' in s3://models")
    assert (choice.act, choice.pinned) == ("Keep", pinned)
    assert choice.stalled is not None
    assert choice.stalled[0] == reason
    assert message in choice.stalled[1]
    assert choice.stalled[1].endswith("(the current version stays 2)")


def test_of_many_versions_a_message_names_the_newest() -> None:
    many = dict.fromkeys(range(1, 400), DIGESTS[1])
    stalled = choose(ModelReleaseSpec(current_version=500), many, None, None, "it").stalled
    assert stalled is not None
    assert "are: ..., 380, 381," in stalled[1] and stalled[1].endswith("399; set one of these")


TWO = (row(1), row(2))
CASES: list[tuple[str, ObservedRelease, str, str, str]] = [
    ("newest", ObservedRelease(TWO, row(2), 2), "Current", "Newest", "the newest that was released"),
    ("spec", ObservedRelease(TWO, row(1), 2, pinned=1, chosen=True), "Current", "Chosen", "; the newest is 2"),
    ("by hand", ObservedRelease(TWO, row(1), 2, chosen=True), "Current", "Promoted", "`agentark promote`"),
    ("nothing yet", ObservedRelease(waiting=("NoVersion", "waits")), "InProgress", "NoVersion", "waits"),
    ("half released", ObservedRelease(TWO, newest=2), "InProgress", "NoCurrentVersion", "none of the versions"),
    ("unknown", ObservedRelease(TWO, row(2), 2, stalled=("VersionNotFound", "x")), "Failed", "VersionNotFound", "x"),
    (
        "weights are gone",
        ObservedRelease(TWO, row(2), 2, waiting=("NotPromoted", "gone"), later="gone"),
        *("InProgress", "NotPromoted", "gone"),
    ),
    (
        "no store",
        ObservedRelease(waiting=("StoreUnavailable", "no answer"), later="no answer", seen=False),
        *("InProgress", "StoreUnavailable", "no answer"),
    ),
    ("wrong spec", ObservedRelease(stalled=("InvalidSpec", "x"), seen=False), "Failed", "InvalidSpec", "x"),
]


@pytest.mark.parametrize(
    ("observed", "expected", "reason", "message"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_conditions_and_health_agree(observed: ObservedRelease, expected: str, reason: str, message: str) -> None:
    status = release_status(observed, {}, generation=4, now=NOW)
    assert health({"metadata": {"generation": 4}, "status": status}) == expected
    found = {condition["type"]: condition for condition in status["conditions"]}
    assert found["Ready"]["reason"] == reason and message in found["Ready"]["message"]
    assert found["Ready"]["status"] == ("True" if expected == "Current" else "False")
    kind = {"Current": set(), "InProgress": {"Reconciling"}, "Failed": {"Stalled"}}[expected]
    assert found.keys() == {"Ready"} | kind
    assert all(condition["observedGeneration"] == 4 for condition in status["conditions"])
    ReleaseStatus.model_validate(status)
    assert release_status(observed, status, generation=4, now=LATER) == status, "the same again changes nothing"


def test_a_store_that_does_not_answer_leaves_what_was_known() -> None:
    known = release_status(ObservedRelease(TWO, row(1), 2, pinned=1, chosen=True), {}, generation=1, now=NOW)
    away = ObservedRelease(waiting=("StoreUnavailable", "no answer"), seen=False)
    status = release_status(away, known, generation=2, now=LATER)
    assert all(status[name] == known[name] for name in ("current", "versions", "pinnedVersion"))
    assert status["observedGeneration"] == 2


def test_a_status_has_the_newest_versions() -> None:
    rows = [row(number) for number in range(1, 301)]
    status = release_status(ObservedRelease(rows, rows[0], 300, pinned=1, chosen=True), {}, generation=1, now=NOW)
    assert [status["versions"][end]["version"] for end in (0, -1)] == [300 - SHOWN + 1, 300]
    assert status["current"]["version"] == 1
    ReleaseStatus.model_validate(status)


def score(suite: str, subject: str, value: float) -> ReleasedScore:
    return ReleasedScore(suite=suite, subject=subject, value=value, low=0.0, high=1.0)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ((), None),
        ((score("a", "base", 0.1), score("a", "student", 2 / 3), score("b", "student", 0.9)), ("a", "0.6667")),
        ((score("a", "student-sampled", 0.2), score("a", "student", 0.5)), ("a", "0.5000")),
        ((score("a", "student-sampled", 0.2), score("b", "student-sampled", 0.3)), ("a", "0.2000")),
    ],
)
def test_a_version_shows_what_its_student_scored_first(
    scores: tuple[ReleasedScore, ...], expected: tuple[str, str] | None, tmp_path: Any
) -> None:
    store = open_store(str(tmp_path))
    made = ReleasedVersion(
        name="sums",
        version=2,
        digest=DIGESTS[2],
        model=ReleasedModel(path="stages/distill/k/model", uri="s3://elsewhere/model", bytes=1),
        scores=scores,
        gates=(),
        lineage=Lineage(
            run_id="job-1", kind="DistillJob", namespace="default", name="job", stage_key="k", stages=(), pins={}
        ),
        created_at=NOW,
    )
    found = version_row(made, store)
    assert found["uri"] == f"{store.uri}/stages/distill/k/model", "where it lies now, if the store was moved"
    assert (found["version"], found["runId"], found["releasedAt"]) == (2, "job-1", NOW)
    assert expected == ((found["suite"], found["score"]) if "score" in found else None)


STORE = {"uri": "s3://team", "endpoint": "http://s3.example", "credentialsSecretRef": {"name": "store"}}


def released(store: dict[str, Any] | None, **metrics: Any) -> tuple[DistillJob, Plan, dict[str, StageManifest]]:
    """A job that releases `sums`, and what its release stage says; nothing where there are no metrics."""
    body = manifest("DistillJob", {"release": {"name": "sums"}, "store": store}, name="job")
    job = DistillJob.model_validate(body)
    uris = ("s3://data/train.jsonl", "s3://data/test.jsonl", "hf://org/teacher", "hf://org/student")
    plan = lay_out(job, {uri: Pin(uri=uri, identity=f"sha256:{uri}", rows=10) for uri in uris})
    stage = next(one for one in plan.stages if one.kind == "release")
    done = StageManifest(
        kind="release",
        key=stage.key,
        params=stage.params,
        inputs=stage.inputs,
        outputs={},
        attempt=1,
        started_at=NOW,
        finished_at=NOW,
        metrics=metrics,
    )
    return job, plan, {stage.key: done} if metrics else {}


def test_a_job_that_released_its_student_has_a_model_release_that_outlives_it() -> None:
    job, plan, manifests = released(STORE, released=True)
    assert job.spec.store is not None
    made = release_of(job, plan, manifests, job.spec.store)
    assert made == {
        "apiVersion": "agentark.dev/v1alpha1",
        "kind": "ModelRelease",
        "metadata": {
            "name": "sums",
            "namespace": "default",
            "labels": {"app.kubernetes.io/managed-by": "agentark-operator", "app.kubernetes.io/part-of": "agentark"},
            "annotations": {SOURCE_RUN: plan.run_id},
        },
        "spec": {"store": STORE},
    }
    default = StoreSource(uri="s3://models/ark", endpoint=None, credentials_secret_ref=Reference(name="store"))
    made = release_of(*released(None, released=True), default)
    assert made is not None
    where = {"uri": "s3://models/ark", "credentialsSecretRef": {"name": "store"}}
    assert made["spec"] == {"store": where}, "whoever serves it finds the operator's default store too"


@pytest.mark.parametrize("metrics", [{}, {"released": False, "decision": "sums: not released"}])
def test_what_is_not_released_has_none(metrics: dict[str, Any]) -> None:
    assert release_of(*released(None, **metrics), StoreSource(uri="s3://models/ark")) is None


def test_the_release_of_a_job_is_known_by_its_spec() -> None:
    body = manifest("DistillJob", {"release": {"name": "sums"}}, name="job")
    assert released_key(body) == Key("ModelRelease", "default", "sums")
    assert released_key(manifest("DistillJob", {})) is None
    assert released_key(manifest("DebateRun", {})) is None
