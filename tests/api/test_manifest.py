"""Manifests are checked whole, with positions, and are safe to read whatever they hold."""

import decimal
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from agentark.api import InvalidManifest, Training, check_manifest, json_schema, read_manifest
from agentark.api.resources import KINDS
from agentark.errors import InvalidInput

MINIMAL = """\
apiVersion: agentark.dev/v1alpha1
kind: DistillJob
metadata: {name: small}
spec:
  debate:
    dataset: {uri: "file:train.jsonl"}
    teacher: {model: {uri: "file:base"}}
  student: {model: {uri: "file:base"}}
  methods: [RSFT]
  evaluation: {suites: [{name: test, dataset: {uri: "file:test.jsonl"}}]}
"""


def issues(tmp_path: Path, text: str | bytes) -> list[str]:
    file = tmp_path / "m.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    _, found = check_manifest(file)
    return [str(issue).removeprefix(f"{file}:") for issue in found]


def test_a_small_manifest_gets_the_defaults_of_the_method(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text(MINIMAL)
    (job,) = read_manifest(file)
    assert job.kind == "DistillJob"
    protocol = job.spec.debate.protocol
    assert (protocol.type, protocol.agents, protocol.rounds, protocol.stop_on_consensus) == ("Debate", 5, 3, True)
    assert job.metadata.namespace == "default"


def test_all_errors_of_all_documents_come_at_once_with_their_lines(tmp_path: Path) -> None:
    text = MINIMAL.replace("methods: [RSFT]", "methods: [RSTF]\n  metods: [DA]") + (
        "---\napiVersion: agentark.dev/v1alpha1\nkind: DebatRun\nmetadata: {name: x}\nspec: {}\n"
        "---\napiVersion: agentark.dev/v1\nkind: DebateRun\nmetadata: {name: UPPER}\n"
        "spec:\n  dataset: {uri: 'file:x', limit: 0}\n  teacher: {}\n"
    )
    found = issues(tmp_path, text)
    assert found == [
        "9: spec.methods[0]: found \"RSTF\"; accepted: RSFT, DA, DPO, PAD, AnswerOnly; did you mean 'RSFT'?",
        "10: spec.metods: unknown field; did you mean 'methods'?",
        '14: kind: found "DebatRun"; accepted: DebateRun, PRMTraining, DistillJob, ModelRelease; '
        "did you mean 'DebateRun'?",
        '18: apiVersion: found "agentark.dev/v1"; accepted: agentark.dev/v1alpha1',
        "20: metadata.name: found \"UPPER\"; a name has lower-case letters, digits and '-', and starts and ends with a "
        "letter or digit",
        "22: spec.dataset.limit: found 0; input should be greater than or equal to 1",
        "23: spec.teacher: give exactly one of 'model' and 'endpoint'",
    ]


def test_a_plain_number_where_kubernetes_needs_text_says_how_to_write_it(tmp_path: Path) -> None:
    (found,) = issues(tmp_path, MINIMAL + "  training: {learningRate: 0.0005}\n")
    assert found.startswith("11: spec.training.learningRate: found 0.0005; write the number in quotes")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", "holds no document"),
        (b"# only a comment\n", "holds no document"),
        (b"kind: [unclosed", "is not YAML"),
        (b"kind: \xff\xfe", "is not UTF-8: byte 0xff at offset 6"),
        (b"- 1\n- 2\n", "is a list of 2; a manifest is a mapping"),
        (b"a: 1\na: 2\n", "given twice; the first is in line 1"),
        (b"[1]: 2\n", "a field name must be text"),
        (b"a: " + b"[" * 200 + b"]" * 200, "nests deeper than 64 levels"),
        (b"a: 99999999999999999999999\n", "does not fit 64 bits"),
        pytest.param(b"x" * (4 * 1024 * 1024 + 1), "Is it the data set instead", id="huge"),
        (b"a: !!python/object/apply:os.system [ls]\n", "accepted: agentark.dev/v1alpha1"),
    ],
)
def test_any_file_is_read_safely(tmp_path: Path, text: bytes, expected: str) -> None:
    assert expected in "\n".join(issues(tmp_path, text))


def test_an_alias_bomb_is_refused_quickly(tmp_path: Path) -> None:
    levels = "\n".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]" for i in range(1, 12))
    assert "remove the aliases" in issues(tmp_path, f"l0: &l0 [x]\n{levels}\n")[0]


def test_a_missing_field_says_what_it_holds(tmp_path: Path) -> None:
    text = MINIMAL.replace('dataset: {uri: "file:train.jsonl"}', "dataset: {task: gsm8k}").replace("name: test, ", "")
    first, second = issues(tmp_path, text)
    assert first.startswith("6: spec.debate.dataset.uri: missing, and it has no default; what it holds: Address of the")
    assert second.endswith(
        "suites[0].name: missing, and it has no default; what it holds: Name of the suite in results and gates"
    )


@pytest.mark.parametrize("missing", ["nothing.yaml", "."])
def test_a_missing_manifest_is_named(tmp_path: Path, missing: str) -> None:
    with pytest.raises(InvalidManifest, match=r"give (the path of a manifest|one file) with -f"):
        read_manifest(tmp_path / missing)


def test_a_grading_that_does_not_fit_names_its_field(tmp_path: Path) -> None:
    options = "grading: {relativeTolerance: '1', absoluteTolerance: 0.1, lists: unordered}"
    found = issues(tmp_path, MINIMAL.replace("test.jsonl", f'test.jsonl", {options}, limit: 0}}}}]}}\n#'))
    assert found == [
        "10: spec.evaluation.suites[0].dataset.grading.absoluteTolerance: found 0.1; write the number in quotes: "
        '"0.1" (Kubernetes keeps decimals only as text)',
        '10: spec.evaluation.suites[0].dataset.grading.lists: found "unordered"; accepted: Ordered, Unordered; did you '
        "mean 'Unordered'?",
        "10: spec.evaluation.suites[0].dataset.limit: found 0; input should be greater than or equal to 1",
    ]
    (found_task,) = issues(tmp_path, MINIMAL.replace("train.jsonl", 'train.jsonl", task: medmcqa, grading: {}}\n#'))
    assert found_task == "6: spec.debate.dataset: answers of task medmcqa are letters; remove grading"
    options = "grading: {relativeTolerance: '1'}"
    (found_bound,) = issues(tmp_path, MINIMAL.replace("train.jsonl", f'train.jsonl", {options}}}\n#'))
    assert (
        found_bound == '6: spec.debate.dataset.grading: relativeTolerance is "1", so all numbers would be equal; '
        "give less than 1"
    )


def test_names_must_differ_within_a_kind(tmp_path: Path) -> None:
    (found,) = issues(tmp_path, MINIMAL + "---\n" + MINIMAL)
    assert "already defined in line 3" in found


def test_a_gate_on_an_unknown_suite_is_refused(tmp_path: Path) -> None:
    (found,) = issues(tmp_path, MINIMAL + "  release: {name: r, gates: [{suite: other, minValue: '0.5'}]}\n")
    assert "release.gates name unknown suites: other; there are: test" in found


def test_prompts_without_their_placeholder_are_refused(tmp_path: Path) -> None:
    text = MINIMAL.replace("    teacher:", "    protocol: {prompts: {solve: 'Solve it.'}}\n    teacher:")
    assert "solve lacks {question}" in issues(tmp_path, text)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_the_schema_is_described_and_nothing_else_is_accepted(kind: str) -> None:
    schema = json_schema(kind)
    for name, definition in {kind: schema, **schema["$defs"]}.items():
        for field, content in definition.get("properties", {}).items():
            if field not in ("metadata", "spec") or name != kind:
                assert content.get("description") or "$ref" in content, f"{name}.{field} has no description"
        if name != "Metadata":
            assert definition.get("additionalProperties") is False, name


def test_the_schema_holds_no_floats() -> None:
    def types(value: object) -> set[str]:
        if isinstance(value, dict):
            own = {value["type"]} if isinstance(value.get("type"), str) else set()
            return own.union(*(types(child) for child in value.values()))
        return set().union(*(types(child) for child in value)) if isinstance(value, list) else set()

    assert "number" not in set().union(*(types(json_schema(kind)) for kind in KINDS))


@pytest.mark.parametrize(
    ("texts", "text"),
    [
        (["0.0005", "5e-4", "0.00050", "5E-4"], "5e-4"),
        (["0.01", "1e-2", "0.010"], "0.01"),
        (["2", "2.0", "0.2e1"], "2"),
        (["0", "0.0", "0e5"], "0"),
        (["123456", "1.23456e5"], "123456"),
        (["0.1234567890123456789"], "0.12345678901234568"),
        (["0.5e-99"], "5e-100"),
    ],
)
def test_a_number_has_one_text_however_it_was_written(texts: list[str], text: str) -> None:
    trainings = [Training.model_validate_json(json.dumps({"weightDecay": written})) for written in texts]
    assert {training.weight_decay for training in trainings} == {float(text)}
    assert {training.canonical()["weightDecay"] for training in trainings} == {text}
    assert Training.model_validate(trainings[0].canonical()) == trainings[0]


def test_in_python_a_float_is_a_float() -> None:
    assert Training(learning_rate=5e-4, epochs=2).canonical() == Training(learning_rate=0.0005).canonical()


@pytest.mark.parametrize("value", [math.nan, math.inf, -1e-9, 1.1, True, None, "0,5", "1_0", "0." + "1" * 23])
def test_what_is_no_decimal_is_refused_in_python_too(value: Any) -> None:
    with pytest.raises(InvalidInput, match=r"Training\.warmup_ratio: found .*must lie between 0 and 1"):
        Training(warmup_ratio=value)


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ({"weight_decay": decimal.Decimal("0.5")}, "Training.weight_decay: found"),
        ({"weight_decay": 10**400}, "must lie between 0 and 1000000"),
        ({"weight_decay": float("nan")}, "must lie between 0 and 1000000"),
        ({"batch_size": object()}, "Training.batch_size: found"),
    ],
    ids=["decimal", "huge", "nan", "object"],
)
def test_what_python_alone_can_give_is_refused_by_field(setting: dict[str, Any], found: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(found)):
        Training(**setting)


def test_no_number_is_written_that_cannot_be_read() -> None:
    training = Training(weight_decay=-0.0)
    assert training.canonical() == Training(weight_decay=0.0).canonical()
    assert Training.model_validate(training.canonical()) == training
