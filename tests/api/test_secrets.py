"""Two Secret keys that a stage would read from one environment variable are refused, wherever a resource names them."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from agentark_operator.informers.resources import parse_resource
from pydantic import BaseModel

from agentark.api import KINDS, DistillJob, SecretKey, check_manifest
from agentark.errors import InvalidInput
from agentark.planning import NotPinned, plan

DATASET = {"uri": "s3://data/train.jsonl"}
SUITES = [{"name": "test", "dataset": DATASET}]
WEIGHTS = {"uri": "s3://data/base"}


def server(name: str, key: str) -> dict[str, Any]:
    return {"baseUrl": "http://llm/v1", "model": "m", "apiKeySecretRef": {"name": name, "key": key}}


def debate(teacher: dict[str, Any], *team: dict[str, Any]) -> dict[str, Any]:
    agents = [{"teacher": {"endpoint": endpoint}} for endpoint in team]
    protocol = {"protocol": {"agents": len(agents), "team": agents}} if agents else {}
    return {"dataset": DATASET, "teacher": {"endpoint": teacher}, **protocol}


def job(**spec: Any) -> dict[str, Any]:
    return {"student": {"model": WEIGHTS}, "methods": ["PAD"], "evaluation": {"suites": SUITES}, **spec}


def resource(kind: str, spec: dict[str, Any], name: str = "small") -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "agentark.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def wrong(tmp_path: Path, *documents: dict[str, Any]) -> list[str]:
    file = tmp_path / "manifest.yaml"
    file.write_text(yaml.safe_dump_all(documents, sort_keys=False))
    return [str(issue) for issue in check_manifest(file)[1]]


ONE, OTHER = server("openai", "judge-key"), server("openai-judge", "key")
PLACES: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "teacher and agent": (
        "DebateRun",
        debate(ONE, ONE, OTHER),
        "teacher.endpoint.apiKeySecretRef",
        "protocol.team[1].teacher.endpoint.apiKeySecretRef",
    ),
    "two agents": (
        "DebateRun",
        debate(server("plain", "key"), ONE, OTHER),
        "protocol.team[0].teacher.endpoint.apiKeySecretRef",
        "protocol.team[1].teacher.endpoint.apiKeySecretRef",
    ),
    "teacher and judge": (
        "PRMTraining",
        {"debate": debate(ONE), "model": WEIGHTS, "labels": ["Judge"], "judge": OTHER},
        "debate.teacher.endpoint.apiKeySecretRef",
        "judge.apiKeySecretRef",
    ),
    "a job's teacher and its judge": (
        "DistillJob",
        job(debate=debate(ONE), prm={"labels": ["Judge"], "judge": OTHER}),
        "debate.teacher.endpoint.apiKeySecretRef",
        "prm.judge.apiKeySecretRef",
    ),
    "a job's teacher and a served reward model": (
        "DistillJob",
        job(debate=debate(ONE), pad={"prmEndpoint": OTHER | {"weights": WEIGHTS}}),
        "debate.teacher.endpoint.apiKeySecretRef",
        "pad.prmEndpoint.apiKeySecretRef",
    ),
}


@pytest.mark.parametrize(("kind", "spec", "first", "second"), PLACES.values(), ids=PLACES)
def test_both_fields_are_named_and_what_to_do(
    tmp_path: Path, kind: str, spec: dict[str, Any], first: str, second: str
) -> None:
    (said,) = wrong(tmp_path, resource(kind, spec))
    named = f"{first} {{name: openai, key: judge-key}} and {second} {{name: openai-judge, key: key}} are different keys"
    assert named in said
    assert "AGENTARK_SECRET_OPENAI_JUDGE_KEY; rename a Secret or a key" in said


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("openai", "judge-key"), ("openai-judge", "key")),
        (("llm", "apiKey"), ("llm", "apikey")),
        (("llm", "api.key"), ("llm", "api-key")),
        (("llm", "api_key"), ("llm", "api.key")),
        (("a-b", "c"), ("a", "B.C")),
    ],
    ids=str,
)
def test_names_come_together_by_capitals_dots_and_dashes(
    tmp_path: Path, one: tuple[str, str], other: tuple[str, str]
) -> None:
    assert SecretKey(name=one[0], key=one[1]).variable == SecretKey(name=other[0], key=other[1]).variable
    said = wrong(tmp_path, resource("DebateRun", debate(server(*one), server(*one), server(*other))))
    assert len(said) == 1 and f"name: {one[0]}, key: {one[1]}" in said[0] and f"key: {other[1]}" in said[0]


@pytest.mark.parametrize("other", [("openai", "judge-key"), ("openai", "key"), ("openai-judges", "key")], ids=str)
def test_one_key_twice_and_keys_apart_are_taken(tmp_path: Path, other: tuple[str, str]) -> None:
    assert not wrong(tmp_path, resource("DebateRun", debate(ONE, ONE, server(*other))))


def test_all_are_said_at_once(tmp_path: Path) -> None:
    team = (server("llm", "apiKey"), server("llm", "apikey"), OTHER, server("open-ai", "x"))
    (said,) = wrong(tmp_path, resource("DebateRun", debate(ONE, *team)))
    assert "AGENTARK_SECRET_OPENAI_JUDGE_KEY" in said and "AGENTARK_SECRET_LLM_APIKEY" in said


def test_resources_of_one_file_share_a_laptops_environment(tmp_path: Path) -> None:
    said = wrong(
        tmp_path,
        resource("DebateRun", debate(ONE), "talk"),
        resource("PRMTraining", {"debateRef": {"name": "talk"}, "model": WEIGHTS, "labels": ["Judge"], "judge": OTHER}),
    )
    assert len(said) == 1
    assert "spec.judge.apiKeySecretRef: DebateRun 'talk' spec.teacher.endpoint.apiKeySecretRef {name: openai" in said[0]
    assert "and PRMTraining 'small' spec.judge.apiKeySecretRef {name: openai-judge" in said[0]


def test_the_operator_refuses_them_as_well() -> None:
    with pytest.raises(InvalidInput, match=r"protocol\.team\[1\].*AGENTARK_SECRET_OPENAI_JUDGE_KEY"):
        parse_resource(resource("DebateRun", debate(ONE, ONE, OTHER)))


def test_so_does_the_plan_of_a_resource_that_names_others() -> None:
    """A cluster has each by itself; their keys come together in the stages of the one that names the other."""
    talk = _model(resource("DebateRun", debate(ONE), "talk"))
    judged = {"labels": ["Judge"], "judge": OTHER, "model": WEIGHTS}
    trained = _model(resource("PRMTraining", {"debateRef": {"name": "talk"}, **judged}, "steps"))
    others = {"DebateRun/talk": talk, "PRMTraining/steps": trained}
    referring = {
        "by debateRef": job(debateRef={"name": "talk"}, prm={"labels": ["Judge"], "judge": OTHER}),
        "by prmRef": job(debate=debate(server("plain", "key")), prmRef={"name": "steps"}),
        "by prm.debateRef": job(debate=debate(OTHER), prm={"debateRef": {"name": "talk"}}),
    }
    for how, spec in referring.items():
        with pytest.raises(InvalidInput, match=r"DebateRun 'talk' spec\.teacher") as refused:
            plan(_model(resource("DistillJob", spec)), {}, others=others)
        assert "AGENTARK_SECRET_OPENAI_JUDGE_KEY" in str(refused.value), how
    with pytest.raises(InvalidInput, match=r"PRMTraining 'steps' spec\.judge"):
        plan(trained, {}, others=others)


def test_somebody_elses_keys_do_not_count() -> None:
    apart = _model(resource("DebateRun", debate(OTHER), "apart"))
    lone = _model(resource("DistillJob", job(debate=debate(ONE), methods=["RSFT"])))
    assert isinstance(lone, DistillJob)
    with pytest.raises(NotPinned, match="s3://data"):  # as far as the addresses, which nobody has resolved
        plan(lone, {}, others={"DebateRun/apart": apart})


def _model(body: dict[str, Any]) -> Any:
    model: type[BaseModel] = KINDS[body["kind"]]
    return model.model_validate_json(json.dumps(body))
