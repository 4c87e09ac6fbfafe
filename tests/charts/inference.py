"""The chart of served models as its tests render it: release `math` in namespace `team-a`."""

from pathlib import Path
from typing import Any

from tests.charts.charting import Body, Helm, examples, only

CHART = "agentark-inference"
RELEASE, NAMESPACE = "math", "team-a"
STORE = {"uri": "s3://agentark/team-a", "endpoint": "http://minio.minio.svc:9000", "secretName": "store"}
SETS = [file for _, file in examples(CHART)]


def named(values: Path) -> str:
    """What a set of values is called in the tests' names."""
    return values.name.removesuffix("-values.yaml")


def render(helm: Helm, *values: Path, **given: Any) -> list[Body]:
    """What the chart makes of values, in a store where none is given."""
    given = given if values else {"store": STORE, **given}
    return helm.render(CHART, *values, release=RELEASE, namespace=NAMESPACE, **given)


def refusal(helm: Helm, **given: Any) -> str:
    """What Helm says of values that it refuses."""
    return helm.template(CHART, release=RELEASE, namespace=NAMESPACE, given={"store": STORE, **given}, code=1)


def pod(objects: list[Body], name: str = RELEASE) -> Body:
    """The pod's spec in a Deployment."""
    spec: Body = only(objects, "Deployment", name)["spec"]["template"]["spec"]
    return spec


def container(spec: Body, name: str) -> Body:
    """A container of a pod, of those that begin it too."""
    (found,) = (one for one in [*spec.get("initContainers", ()), *spec["containers"]] if one["name"] == name)
    assert isinstance(found, dict)
    return found


def variables(one: Body) -> dict[str, Any]:
    """Values of a container's variables, or where they come from."""
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in one["env"]}


def pods(objects: list[Body]) -> list[Body]:
    """A pod of each Deployment, and those that are made as such."""
    templates = {one["metadata"]["name"]: one["spec"]["template"] for one in objects if one["kind"] == "Deployment"}
    made = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**template["metadata"], "name": name},
            "spec": template["spec"],
        }
        for name, template in templates.items()
    ]
    return made + [one for one in objects if one["kind"] == "Pod"]
