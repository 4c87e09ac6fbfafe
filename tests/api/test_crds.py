"""The CustomResourceDefinitions: current, small, and as strict as the models; a real API server takes them."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentark.api import API_VERSION, KINDS, InvalidManifest, check_manifest, read_manifest
from agentark.api.crds import custom_resource, expand, render_crds, rules_of
from tests.api.manifests import ACCEPTED, BROKEN, PODS, manifest
from tests.api.test_malformed import COUNT, broken
from tests.servers.kubernetes import ApiServer

ROOT = Path(__file__).parents[2]


def where(kind: str, name: str = "") -> str:
    plural = custom_resource(kind)["spec"]["names"]["plural"]
    return f"/apis/agentark.dev/v1alpha1/namespaces/default/{plural}" + (f"/{name}" if name else "")


@pytest.fixture
def server(cluster: ApiServer) -> ApiServer:
    return cluster


def test_the_files_are_those_of_the_models() -> None:
    assert {file.name: file.read_text() for file in (ROOT / "crds").iterdir()} == render_crds(), "run: make generate"


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_small_enough_for_every_client(kind: str) -> None:
    assert len(json.dumps(custom_resource(kind), separators=(",", ":"))) < 60_000


def test_every_rule_is_broken_by_some_case() -> None:
    named = {message for _, _, message in BROKEN}
    rules = {model.rules[place].message for kind in KINDS for model, place in rules_of(kind)}
    assert rules <= named, f"without a case: {rules - named}"
    assert {kind for kind, _ in ACCEPTED} == set(KINDS)


def test_rules_name_fields_with_their_defaults() -> None:
    (model, place), *_ = [one for one in rules_of("DistillJob") if "multiple of iterations" in one[0].rules[one[1]][1]]
    assert expand(model.rules[place].cel, model) == "self.?steps.orValue(100) % self.?iterations.orValue(1) == 0"
    with pytest.raises(StopIteration):
        expand("$nothing == 1", model)


@pytest.mark.parametrize(("kind", "changes", "message"), BROKEN)
def test_a_broken_rule_is_refused_on_the_laptop_too(
    tmp_path: Path, kind: str, changes: dict[str, Any], message: str
) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(yaml.safe_dump(manifest(kind, changes)))
    with pytest.raises(InvalidManifest):
        read_manifest(file)


@pytest.mark.parametrize(("kind", "changes", "message"), BROKEN)
def test_a_broken_rule_is_refused_with_its_message(
    server: ApiServer, kind: str, changes: dict[str, Any], message: str
) -> None:
    answer = server.apply(where(kind, "sample"), manifest(kind, changes), dry_run=True)
    assert answer.status == 422
    assert message in answer.message


@pytest.mark.parametrize(("kind", "changes"), ACCEPTED)
def test_what_keeps_to_the_rules_is_accepted_by_both(
    server: ApiServer, tmp_path: Path, kind: str, changes: dict[str, Any]
) -> None:
    made = manifest(kind, changes)
    file = tmp_path / "good.yaml"
    file.write_text(yaml.safe_dump(made))
    read_manifest(file)
    answer = server.apply(where(kind, "sample"), made, dry_run=True)
    assert (answer.status, answer.warnings) == (201, ()), answer.message


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_back_is_what_was_applied(server: ApiServer, kind: str) -> None:
    made = manifest(kind, {})
    path = where(kind, "drift")
    made["metadata"]["name"] = "drift"
    try:
        first = server.apply(path, made)
        assert first.status == 201, first.message
        assert first.body["spec"] == made["spec"]
        assert first.body["status"] == {"observedGeneration": -1}, "not yet seen by the operator"
        second, third = server.apply(path, made), server.apply(path, made)
        assert second.body["spec"] == made["spec"] and second.body["metadata"]["generation"] == 1
        # The server stores the status' default with the second write, and has nothing to write from then on.
        assert third.body == second.body
    finally:
        server.request("DELETE", path)


@pytest.mark.parametrize("kind", ["DebateRun", "PRMTraining", "DistillJob"])
def test_pod_templates_are_kept_whole(server: ApiServer, kind: str) -> None:
    """The schema describes nothing within them, and the API server must not take that for "nothing is allowed"."""
    teacher = "teacher" if kind == "DebateRun" else "debate.teacher"
    made = manifest(kind, {"pods": PODS, f"{teacher}.serving.pods": PODS}, name="pods")
    path = where(kind, "pods")
    try:
        first = server.apply(path, made)
        assert (first.status, first.warnings) == (201, ()), first.message
        kept = server.request("GET", path).body
        assert kept["spec"] == made["spec"]
        again = server.apply(
            path, {name: kept[name] for name in ("apiVersion", "kind", "spec")} | {"metadata": made["metadata"]}
        )
        assert again.body["metadata"]["generation"] == 1, again.message
    finally:
        server.request("DELETE", path)


def test_the_examples_are_accepted_as_they_are(server: ApiServer) -> None:
    files = sorted((ROOT / "examples").rglob("*.yaml"))
    found = [one for file in files for one in yaml.safe_load_all(file.read_text()) if one]
    documents = [one for one in found if one.get("apiVersion") == API_VERSION]  # those of others are beside them
    assert len(documents) > 10
    for document in documents:
        document["metadata"]["namespace"] = "default"
        answer = server.apply(where(document["kind"], document["metadata"]["name"]), document, dry_run=True)
        assert (answer.status, answer.warnings) == (201, ()), f"{document['metadata']['name']}: {answer.message}"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("methods", "PAD", "must be of type array"),
        ("methods", ["Magic"], 'Unsupported value: "Magic"'),
        ("training", {"epochs": 2}, "must be of type string"),
        ("traning", {}, "unknown field"),
        ("training", {"nodes": 0}, "should be greater than or equal to 1"),
        ("pods", ["nodeSelector"], "must be of type object"),
        ("runPolicy", {"backoffLimits": 1}, "unknown field"),
    ],
)
def test_wrong_types_and_unknown_fields_are_named(server: ApiServer, field: str, value: Any, message: str) -> None:
    path = where("DistillJob") + "?fieldValidation=Strict&dryRun=All"  # what `kubectl apply` asks for
    answer = server.request("POST", path, manifest("DistillJob", {field: value}))
    assert answer.status in (400, 422)
    assert message in answer.message and field in answer.message


@pytest.mark.parametrize("kind", KINDS)
def test_status_is_written_apart_and_pruned_to_its_schema(server: ApiServer, kind: str) -> None:
    path = where(kind, "status")
    made = manifest(kind, {}, name="status")
    condition = {"type": "Ready", "status": "False", "reason": "Waiting", "message": "for the debate"}
    condition |= {"lastTransitionTime": "2026-11-24T12:00:00Z", "observedGeneration": 1}
    try:
        server.apply(path, made)
        status = {"observedGeneration": 1, "conditions": [condition], "unknown": 1}
        answer = server.request("PATCH", f"{path}/status", {"status": status}, form="application/merge-patch+json")
        assert answer.status == 200, answer.message
        assert answer.body["status"] == {"observedGeneration": 1, "conditions": [condition]}
        assert answer.body["metadata"]["generation"] == 1
        assert answer.body["spec"] == made["spec"]
    finally:
        server.request("DELETE", path)


def test_what_the_server_takes_the_operator_can_read(server: ApiServer, tmp_path: Path) -> None:
    """Manifests broken at random: none makes the server fail, and none that it stores is a surprise to the models."""
    file = tmp_path / "manifest.json"
    taken = refused = 0
    for number in range(COUNT):
        document = yaml.safe_load(broken(number))
        kind, metadata = document.get("kind"), document.get("metadata")
        if not isinstance(kind, str) or kind not in KINDS or metadata != manifest(kind, {})["metadata"]:
            continue
        try:
            json.dumps(document, allow_nan=False)
        except (TypeError, ValueError):
            continue  # no JSON, so kubectl cannot send it
        answer = server.request("POST", where(kind) + "?fieldValidation=Strict&dryRun=All", document)
        assert answer.status in (201, 400, 422), f"{number}: {answer}"
        refused += answer.status != 201
        if answer.status == 201:
            taken += 1
            # As the operator sees it, without fields that the server drops because they are null.
            seen = {part: answer.body[part] for part in ("apiVersion", "kind", "metadata", "spec")}
            file.write_text(json.dumps(seen))
            assert not check_manifest(file)[1], f"{number}: {document}"
    assert taken > 5 and refused > 50
