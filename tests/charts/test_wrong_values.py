"""A wrong value is refused before anything is made, with its path and what is accepted, by both Helms."""

from typing import Any

import pytest
from agentark_operator.backends import BACKENDS

from tests.charts.charting import Helm

CHART = "agentark-operator"
WRONG: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    # Typos: the names that there are.
    ({"watchNamespace": ["a"]}, ("'watchNamespace'", "'watchNamespaces'")),
    (
        {"metrics": {"serviceMonitors": {}}},
        ("'/metrics'", "'serviceMonitors'", "'serviceMonitor'"),
    ),
    # Types and forms.
    ({"watchNamespaces": "team-a"}, ("'/watchNamespaces'", "got string, want array")),
    ({"watchNamespaces": ["a", "a"]}, ("'/watchNamespaces'", "items at 0 and 1 are equal")),
    ({"watchNamespaces": ["Team"]}, ("'/watchNamespaces/0'", "'Team'", "[a-z0-9]")),
    ({"backends": ["MPIJob"]}, ("'/backends/0'", ", ".join(f"'{name}'" for name in BACKENDS))),
    ({"logFormat": "xml"}, ("'/logFormat'", "'json', 'plain'")),
    (
        {"image": {"pullPolicy": "always"}},
        ("'/image/pullPolicy'", "'Always', 'IfNotPresent', 'Never'"),
    ),
    ({"image": {"digest": "1234"}}, ("'/image/digest'", "'1234'", "sha256:[0-9a-f]{64}")),
    ({"image": {"repository": "a:1"}}, ("'/image/repository'", "'a:1'")),
    ({"cost": {"prices": {"nvidia.com/gpu": 2.5}}}, ("nvidia.com", "got number, want string")),
    ({"cost": {"prices": {"cpu": "2,5"}}}, ("'/cost/prices/cpu'", "'2,5'", "[0-9]+")),
    ({"store": {"uri": "minio/x"}}, ("'/store/uri'", "'minio/x'", "s3://")),
    ({"store": {"endpoint": "minio:9000"}}, ("'/store/endpoint'", "'minio:9000'", "https?://")),
    ({"pollSeconds": 0}, ("'/pollSeconds'", "exclusiveMinimum: got 0, want 0")),
    (
        {"podDisruptionBudget": {"maxUnavailable": 2}},
        ("'/podDisruptionBudget/maxUnavailable'", "0, 1"),
    ),
    ({"commonLabels": {"a": "b c"}}, ("'/commonLabels/a'", "'b c'")),
    # Values that do not go together.
    ({"store": {"secretName": "s"}}, ('store.secretName: is "s", but store.uri is empty',)),
    ({"store": {"endpoint": "http://a"}}, ("store.endpoint: is", "give store.uri as s3://bucket")),
    (
        {"airgap": {"enabled": True}, "worker": {"image": {"registry": "mirror:5000"}}},
        ("- image.registry: is empty, but airgap.enabled is true", "- teachers.image.registry", "global.imageRegistry"),
    ),
    (
        {"airgap": {"enabled": True}, "global": {"imageRegistry": "m"}, "store": {"uri": "s3://bucket"}},
        ("store.endpoint: is empty, which means AWS", "http://HOST:PORT"),
    ),
    ({"cost": {"budgetPerHour": "40"}}, ("cost.budgetPerHour: is given, but cost.prices is empty",)),
    ({"cost": {"budgetPerHour": "much"}}, ("'/cost/budgetPerHour'", "'much'", "[0-9]+")),
    ({"serviceAccount": {"create": False}}, ("serviceAccount.name: is empty", "create: true")),
    (
        {"networkPolicy": {"enabled": False, "egress": {"restrict": True}}},
        ("networkPolicy.egress.restrict: is true, but networkPolicy.enabled is false", "restrict: false"),
    ),
    (
        {"networkPolicy": {"egress": {"store": [{"ipBlock": {"cidr": "198.18.0.0/24"}}]}}},
        ("networkPolicy.egress.store: is given", "set restrict: true"),
    ),
    (
        {"extraEnv": [{"name": "A", "value": "1"}, {"name": "AGENTARK_STORE", "value": "s3://x"}]},
        ('extraEnv[1].name: is "AGENTARK_STORE", which the chart sets itself',),
    ),
]


@pytest.mark.parametrize(("values", "named"), WRONG, ids=[str(values)[:70] for values, _ in WRONG])
def test_a_wrong_value_is_refused_with_its_path_and_what_is_accepted(
    helm_either: Helm, values: dict[str, Any], named: tuple[str, ...]
) -> None:
    said = helm_either.template(CHART, given=values, code=1)
    assert not [part for part in named if part not in said], said


def test_so_are_those_of_the_kinds_chart(helm_either: Helm) -> None:
    assert "'/keep': got string, want boolean" in helm_either.template("agentark-crds", given={"keep": "yes"}, code=1)
    assert "one of 'global', 'keep'" in helm_either.template("agentark-crds", given={"kept": True}, code=1)


def test_all_that_does_not_go_together_is_said_at_once(helm_newest: Helm) -> None:
    policy = {"metricsFrom": [{}], "enabled": False}
    values = {"store": {"secretName": "s"}, "serviceAccount": {"create": False}, "networkPolicy": policy}
    said = helm_newest.template(CHART, given=values, code=1)
    assert all(
        f"\n- {path}: " in said for path in ("store.secretName", "serviceAccount.name", "networkPolicy.metricsFrom")
    )
