"""The release stage over evaluations that are in the store, and released models as models of other jobs."""

import json
import threading
from pathlib import Path

import pytest

from agentark.api import Dataset, DebateRun, Model, StoreSource
from agentark.errors import InvalidInput, NotFound, StoreError
from agentark.execution.context import StageContext
from agentark.execution.weights import model_folder
from agentark.planning import Pin, Plan, pin_addresses, plan
from agentark.release import list_versions, promote, read_current, read_release
from agentark.store import ProgressWriter, read_manifest, stage_path
from tests.release.conftest import World, of

GAIN = {"suite": "test", "minGainOver": "student"}
ABOVE_DEBATE = {"suite": "test", "minGainOver": "debate"}


def test_a_student_that_passes_is_released_with_all_that_led_to_it(world: World) -> None:
    made = world.plan(GAIN, {"suite": "test", "minValue": "0.7"})
    student = world.evaluated(made, {"base": 8, "debate": 16, "student": 14})
    manifest = world.release(made)
    found = read_release(world.store, "sums")
    assert found.version == manifest.metrics["version"] == 1 and manifest.metrics["released"] is True
    assert found.digest == manifest.metrics["digest"] == f"sha256:{student.sha256}"
    assert (found.model.path, found.model.bytes) == (student.path, student.bytes)
    assert found.model.uri == found.uri_in(world.store) == f"{world.store.uri}/{student.path}"
    assert [(one.suite, one.subject, one.value) for one in found.scores] == [
        ("test", "base", 0.4),
        ("test", "debate", 0.8),
        ("test", "student", 0.7),
    ]
    assert all(0 < one.low < one.value < one.high < 1 for one in found.scores)
    lineage = found.lineage
    assert (lineage.kind, lineage.namespace, lineage.name) == ("DistillJob", "team-a", "job")
    assert (lineage.run_id, lineage.stage_key) == (made.run_id, of(made, "release").key)
    assert [one.key for one in lineage.stages] == [stage.key for stage in made.stages[:-1]]
    assert lineage.stages[-1].manifest == f"stages/compare/{of(made, 'compare').key}/manifest.json"
    assert dict(lineage.pins) == {uri: pin.identity for uri, pin in made.pins.items()} and len(lineage.pins) == 3
    gain, least = found.gates
    assert gain.gain is not None and (gain.gain.gained, gain.gain.lost, gain.gain.p) == (6, 0, 0.03125)
    assert least.passed and least.min_value == 0.7
    decision = f"sums: released as version 1 ({found.digest[:19]}), gates passed: 2"
    assert manifest.metrics["decision"] == decision
    assert manifest.outputs["record"].path == "releases/sums/1.json"


def test_the_p_of_a_gate_is_that_of_the_table(local_world: World) -> None:
    made = local_world.plan(GAIN)
    local_world.evaluated(made, {"base": 8, "debate": 16, "student": 14})
    local_world.release(made)
    compare = read_manifest(local_world.store, "compare", of(made, "compare").key)
    assert compare is not None
    table = json.loads(local_world.store.read(compare.outputs["results"].path))["suites"]["test"]
    (against,) = [row["against_base"] for row in table["subjects"] if row["name"] == "student"]
    (gate,) = read_release(local_world.store, "sums").gates
    assert gate.gain is not None
    assert (against["p"], against["only_first"]) == (gate.gain.p, gate.gain.gained)


@pytest.mark.parametrize(
    ("gates", "right", "reason"),
    [
        (
            [GAIN],
            {"base": 8, "debate": 16, "student": 13},
            "the gain may be luck: +25.0 points over the student before",
        ),
        ([GAIN], {"base": 14, "debate": 16, "student": 8}, "no gain: -30.0 points"),
        ([GAIN, ABOVE_DEBATE], {"base": 2, "debate": 16, "student": 15}, "1 of 2: test: no gain: -5.0 points over the"),
        ([{"suite": "test", "minValue": "0.9"}], {"base": 2, "debate": 3, "student": 17}, "0.850 is 0.050 below"),
    ],
)
def test_a_refused_student_completes_the_run_and_leaves_nothing_under_releases(
    local_world: World, gates: list[dict[str, str]], right: dict[str, int], reason: str
) -> None:
    made = local_world.plan(*gates)
    local_world.evaluated(made, right)
    manifest = local_world.release(made)
    assert manifest.metrics["released"] is False and "version" not in manifest.metrics
    assert reason in str(manifest.metrics["decision"]) and "not released" in str(manifest.metrics["decision"])
    assert not manifest.outputs and list(local_world.store.entries("releases")) == []
    assert local_world.release(made) == manifest, "a refusal is a result: it is not tried again"


def test_gates_are_held_against_sampled_passes_where_only_those_are_measured(local_world: World) -> None:
    made = local_world.plan(GAIN, decoding="Sampled")
    local_world.evaluated(made, {"base-sampled": 8, "debate": 16, "student-sampled": 14})
    assert local_world.release(made).metrics["released"] is True


def test_a_stage_that_is_run_again_releases_nothing_twice(world: World) -> None:
    made = world.plan(GAIN)
    world.evaluated(made, {"base": 8, "debate": 16, "student": 14})
    first = world.release(made)
    assert world.release(made) == first
    # The process died between the release and the commit, or somebody deleted the manifest.
    world.store.delete(stage_path("release", of(made, "release").key))
    again = world.release(made)
    assert (again.metrics["version"], again.outputs) == (1, first.outputs)
    # Other gates are another decision on the same model: a version of its own, with its own record.
    wider = world.plan(GAIN, {"suite": "test", "minValue": "0.1"})
    assert of(wider, "compare").key == of(made, "compare").key
    assert world.release(wider).metrics["version"] == 2
    assert [one.digest for one in list_versions(world.store, "sums").readable] == [first.metrics["digest"]] * 2


def test_a_pinned_version_stays_current_and_the_run_says_so(local_world: World) -> None:
    made = local_world.plan()
    local_world.evaluated(made, {"base": 8, "debate": 16, "student": 14})
    line = str(local_world.release(made).metrics["decision"])
    assert line.endswith(", no gates asked")
    promote(local_world.store, "sums", 1)
    later = local_world.plan(epochs="3")
    local_world.evaluated(later, {"base": 8, "debate": 16, "student": 20}, weights=b"better")
    decision = str(local_world.release(later).metrics["decision"])
    assert "released as version 2" in decision and decision.endswith("the current version stays 1, which is pinned")
    assert [one.version for one in list_versions(local_world.store, "sums").readable] == [1, 2]


def teacher_of(uri: str, digest: str | None = None) -> DebateRun:
    """A debate of a released model."""
    model = {"uri": uri} | ({"digest": digest} if digest else {})
    spec = {"dataset": {"uri": "s3://x/questions.jsonl"}, "teacher": {"model": model}}
    content = {"apiVersion": "agentark.dev/v1alpha1", "kind": "DebateRun", "metadata": {"name": "talk"}, "spec": spec}
    return DebateRun.model_validate_json(json.dumps(content))


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data sets are taken as they are; these tests are about models."""

    def pinned(item: Dataset | Model, *_: object) -> Pin:
        return Pin(uri=item.uri, identity="etag:1:1")

    monkeypatch.setattr("agentark.planning.pinning._pin_s3", pinned)


def planned(world: World, uri: str, digest: str | None = None) -> Plan:
    resource = teacher_of(uri, digest)
    return plan(resource, pin_addresses([resource], base=Path("/"), store=world.store, source=StoreSource()))


def context_of(world: World, made: Plan, work: Path) -> StageContext:
    stage = made.stages[0]
    progress = ProgressWriter(world.store, stage.kind, stage.key)
    return StageContext(made, stage, world.store, 1, work, progress, threading.Event())


@pytest.mark.usefixtures("questions")
def test_a_run_keeps_the_released_model_that_it_was_planned_with(world: World, tmp_path: Path) -> None:
    made = world.plan()
    student = world.evaluated(made, {"base": 8, "debate": 16, "student": 14})
    world.release(made)
    run, fixed = planned(world, "release://sums"), planned(world, "release://sums@1")
    assert run.pins["release://sums"].identity == f"sha256:{student.sha256}"
    assert run.stages[0].key == fixed.stages[0].key, "the content is what counts, not how it is named"
    later = world.plan(epochs="3")
    better = world.evaluated(later, {"base": 8, "debate": 16, "student": 20}, weights=b"better")
    world.release(later)
    assert planned(world, "release://sums").pins["release://sums"].identity == f"sha256:{better.sha256}"
    for count, (one, uri) in enumerate(((run, "release://sums"), (fixed, "release://sums@1"))):
        context = context_of(world, one, tmp_path / f"work{count}")
        assert (model_folder(context, uri) / "model.safetensors").read_bytes() == b"student"
        assert (model_folder(context, uri) / "config.json").read_text() == "{}"
    world.store.delete("runs")
    assert (model_folder(context_of(world, run, tmp_path / "work2"), "release://sums") / "config.json").is_file()


@pytest.mark.usefixtures("questions")
def test_weights_that_were_changed_or_deleted_are_refused_with_what_to_do(world: World, tmp_path: Path) -> None:
    made = world.plan()
    student = world.evaluated(made, {"base": 8, "debate": 16, "student": 14})
    world.release(made)
    context = context_of(world, planned(world, "release://sums"), tmp_path / "work")
    world.store.write(f"{student.path}/model.safetensors", b"changed")
    with pytest.raises(
        StoreError, match=r"'sums', version 1: .* was changed or damaged; restore that folder, or use an"
    ):
        model_folder(context, "release://sums")
    world.store.write(f"{student.path}/model.safetensors", b"student")
    assert model_folder(context, "release://sums").is_dir(), "nothing of the damaged copy is left"
    world.store.delete(student.path)
    with pytest.raises(StoreError, match="is gone; restore that folder"):
        model_folder(context_of(world, context.plan, tmp_path / "other"), "release://sums")
    world.store.delete("releases/sums/1.json")
    with pytest.raises(InvalidInput, match=r"which no version in .* has \(none\)"):
        model_folder(context, "release://sums")


@pytest.mark.usefixtures("questions")
def test_what_cannot_be_pinned_is_refused_when_it_is_planned(local_world: World) -> None:
    with pytest.raises(InvalidInput, match=r"'talk': model release://sums: .* no release 'sums'; there are: none"):
        planned(local_world, "release://sums")
    made = local_world.plan()
    local_world.evaluated(made, {"base": 8, "debate": 16, "student": 14})
    local_world.release(made)
    with pytest.raises(InvalidInput, match="has no version 2; its versions are: 1"):
        planned(local_world, "release://sums@2")
    with pytest.raises(InvalidInput, match="write it as release://NAME or"):
        planned(local_world, "release://sums@newest")
    with pytest.raises(InvalidInput, match=r"the manifest says sha256:0000.*correct the digest or restore the content"):
        planned(local_world, "release://sums", "sha256:" + "0" * 64)
    run = teacher_of("release://sums")
    data = run.model_copy(update={"spec": run.spec.model_copy(update={"dataset": Dataset(uri="release://sums")})})
    with pytest.raises(InvalidInput, match="only models are released"):
        pin_addresses([data], base=Path("/"), store=local_world.store, source=StoreSource())


def test_a_release_that_died_before_it_was_current_is_mended_by_the_next_attempt(local_world: World) -> None:
    made = local_world.plan()
    local_world.evaluated(made, {"base": 8, "debate": 16, "student": 14})
    local_world.release(made)
    local_world.store.delete("releases/sums/current.json")
    local_world.store.delete(stage_path("release", of(made, "release").key))
    with pytest.raises(NotFound):
        read_release(local_world.store, "sums")
    local_world.release(made)
    current = read_current(local_world.store, "sums")
    assert current is not None and (current.version, current.pinned) == (1, False)
