"""Keys name results: what changes a result changes its stage's key and all below it, and nothing else does."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentark.api import DistillJob, Resource, read_manifest
from agentark.api.manifest import check_manifest
from agentark.debate import DebateProtocol
from agentark.errors import InvalidInput, StoreError
from agentark.planning import Pin, Plan, Resources, addresses, keep_plan, plan, read_plan
from agentark.store import open_store

JOB: dict[str, Any] = {
    "apiVersion": "agentark.dev/v1alpha1",
    "kind": "DistillJob",
    "metadata": {"name": "job"},
    "spec": {
        "debate": {
            "dataset": {"uri": "file:train.jsonl", "limit": 100},
            "teacher": {"model": {"uri": "file:teacher"}},
        },
        "student": {"model": {"uri": "file:student"}},
        "methods": ["RSFT", "DA"],
        "evaluation": {
            "suites": [{"name": "test", "dataset": {"uri": "file:test.jsonl"}}],
            "controls": ["SelfConsistency", "Debate", "SelfReview", "OwnAnswers", "AnswerOnly"],
        },
    },
}
PINS = {
    uri: Pin(uri=f"file:{uri}", identity=f"sha256:{uri}", rows=500)
    for uri in ("train.jsonl", "test.jsonl", "teacher", "student")
}


def planned(tmp_path: Path, changes: dict[str, Any] | None = None, pins: dict[str, str] | None = None) -> Plan:
    job = json.loads(json.dumps(JOB))
    for path, value in (changes or {}).items():
        *parents, last = path.split(".")
        place = job
        for name in parents:
            place = place.setdefault(name, {})
        place[last] = value
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(job))
    (resource,) = read_manifest(file)
    found = {pin.uri: pin for pin in PINS.values()}
    for uri, identity in (pins or {}).items():
        found[uri] = found[uri].model_copy(update={"identity": identity})
    return plan(resource, found)


def keys(plan: Plan) -> dict[str, str]:
    return {stage.name: stage.key for stage in plan.stages}


def changed(tmp_path: Path, changes: dict[str, Any] | None = None, pins: dict[str, str] | None = None) -> set[str]:
    before, after = keys(planned(tmp_path)), keys(planned(tmp_path, changes, pins))
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_every_input_is_a_stage_laid_out_before(tmp_path: Path) -> None:
    seen: set[str] = set()
    for stage in planned(tmp_path).stages:
        assert set(stage.inputs.values()) <= seen, stage.name
        seen.add(stage.key)


def test_methods_are_applied_one_after_the_other(tmp_path: Path) -> None:
    stages = {stage.name: stage for stage in planned(tmp_path).stages}
    assert stages["distill/DA"].inputs["model"] == stages["distill/RSFT"].key
    assert "model" not in stages["distill/RSFT"].inputs
    assert stages["evaluate/test/student"].inputs["model"] == stages["distill/DA"].key


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.execution.concurrency", 7),
        ("spec.debate.execution", {"concurrency": 3, "engine": "Transformers", "requestTimeoutSeconds": 9}),
        ("spec.training.backend", "Job"),
        ("spec.training.nodes", 2),
        ("spec.training.gpusPerNode", 4),
        ("spec.training.processesPerNode", 2),
        ("spec.training.checkpointSteps", 5),
        ("spec.training.elastic", {"minNodes": 1, "maxNodes": 3}),
        ("spec.training.gang", {"queue": "research", "minAvailable": 2}),
        ("spec.training", {"backend": "TrainJob", "runtimeRef": {"name": "torch-distributed"}}),
        ("spec.execution", {"workers": 8, "gpusPerWorker": 1}),
        ("spec.debate.execution", {"workers": 8, "gpusPerWorker": 1}),
        ("spec.debate.teacher.serving", {"replicas": 2, "gpusPerReplica": 4, "args": ["--enable-prefix-caching"]}),
        ("spec.runPolicy", {"backoffLimit": 9, "ttlSecondsAfterFinished": 1}),
        ("spec.pods", {"spec": {"nodeSelector": {"pool": "training"}}}),
        ("spec.store", {"uri": "file:elsewhere"}),
        ("spec.debate.dataset.grading", {}),
        ("spec.debate.dataset.grading", {"absoluteTolerance": "0.0", "relativeTolerance": "0e1", "lists": "Ordered"}),
        ("metadata.name", "other"),
        ("metadata.labels", {"team": "a"}),
    ],
)
def test_what_does_not_change_the_result_changes_no_key(tmp_path: Path, path: str, value: Any) -> None:
    assert changed(tmp_path, {path: value}) == set()


TRAINED = {"distill/RSFT", "distill/DA", "control/OwnAnswers", "control/AnswerOnly"}
STUDENTS = {"evaluate/test/student", "evaluate/test/own-answers", "evaluate/test/answer-only", "compare"}
CURATED = {"curate/RSFT", "curate/DA", "curate/OwnAnswers", "curate/AnswerOnly"}
TEACHER_ON_TEST = {"evaluate/test/debate", "evaluate/test/self-review", "evaluate/test/self-consistency"}
TOLERANT_SUITE = [{"name": "test", "dataset": {"uri": "file:test.jsonl", "grading": {"absoluteTolerance": "0.5"}}}]


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("spec.training.learningRate", "1e-4", TRAINED | STUDENTS),
        ("spec.training.seed", 3, TRAINED | STUDENTS),
        ("spec.curation.maxTraces", 2, {"curate/DA", "distill/DA", "evaluate/test/student", "compare"}),
        ("spec.curation.form", "Both", CURATED | TRAINED | STUDENTS),
        ("spec.debate.dataset.limit", 50, {"debate"} | CURATED | TRAINED | STUDENTS),
        ("spec.debate.dataset.grading", {"lists": "Unordered"}, {"debate"} | CURATED | TRAINED | STUDENTS),
        ("spec.evaluation.suites", TOLERANT_SUITE, {"evaluate/test/base"} | TEACHER_ON_TEST | STUDENTS),
        ("spec.debate.protocol.stopOnConsensus", False, {"debate"} | CURATED | TRAINED | STUDENTS | TEACHER_ON_TEST),
        ("spec.evaluation.seed", 9, {"evaluate/test/base"} | TEACHER_ON_TEST | STUDENTS),
    ],
)
def test_a_change_reaches_its_stage_and_all_below_and_nothing_else(
    tmp_path: Path, path: str, value: Any, expected: set[str]
) -> None:
    assert changed(tmp_path, {path: value}) == expected


def test_preferences_are_trained_by_their_own_settings(tmp_path: Path) -> None:
    dpo: dict[str, Any] = {"spec.methods": ["RSFT", "DPO"], "spec.dpo": {}}
    stage = next(stage for stage in planned(tmp_path, dpo).stages if stage.name == "distill/DPO")
    assert stage.params["method"] == "DPO" and stage.params["dpo"] == {"beta": "0.1", "learningRate": "1e-6"}
    assert stage.params["training"]["learningRate"] == "1e-6" and stage.estimate.training_rows == 200

    def keys_of(changes: dict[str, Any]) -> dict[str, str]:
        return keys(planned(tmp_path, dpo | changes))

    below = {"distill/DPO", "evaluate/test/student", "compare"}
    for change, reached in (
        ({"spec.dpo": {"beta": "0.2"}}, below),
        ({"spec.dpo": {"learningRate": "1e-5"}}, below),
        ({"spec.training.learningRate": "1e-4"}, below | TRAINED - {"distill/DA"} | STUDENTS),
    ):
        before, after = keys_of({}), keys_of(change)
        assert {name for name in before if before[name] != after[name]} == reached


@pytest.mark.parametrize("protocol", [{"rounds": 1}, {"type": "SelfConsistency"}, {"type": "SinglePass"}])
def test_preferences_are_not_paid_for_where_nobody_can_mend_an_answer(tmp_path: Path, protocol: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="DPO learns from answers that agents mend in later rounds"):
        planned(tmp_path, {"spec.methods": ["RSFT", "DPO"], "spec.debate.protocol": protocol})


def test_whatever_grades_by_a_task_grades_with_the_data_sets_options(tmp_path: Path) -> None:
    grading = {"absoluteTolerance": "0.010", "relativeTolerance": "1e-3", "lists": "Unordered"}
    changes = {
        "spec.methods": ["RSFT", "DA", "PAD"],
        "spec.evolve": {"rounds": 2},
        "spec.debate.dataset.grading": grading,
        "spec.evaluation.suites": TOLERANT_SUITE,
        "spec.release": {"name": "sums"},
    }
    kinds = set()
    for stage in planned(tmp_path, changes).stages:
        if "task" in stage.params:
            kinds.add(stage.kind)
            wanted = {"absoluteTolerance": "0.01", "relativeTolerance": "1e-3", "lists": "Unordered"}
            assert stage.params["grading"] == ({"absoluteTolerance": "0.5"} if stage.kind == "evaluate" else wanted)
        if stage.kind == "compare":
            assert stage.params["suites"]["test"]["grading"] == {"absoluteTolerance": "0.5"}
        if stage.kind == "curate":
            assert "grading" not in stage.params["suites"]["test"], "of these only the questions are read"
    assert kinds == {"debate", "curate", "steps", "distill", "gate", "evaluate"}


@pytest.mark.parametrize(("first", "second"), [("0.01", "1e-2"), ("5", "5.0")])
def test_two_ways_to_write_a_tolerance_are_one_key(tmp_path: Path, first: str, second: str) -> None:
    field = "spec.debate.dataset.grading.absoluteTolerance"
    assert (
        keys(planned(tmp_path, {field: first})) == keys(planned(tmp_path, {field: second})) != keys(planned(tmp_path))
    )


def test_other_content_at_an_address_is_another_input(tmp_path: Path) -> None:
    everything = set(keys(planned(tmp_path)))
    base = {"evaluate/test/base"}
    assert changed(tmp_path, pins={"file:teacher": "sha256:other"}) == everything - base
    student = TRAINED | STUDENTS | base | {"evaluate/test/self-consistency"}
    assert changed(tmp_path, pins={"file:student": "sha256:other"}) == student
    assert changed(tmp_path, pins={"file:test.jsonl": "sha256:other"}) == everything - {"debate"}


def test_the_place_of_equal_content_does_not_matter(tmp_path: Path) -> None:
    job = planned(tmp_path).manifest
    moved = json.loads(json.dumps(job).replace("file:teacher", "s3://models/teacher"))
    file = tmp_path / "moved.yaml"
    file.write_text(yaml.safe_dump(moved))
    (resource,) = read_manifest(file)
    pins = {pin.uri: pin for pin in PINS.values()}
    pins["s3://models/teacher"] = pins["file:teacher"].model_copy(update={"uri": "s3://models/teacher"})
    assert keys(plan(resource, pins)) == keys(planned(tmp_path))


def test_equal_plans_share_a_run_and_different_ones_do_not(tmp_path: Path) -> None:
    first = planned(tmp_path).run_id
    assert planned(tmp_path, {"spec.execution.concurrency": 7}).run_id == first
    assert planned(tmp_path, {"spec.training.epochs": "1"}).run_id != first


def test_how_weights_are_served_does_not_tell_two_debaters_apart(tmp_path: Path) -> None:
    same = {"teacher": {"model": {"uri": "file:teacher"}, "serving": {"replicas": 2}}}
    other = {"teacher": {"model": {"uri": "file:student"}}}
    team = {"agents": 3, "team": [{}, same, other]}
    (debate, *_) = planned(tmp_path, {"spec.debate.protocol": team}).stages
    assert debate.params["protocol"]["engines"] == [0, 0, 1]
    assert len(debate.settings["models"]) == 2


def test_pods_and_gpus_are_those_of_the_stage(tmp_path: Path) -> None:
    changes = {
        "spec.execution": {"workers": 2, "gpusPerWorker": 1},
        "spec.debate.execution": {"workers": 4, "gpusPerWorker": 2},
        "spec.training.nodes": 2,
        "spec.training.gpusPerNode": 8,
        "spec.evolve": {"rounds": 2},
    }
    stages = {stage.name: stage for stage in planned(tmp_path, changes).stages}
    assert stages["debate"].resources == Resources(nodes=4, gpus_per_node=2)
    assert stages["debate"].estimate.gpus == 8
    assert stages["evaluate/test/student"].resources == Resources(nodes=2, gpus_per_node=1)
    assert stages["evaluate/test/debate"].resources == Resources(nodes=4, gpus_per_node=2)
    assert stages["gate/round-1"].resources == Resources(nodes=1, gpus_per_node=1), "questions of a gate are not shared"
    assert stages["curate/RSFT"].resources == Resources()
    training = Resources(nodes=2, gpus_per_node=8, processes_per_node=8, backend="PyTorchJob")
    assert stages["distill/RSFT"].resources == training
    assert stages["distill/RSFT"].estimate.gpus == 16


def test_every_protocol_of_the_largest_debate_is_accepted(tmp_path: Path) -> None:
    changes = {
        "spec.debate.protocol": {"agents": 64, "rounds": 10},
        "spec.evaluation.controls": ["SelfConsistency", "SelfReview"],
        "spec.evaluation.decoding": ["Greedy", "Sampled"],
    }
    stages = [stage for stage in planned(tmp_path, changes).stages if "protocol" in stage.params]
    accepted = {stage.name: DebateProtocol(**stage.params["protocol"]) for stage in stages}
    assert accepted["evaluate/test/self-consistency"].agents == 640, "as many samples as the debate has replies"
    assert accepted["evaluate/test/self-review"].peers == "Own"
    assert accepted["evaluate/test/base"].sampling.temperature == 0


def test_costs_are_bounded_before_anything_runs(tmp_path: Path) -> None:
    stages = {stage.name: stage for stage in planned(tmp_path, {"spec.training.gpusPerNode": 8}).stages}
    assert stages["debate"].estimate.calls == 100 * 16  # 5 agents, 3 rounds, one summariser: paper section 2
    assert stages["debate"].estimate.completion_tokens == 100 * 16 * 1024
    assert stages["distill/DA"].estimate.training_rows == 100 * 3 * 2
    assert stages["distill/DA"].estimate.gpus == 8


def test_a_release_needs_the_comparison_and_the_student_and_reaches_nothing_else(tmp_path: Path) -> None:
    stages = {stage.name: stage for stage in planned(tmp_path, {"spec.release": {"name": "sums"}}).stages}
    assert stages["release"].inputs == {"compare": stages["compare"].key, "model": stages["distill/DA"].key}
    gates = [{"suite": "test", "minValue": "0.5"}]
    gated = keys(planned(tmp_path, {"spec.release": {"name": "sums", "gates": gates}}))
    assert gated.pop("release") != stages.pop("release").key
    assert gated == {name: stage.key for name, stage in stages.items()} == keys(planned(tmp_path))


def test_pad_is_trained_after_what_comes_before_it_with_a_reward_model_from_the_same_debate(tmp_path: Path) -> None:
    changes = {"spec.methods": ["RSFT", "PAD", "DA"], "spec.evaluation.controls": ["OutcomeOnly"]}
    stages = {stage.name: stage for stage in planned(tmp_path, changes).stages}
    assert stages["steps"].inputs == {"debate": stages["debate"].key}
    assert stages["prm"].inputs == {"steps": stages["steps"].key}
    pad = stages["distill/PAD"]
    assert pad.inputs == {
        "rows": stages["curate/PAD"].key,
        "model": stages["distill/RSFT"].key,
        "prm": stages["prm"].key,
    }
    assert stages["distill/DA"].inputs["model"] == pad.key
    assert "prm" not in stages["control/PAD"].inputs
    assert stages["control/DA"].inputs["model"] == stages["control/PAD"].key


def test_a_plan_survives_its_trip_through_json(tmp_path: Path) -> None:
    first = planned(tmp_path)
    assert Plan.model_validate_json(first.model_dump_json()) == first


def test_a_plan_is_kept_once_under_its_content(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    first, second = planned(tmp_path), planned(tmp_path, {"spec.training.epochs": "1", "metadata.namespace": "team-a"})
    path = keep_plan(store, first)
    assert path.startswith("plans/default/job/") and len(path.rsplit("/", 1)[1]) == len("0123456789abcdef.json")
    before = store.stat(path)
    assert keep_plan(store, first) == path
    assert store.stat(path) == before, "it is not written again"
    assert keep_plan(store, second).startswith("plans/team-a/job/")
    assert read_plan(store, path) == first
    with pytest.raises(InvalidInput, match=r"no plan lies at plans/x\.json; it was deleted"):
        read_plan(store, "plans/x.json")
    store.write(path, b"{}")
    with pytest.raises(StoreError, match="does not hold what its name says"):
        read_plan(store, path)


def test_addresses_are_all_data_sets_and_models(tmp_path: Path) -> None:
    planned(tmp_path)
    (resource,) = read_manifest(tmp_path / "job.yaml")
    datasets, models = addresses(resource)
    assert {item.uri for item in datasets} == {"file:train.jsonl", "file:test.jsonl"}
    assert {item.uri for item in models} == {"file:teacher", "file:student"}


def test_a_debate_can_be_referenced_within_the_manifest(tmp_path: Path) -> None:
    job = json.loads(json.dumps(JOB))
    debate = job["spec"].pop("debate")
    job["spec"]["debateRef"] = {"name": "talk"}
    run = {"apiVersion": job["apiVersion"], "kind": "DebateRun", "metadata": {"name": "talk"}, "spec": debate}
    file = tmp_path / "both.yaml"
    file.write_text(yaml.safe_dump_all([run, job]))
    resources, found = check_manifest(file)
    assert not found
    others: dict[str, Resource] = {f"{item.kind}/{item.metadata.name}": item for item in resources}
    pins = {pin.uri: pin for pin in PINS.values()}
    referring = next(item for item in resources if isinstance(item, DistillJob))
    assert keys(plan(referring, pins, others=others)) == keys(planned(tmp_path))
    with pytest.raises(InvalidInput, match=r"spec\.debateRef names DebateRun 'talk', which is not in this manifest"):
        plan(referring, pins)
