"""What a real API server says to the chart of served models: to its pods, and to who asks it where a release lies."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentark.api import API_VERSION
from tests.charts.charting import CHARTS, Helm, only, setting
from tests.charts.inference import CHART, NAMESPACE, RELEASE, SETS, container, named, pods, render, variables
from tests.servers.helm import helm, helm3
from tests.servers.kubernetes import ApiServer

PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


@pytest.fixture
def server(neighbours: ApiServer) -> Iterator[ApiServer]:
    """With a namespace that takes restricted pods only."""
    level = {"pod-security.kubernetes.io/enforce": "restricted"}
    made: dict[str, Any] = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": level}}
    assert neighbours.apply(f"/api/v1/namespaces/{NAMESPACE}", made).status in (200, 201)
    for name in ("default", RELEASE):
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
        path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{name}"
        assert neighbours.apply(path, account).status in (200, 201)
    yield neighbours


@pytest.mark.parametrize("values", SETS, ids=named)
def test_pods_are_admitted_in_a_restricted_namespace(helm_newest: Helm, server: ApiServer, values: Path) -> None:
    made = pods(render(helm_newest, values))
    assert {one["metadata"]["name"].endswith("-test") for one in made} == {True, False}
    for one in made:
        answer = server.apply(f"{PODS}/{one['metadata']['name']}", one, dry_run=True)
        assert answer.status in (200, 201), answer.message
        assert not answer.warnings


def test_a_pod_that_is_less_than_restricted_is_not(helm_newest: Helm, server: ApiServer) -> None:
    loose = {"securityContext": {"allowPrivilegeEscalation": True}}
    for one in pods(render(helm_newest, models={"math": {"release": "m"}}, defaults=loose)):
        answer = server.apply(f"{PODS}/{one['metadata']['name']}", one, dry_run=True)
        assert answer.status == 403 and "allowPrivilegeEscalation != false" in answer.message


@pytest.fixture(params=["helm4", "helm3"])
def helm_of(request: pytest.FixtureRequest, server: ApiServer, tmp_path: Path) -> Helm:
    """Either Helm, on the cluster."""
    program = helm() if request.param == "helm4" else helm3()
    return Helm(program, tmp_path, server.kubeconfig(tmp_path / "kubeconfig"))


@pytest.fixture
def release(server: ApiServer) -> Iterator[str]:
    """A ModelRelease that a job has made; its name."""
    store = {"uri": "s3://agentark/a", "endpoint": "http://minio:9000", "credentialsSecretRef": {"name": "keys"}}
    path = f"/apis/{API_VERSION}/namespaces/{NAMESPACE}/modelreleases/math-student"
    metadata = {"name": "math-student", "namespace": NAMESPACE}
    made = {"apiVersion": API_VERSION, "kind": "ModelRelease", "metadata": metadata, "spec": {"store": store}}
    answer = server.apply(path, made)
    assert answer.status in (200, 201), answer.message
    yield "math-student"
    server.request("DELETE", path)


def installed(helm_of: Helm, model: dict[str, Any], code: int = 0, **given: Any) -> str:
    """What Helm would install, having asked the server."""
    words = setting({"models": {"math": model}, "serviceAccount": {"create": False}, **given})
    return helm_of.run(
        "install", RELEASE, CHARTS / CHART, *words, "--namespace", NAMESPACE, "--dry-run=server", code=code
    )


def test_a_release_is_fetched_from_where_its_resource_says(helm_of: Helm, release: str) -> None:
    """`helm install math charts/agentark-inference --set-json 'models.math={"release":"math-student"}'`, no more."""
    manifest = installed(helm_of, {"release": f"{release}@2"}).partition("MANIFEST:")[2].partition("NOTES:")[0]
    objects = [one for one in yaml.safe_load_all(manifest) if one]
    fetch = container(only(objects, "Deployment")["spec"]["template"]["spec"], "fetch")
    assert fetch["args"][-2:] == ["--store", "s3://agentark/a"]
    found = variables(fetch)
    assert found["AWS_ENDPOINT_URL"] == "http://minio:9000"
    assert found["AWS_SECRET_ACCESS_KEY"] == {"secretKeyRef": {"name": "keys", "key": "secretKey"}}


def test_values_come_before_what_the_resource_says(helm_of: Helm, release: str) -> None:
    said = installed(helm_of, {"release": release}, store={"uri": "s3://other/b", "secretName": "mine"})
    assert "s3://other/b" in said and "s3://agentark/a" not in said


def test_without_such_a_resource_a_store_is_asked_for(helm_of: Helm) -> None:
    said = installed(helm_of, {"release": "math-student"}, code=1)
    assert "store.uri: is empty, and models.math names release math-student; give the store" in said
    assert "ModelRelease of that name in namespace team-a is taken; there is none" in said
