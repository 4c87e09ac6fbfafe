"""What the operator may do: no more than its table says, in the namespaces that it looks after."""

from typing import Any

import pytest
import yaml
from agentark_operator.backends import BACKENDS
from agentark_operator.permissions import TABLE, main, manifests, rules


def granted(found: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for rule in found
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_each_backend_brings_its_kind_and_no_other() -> None:
    kinds = {name: backend.plural for name, backend in BACKENDS.items()}
    for backend in BACKENDS:
        found = {resource for _, resource, _ in granted(rules([backend], teachers=False, namespaced=True))}
        assert found & set(kinds.values()) == {"jobs", kinds[backend]}, "all other stages are Jobs"


def test_nothing_is_granted_that_is_not_needed() -> None:
    everything = granted(rules(list(BACKENDS), teachers=True, namespaced=False))
    assert not any("*" in one for one in everything)
    assert {verb for group, resource, verb in everything if resource == "secrets"} == {"get"}
    assert {verb for group, resource, verb in everything if resource == "pods"} == {"get", "list", "watch"}
    assert not any(resource in ("pods/exec", "roles", "serviceaccounts") for _, resource, _ in everything)
    assert ("apps", "deployments", "create") in everything
    assert ("apps", "deployments", "create") not in granted(rules([], teachers=False, namespaced=False))


def test_what_belongs_to_the_cluster_is_asked_for_only_there() -> None:
    assert "customresourcedefinitions" in {one for _, one, _ in granted(rules([], False, namespaced=False))}
    assert "customresourcedefinitions" not in {one for _, one, _ in granted(rules([], False, namespaced=True))}


def test_every_row_says_why_and_for_what() -> None:
    assert {row.needed for row in TABLE} == {"always", "teachers", "everywhere", *BACKENDS}
    assert all(row.why and row.verbs and row.resources for row in TABLE)


def test_roles_stand_in_each_namespace_and_bind_the_one_account() -> None:
    made = manifests("ark", watched=["team-a", "team-b"], backends=["Job"], teachers=True)
    kinds = [(one["kind"], one["metadata"].get("namespace")) for one in made]
    assert kinds == [
        ("ServiceAccount", "ark"),
        ("Role", "team-a"),
        ("RoleBinding", "team-a"),
        ("Role", "team-b"),
        ("RoleBinding", "team-b"),
    ]
    assert all(one["subjects"][0]["namespace"] == "ark" for one in made if one["kind"] == "RoleBinding")
    made = manifests("ark", watched=[], backends=["Job"], teachers=True)
    assert [one["kind"] for one in made] == ["ServiceAccount", "ClusterRole", "ClusterRoleBinding"]


def test_the_command_prints_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--namespace", "ark", "--backend", "TrainJob", "--no-teachers"]) == 0
    made = list(yaml.safe_load_all(capsys.readouterr().out))
    assert made == manifests("ark", watched=["ark"], backends=["TrainJob"], teachers=False)
    with pytest.raises(SystemExit):
        main(["--namespace", "ark", "--cluster-wide", "--watch", "team"])
    assert "exclude each other" in capsys.readouterr().err
