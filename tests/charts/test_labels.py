"""Each label and annotation stands once in what a chart makes, whatever the values say, and selectors find their pods.

Helm takes a key that is given twice, and so does YAML for most who read it; kustomize and Flux refuse it.
"""

from typing import Any

import pytest

from agentark.api.manifest import parse
from tests.charts.charting import CHARTS, Body, Helm, only
from tests.charts.inference import STORE

CHART = "agentark-operator"
OWN = {
    "app.kubernetes.io/part-of": "ml-platform",
    "app.kubernetes.io/version": "9",
    "app.kubernetes.io/managed-by": "somebody",
    "helm.sh/chart": "theirs",
    "rbac.authorization.k8s.io/aggregate-to-view": "false",
    "team": "common",
    "empty": "",
}
"""Labels that collide with the chart's own."""
FOUND_BY = ("app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component")
SPECIFIC = {**OWN, "app.kubernetes.io/part-of": "kube-prometheus", "team": "own"}
MONITORED = {**SPECIFIC, "app.kubernetes.io/name": "theirs", "app.kubernetes.io/instance": "prometheus"}
ANNOTATIONS = {
    "kubectl.kubernetes.io/default-container": "proxy",
    "checksum/settings": "theirs",
    "agentark.dev/chat-template": "theirs",
}
METRICS: dict[str, Any] = {
    "podMonitor": {"enabled": True, "labels": MONITORED},
    "rules": {"enabled": True, "labels": MONITORED},
    "dashboards": {
        "enabled": True,
        "labels": {**MONITORED, "grafana_dashboard": "1"},
        "annotations": ANNOTATIONS,
    },
}
EVERYWHERE: dict[str, dict[str, Any]] = {
    "agentark-operator": {
        "commonLabels": OWN,
        "podLabels": SPECIFIC,
        "podAnnotations": ANNOTATIONS,
        "serviceAccount": {"annotations": ANNOTATIONS},
        "metrics": {**METRICS, "serviceMonitor": {"enabled": True, "labels": MONITORED}},
        "podDisruptionBudget": {"enabled": True},
        "networkPolicy": {"egress": {"restrict": True}},
    },
    "agentark-inference": {
        "commonLabels": OWN,
        "models": {
            "math": {"release": "a@1", "chatTemplate": "{{ x }}", "podLabels": SPECIFIC, "podAnnotations": ANNOTATIONS},
            "other": {"release": "a@1", "autoscaling": {"type": "HPA"}},
        },
        "defaults": {
            "podLabels": OWN,
            "podAnnotations": ANNOTATIONS,
            "service": {"annotations": ANNOTATIONS},
            "podDisruptionBudget": {"enabled": True},
            "strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
        },
        "routes": {"public": {"parentRefs": [{"name": "public"}], "backends": [{"model": "math"}]}},
        "serviceAccount": {"annotations": ANNOTATIONS},
        "metrics": METRICS,
        "networkPolicy": {"egress": {"restrict": True}, "from": [{"podSelector": {}}]},
        "store": STORE,
    },
    "agentark-crds": {"keep": True},
}
"""Values that say a label and an annotation again wherever a chart takes any."""


def strictly(text: str) -> list[Body]:
    """What a reader sees who takes no key twice; what Helm makes is not always plain YAML for one who does."""
    documents = parse(text)
    assert not [document.issues for document in documents if document.issues], [
        (document.data["kind"], document.data["metadata"]["name"], document.issues)
        for document in documents
        if document.issues
    ]
    return [document.data for document in documents]


def rendered(helm: Helm, chart: str, **more: Any) -> list[Body]:
    return strictly(helm.template(chart, given={**EVERYWHERE[chart], **more}))


@pytest.mark.parametrize("chart", sorted(file.parent.name for file in CHARTS.glob("*/Chart.yaml")))
def test_no_key_stands_twice(helm_newest: Helm, chart: str) -> None:
    assert rendered(helm_newest, chart)


@pytest.mark.parametrize("watched", [[], ["team-a"]], ids=["everywhere", "in a namespace"])
def test_each_role_of_the_operator_as_well(helm_newest: Helm, watched: list[str]) -> None:
    made = rendered(helm_newest, CHART, watchNamespaces=watched)
    for role in (one for one in made if one["kind"] == "ClusterRole" and one["metadata"]["name"].endswith("-view")):
        assert role["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] == "true", (
            "it is what it is for"
        )


@pytest.mark.parametrize("chart", ["agentark-operator", "agentark-inference"])
def test_the_closest_value_counts(helm_newest: Helm, chart: str) -> None:
    made = rendered(helm_newest, chart)
    for one in made:
        labels = one["metadata"]["labels"]
        close = one["kind"] in ("ServiceMonitor", "PodMonitor", "PrometheusRule") or "grafana_dashboard" in labels
        wanted = dict(MONITORED if close else OWN)
        if "aggregate-to-" in str(one["metadata"]) and one["kind"] == "ClusterRole":
            wanted.pop("rbac.authorization.k8s.io/aggregate-to-view")
        assert labels.items() >= wanted.items(), (one["kind"], one["metadata"]["name"])
    pod = only(made, "Deployment", "agentark-math" if chart.endswith("inference") else "")["spec"]["template"][
        "metadata"
    ]
    assert pod["labels"].items() >= SPECIFIC.items()
    assert pod["annotations"]["kubectl.kubernetes.io/default-container"] == "proxy"


def test_what_makes_new_pods_is_the_charts(helm_newest: Helm) -> None:
    pods = {
        chart: only(rendered(helm_newest, chart), "Deployment", name)["spec"]["template"]["metadata"]["annotations"]
        for chart, name in (("agentark-operator", ""), ("agentark-inference", "agentark-math"))
    }
    assert len(pods["agentark-operator"]["checksum/settings"]) == 64
    assert len(pods["agentark-inference"]["agentark.dev/chat-template"]) == 12


@pytest.mark.parametrize("chart", ["agentark-operator", "agentark-inference"])
def test_selectors_find_their_pods(helm_newest: Helm, chart: str) -> None:
    made = rendered(helm_newest, chart)
    pods = [one["spec"]["template"]["metadata"]["labels"] for one in made if one["kind"] in ("Deployment", "Job")]
    pods += [one["metadata"]["labels"] for one in made if one["kind"] == "Pod"]
    found = [one["spec"]["selector"] for one in made if one["kind"] == "Service"]
    found += [
        one["spec"]["selector"]["matchLabels"] for one in made if one["kind"] in ("Deployment", "PodDisruptionBudget")
    ]
    found += [one["spec"]["podSelector"]["matchLabels"] for one in made if one["kind"] == "NetworkPolicy"]
    assert found and all(any(selector.items() <= labels.items() for labels in pods) for selector in found)
    for one in made:
        if one["kind"] == "Deployment":
            wanted = one["spec"]["selector"]["matchLabels"]
            assert wanted.items() <= one["spec"]["template"]["metadata"]["labels"].items()


@pytest.mark.parametrize("label", FOUND_BY)
@pytest.mark.parametrize("place", ["commonLabels", "podLabels"])
def test_a_label_that_selectors_go_by_is_refused(helm_either: Helm, place: str, label: str) -> None:
    said = helm_either.template(CHART, given={place: {label: "ml-platform"}}, code=1)
    assert f"- {place}: holds {label}, by which the chart's selectors find its pods; leave it out" in said


@pytest.mark.parametrize("label", [*FOUND_BY, "agentark.dev/model"])
def test_so_is_it_for_served_models(helm_newest: Helm, label: str) -> None:
    model = {"release": "a@1", "podLabels": {label: "x"}}
    given = {"store": STORE, "models": {"math": model}, "commonLabels": {label: "x"}}
    said = helm_newest.template("agentark-inference", given=given, code=1)
    assert f"- models.math.podLabels: holds {label}" in said and f"- commonLabels: holds {label}" in said


def test_releases_whose_long_names_begin_alike_make_objects_apart(helm_newest: Helm) -> None:
    releases = [f"{'platform-' * 5}europe-{number}" for number in (1, 2)]
    assert len(releases[0]) == 53, "the longest that Helm takes"
    made = [strictly(helm_newest.template(CHART, release=release)) for release in releases]
    names = [{(one["kind"], one["metadata"]["name"]) for one in objects} for objects in made]
    assert not names[0] & names[1]
    assert all(len(only(objects, "Deployment")["metadata"]["name"]) <= 52 for objects in made)
    whole = only(strictly(helm_newest.template(CHART, release="a" * 34)), "Deployment")["metadata"]["name"]
    assert whole == f"{'a' * 34}-agentark-operator", "as before"


def test_a_release_whose_name_is_a_number_is_one(helm_newest: Helm) -> None:
    made = strictly(helm_newest.template(CHART, release="2026"))
    selector = only(made, "Deployment")["spec"]["selector"]["matchLabels"]
    assert selector["app.kubernetes.io/instance"] == "2026"
