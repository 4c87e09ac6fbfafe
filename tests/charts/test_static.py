"""What can be said of the charts without installing them: by Helm, by schemas, by people and by a real server."""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.charts import golden
from tests.charts.charting import CHARTS, ROOT, Body, Helm, examples, only
from tests.operator.running import KUBECTL
from tests.servers import kubeconform
from tests.servers.kubernetes import ApiServer

OURS = ("agentark-crds", "agentark-operator", "agentark-inference")
SETS = examples(*OURS)
IDS = [f"{chart}-{file.name.removesuffix('-values.yaml')}" for chart, file in SETS]
NAMESPACES = ("agentark-system", "team-a", "team-b")
"""That the sets of values name."""


@pytest.mark.parametrize(("chart", "values"), SETS, ids=IDS)
def test_helm_finds_nothing_to_say(helm_either: Helm, chart: str, values: Path) -> None:
    said = helm_either.run("lint", "--strict", CHARTS / chart, "--values", values)
    assert "1 chart(s) linted, 0 chart(s) failed" in said and "WARNING" not in said


@pytest.mark.parametrize(("chart", "values"), examples(*golden.CHARTS), ids=lambda one: getattr(one, "name", one))
def test_renders_are_those_that_were_reviewed(helm_either: Helm, chart: str, values: Path) -> None:
    kept = golden.place(chart, values)
    assert golden.render(helm_either, chart, values) == kept.read_text(), (
        f"{kept}: not what the chart makes; run `python -m tests.charts.golden`, and look at the difference"
    )


def test_the_kinds_are_those_of_the_code(helm_either: Helm) -> None:
    kept = helm_either.render("agentark-crds", release="kinds")
    named = {one["metadata"]["name"]: one for one in kept}
    for file in sorted((ROOT / "crds").glob("*.yaml")):
        definition = yaml.safe_load(file.read_text())
        found = named.pop(definition["metadata"]["name"])
        assert found["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
        assert found == definition
    assert not named
    gone = helm_either.render("agentark-crds", release="kinds", keep=False)
    assert len(gone) == len(kept) and not any("annotations" in one["metadata"] for one in gone)


@pytest.mark.parametrize("chart", OURS)
def test_a_packaged_chart_makes_the_same(helm_newest: Helm, tmp_path: Path, chart: str) -> None:
    helm_newest.run("package", CHARTS / chart, "--destination", tmp_path)
    (package,) = tmp_path.glob("*.tgz")
    for values in sorted((CHARTS / chart / "ci").glob("*-values.yaml")):
        assert helm_newest.template(str(package), values) == helm_newest.template(chart, values)


@pytest.mark.parametrize(("chart", "values"), SETS, ids=IDS)
def test_schemas_of_every_kind_take_it(helm_newest: Helm, schemas: Path, chart: str, values: Path) -> None:
    command = [kubeconform.binary(), "-strict", "-summary", "-schema-location", f"{schemas}/{kubeconform.LOCATION}"]
    text = helm_newest.template(chart, values)
    done = subprocess.run([str(one) for one in command], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Invalid: 0, Errors: 0, Skipped: 0" in done.stdout and "Valid: 0" not in done.stdout


def test_schemas_refuse_what_is_no_field(helm_newest: Helm, schemas: Path) -> None:
    wrong = only(helm_newest.render("agentark-operator"), "Deployment")
    wrong["spec"]["replica"] = 1
    command = [kubeconform.binary(), "-strict", "-schema-location", f"{schemas}/{kubeconform.LOCATION}"]
    text = yaml.safe_dump(wrong)
    done = subprocess.run([str(one) for one in command], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "'replica' not allowed" in done.stdout + done.stderr


@pytest.mark.parametrize(("chart", "values"), SETS, ids=IDS)
def test_the_server_takes_it_in_restricted_namespaces(
    helm_newest: Helm, neighbours: ApiServer, tmp_path: Path, chart: str, values: Path
) -> None:
    restrict(neighbours)
    rendered = tmp_path / "rendered.yaml"
    rendered.write_text(helm_newest.template(chart, values))
    done = kubectl(neighbours, tmp_path, "apply", "--dry-run=server", "--warnings-as-errors", "-f", str(rendered))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_server_warns_of_a_pod_that_is_not_restricted(
    helm_newest: Helm, neighbours: ApiServer, tmp_path: Path
) -> None:
    restrict(neighbours)
    rendered = tmp_path / "rendered.yaml"
    wrong: Body = {"securityContext": {"allowPrivilegeEscalation": True}}
    rendered.write_text(yaml.safe_dump_all(helm_newest.render("agentark-operator", **wrong)))
    done = kubectl(neighbours, tmp_path, "apply", "--dry-run=server", "--warnings-as-errors", "-f", str(rendered))
    assert done.returncode == 1 and "allowPrivilegeEscalation != false" in done.stderr


def restrict(server: ApiServer) -> None:
    """Make the namespaces; what would not be admitted there is warned of when its owner is made."""
    levels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    for name in NAMESPACES:
        made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": levels}}
        assert server.apply(f"/api/v1/namespaces/{name}", made).status in (200, 201)
        for account in ("default", "agentark"):  # of pods that a chart makes itself; nobody runs who makes the first
            one = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}}
            path = f"/api/v1/namespaces/{name}/serviceaccounts/{account}"
            assert server.apply(path, one).status in (200, 201)


def kubectl(server: ApiServer, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run kubectl as the administrator."""
    config = server.kubeconfig(folder / "admin")
    command = [str(KUBECTL), "--kubeconfig", str(config), *arguments]
    env = {"HOME": str(folder), "PATH": "/usr/local/bin:/usr/bin:/bin"}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=env, check=False)
