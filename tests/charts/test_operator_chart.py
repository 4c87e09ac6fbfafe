"""The operator's chart says what the code says: rights, settings; and what people may do with its kinds."""

import hashlib
import itertools
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import pytest
from agentark_operator.backends import BACKENDS
from agentark_operator.permissions import rules
from agentark_operator.settings import Settings, read_settings

from agentark import __version__
from agentark.api import KINDS
from tests.charts.charting import CHARTS, Body, Helm, only
from tests.servers.kubernetes import ApiServer

CHART = "agentark-operator"
DIGEST = f"sha256:{'a' * 64}"
EVERYTHING = {
    "watchNamespaces": ["team-a", "team-b"],
    "backends": ["TrainJob"],
    "teachers": {"enabled": False, "image": {"registry": "quay.io", "repository": "vllm", "tag": "1"}},
    "store": {"uri": "s3://ark/a", "endpoint": "http://minio:9000", "region": "eu-1", "secretName": "keys"},
    "worker": {"image": {"registry": "registry:5000", "digest": DIGEST}, "pullPolicy": "Always"},
    "global": {"imagePullSecrets": ["mirror", "other"]},
    "cost": {"currency": "EUR", "prices": {"nvidia.com/gpu": "2.50", "cpu": "0.04"}, "budgetPerHour": "40"},
    "airgap": {"enabled": True},
    "image": {"registry": "registry:5000"},
    "logFormat": "plain",
    "pollSeconds": 0.5,
    "retrySeconds": 3,
}


def settings(helm: Helm, **values: Any) -> Mapping[str, str]:
    """The environment that the operator gets."""
    return dict(only(helm.render(CHART, **values), "ConfigMap")["data"])


def granted(objects: list[Body], kind: str, name: str = "agentark-operator") -> dict[str, list[Body]]:
    """Namespace -> rules of a role there."""
    return {
        one["metadata"].get("namespace", ""): one["rules"]
        for one in objects
        if one["kind"] == kind and one["metadata"]["name"] == name
    }


def choices() -> Iterator[tuple[list[str], bool, list[str]]]:
    """Every set of backends, with teachers and without, in all namespaces and in some."""
    for count in range(len(BACKENDS) + 1):
        for backends in itertools.combinations(sorted(BACKENDS), count):
            for teachers, watched in itertools.product((True, False), ([], ["a", "b"])):
                yield list(backends), teachers, watched


def test_the_operator_may_do_what_the_code_says_and_no_more(helm_newest: Helm) -> None:
    for backends, teachers, watched in choices():
        made = helm_newest.render(CHART, backends=backends, teachers={"enabled": teachers}, watchNamespaces=watched)
        wanted = rules(backends, teachers, namespaced=bool(watched))
        assert granted(made, "Role" if watched else "ClusterRole") == dict.fromkeys(watched or [""], wanted)
        (account,) = {one["subjects"][0]["name"] for one in made if one["kind"].endswith("RoleBinding")}
        assert only(made, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == account
        bindings = [
            one for one in made if one["kind"].endswith("Binding") and "uninstall" not in one["metadata"]["name"]
        ]
        assert [one["metadata"].get("namespace", "") for one in bindings] == (watched or [""])
        if watched:
            assert not [one["kind"] for one in made if one["kind"].startswith("Cluster")]


def test_without_rbac_no_role_is_made(helm_newest: Helm) -> None:
    made = helm_newest.render(CHART, rbac={"create": False})
    assert not [one["kind"] for one in made if "Role" in one["kind"]]


class _Asked(dict[str, str]):
    """An environment that remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.names.add(key)
        return super().get(key, default)


def test_each_setting_has_a_value(helm_newest: Helm) -> None:
    asked = _Asked()
    read_settings(asked)
    assert settings(helm_newest).keys() == asked.names


def test_values_become_the_settings_that_they_say(helm_newest: Helm) -> None:
    assert read_settings(settings(helm_newest)) == Settings(
        address=":8080",
        worker_image=f"agentark-worker:{__version__}",
        teacher_image=read_settings(settings(helm_newest)).teacher_image,
        log_format="json",
    )
    assert read_settings(settings(helm_newest, **EVERYTHING)) == Settings(
        store="s3://ark/a",
        store_endpoint="http://minio:9000",
        store_region="eu-1",
        store_secret="keys",
        namespaces=("team-a", "team-b"),
        address=":8080",
        worker_image=f"registry:5000/agentark-worker@{DIGEST}",
        teacher_image="quay.io/vllm:1",
        pull_policy="Always",
        pull_secrets=("mirror", "other"),
        offline=True,
        backends=frozenset({"Job", "TrainJob"}),
        teachers=False,
        prices={"nvidia.com/gpu": Decimal("2.50"), "cpu": Decimal("0.04")},
        currency="EUR",
        budget_per_hour=Decimal(40),
        poll_s=0.5,
        retry_s=3.0,
    )


def test_new_settings_begin_with_a_new_pod_and_nothing_else_does(helm_newest: Helm) -> None:
    def pod(**values: Any) -> Body:
        return dict(only(helm_newest.render(CHART, **values), "Deployment")["spec"]["template"])

    first = pod()
    assert pod(pollSeconds=5)["metadata"]["annotations"] != first["metadata"]["annotations"]
    assert pod(metrics={"rules": {"enabled": True}}, uninstall={"stopRuns": False}) == first


@pytest.mark.parametrize("release", ["agentark", "agentark-operator", "my-agentark-operator", "other", "x" * 53])
def test_objects_of_any_release_have_names_that_fit(helm_newest: Helm, release: str) -> None:
    made = helm_newest.render(CHART, release=release)
    names = {one["metadata"]["name"] for one in made}
    short = {
        "agentark": "agentark-operator",
        "agentark-operator": "agentark-operator",
        "other": "other-agentark-operator",
    }
    cut = f"{'x' * 43}-{hashlib.sha256(f'{release}-agentark-operator'.encode()).hexdigest()[:8]}"
    assert short.get(release, release if "agentark" in release else cut) in names
    assert max(map(len, names)) <= 63


def test_a_mirror_stands_before_every_image(helm_newest: Helm) -> None:
    values: Body = {"global": {"imageRegistry": "mirror:5000/a/"}}
    made = helm_newest.render(CHART, **values)
    images = {
        container["image"]
        for one in made
        if one["kind"] in ("Deployment", "Job")
        for container in one["spec"]["template"]["spec"]["containers"]
    }
    data = only(made, "ConfigMap")["data"]
    images |= {data["AGENTARK_WORKER_IMAGE"], data["AGENTARK_TEACHER_IMAGE"]}
    assert images == {
        f"mirror:5000/a/agentark-operator:{__version__}",
        f"mirror:5000/a/agentark-worker:{__version__}",
        "mirror:5000/a/vllm/vllm-openai:v0.32.0",
    }


def test_people_get_what_kubernetes_own_roles_say(helm_newest: Helm, neighbours: ApiServer) -> None:
    made = helm_newest.render(CHART)
    everything = {f"{kind.lower()}s" for kind in KINDS}
    writes: dict[str, set[str]] = {}
    for who in ("view", "edit", "admin"):
        role = only(made, "ClusterRole", f"agentark-operator-{who}")
        path = f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{who}"
        (selector,) = neighbours.request("GET", path).body["aggregationRule"]["clusterRoleSelectors"]
        assert selector["matchLabels"].items() <= role["metadata"]["labels"].items()
        reads, *rest = role["rules"]
        assert everything <= set(reads["resources"]) and reads["verbs"] == ["get", "list", "watch"]
        writes[who] = {resource for rule in rest for resource in rule["resources"]}
    assert writes == {"view": set(), "edit": everything - {"modelreleases"}, "admin": everything}


def test_in_named_namespaces_people_get_roles_there(helm_newest: Helm) -> None:
    made = helm_newest.render(CHART, watchNamespaces=["a", "b"])
    for who in ("view", "edit", "admin"):
        assert granted(made, "Role", f"agentark-operator-{who}").keys() == {"a", "b"}
    assert not any("aggregate" in str(one["metadata"]) for one in made)


def test_charts_are_of_the_codes_version_and_name_its_kinds(helm_either: Helm) -> None:
    for chart in sorted(file.parent for file in CHARTS.glob("*/Chart.yaml")):
        said = helm_either.run("show", "chart", chart)
        assert f"version: {__version__}\n" in said and f"appVersion: {__version__}\n" in said
    said = helm_either.run("show", "chart", CHARTS / "agentark-crds")
    assert all(f"kind: {kind}," in said and f"name: {kind.lower()}s.agentark.dev" in said for kind in KINDS)
