"""The GitOps examples, by the code of those who read them: Flux's types, kstatus, and the Lua that Argo CD runs."""

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.commands import DOCS
from tests.operator.kstatus import health
from tests.servers.programs import gitops

EXAMPLES = DOCS.parent / "examples" / "gitops"
KINDS = ("DistillJob", "DebateRun", "PRMTraining", "ModelRelease")
Body = dict[str, Any]


@pytest.fixture(scope="session")
def gitops_reader() -> str:
    """The program that reads as they do."""
    return gitops()


def ask(gitops_reader: str, *arguments: str | Path, given: list[Body]) -> list[str]:
    text = "\n".join(json.dumps(one) for one in given)
    done = subprocess.run([gitops_reader, *arguments], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def documents(name: str) -> list[Body]:
    return list(yaml.safe_load_all((EXAMPLES / name).read_text()))


def resource(*conditions: str, observed: int = 1, phase: str = "", suspend: bool = False) -> Body:
    """A resource with these conditions: "Ready", or "-Ready" for one that is False."""
    made = [
        {"type": one.removeprefix("-"), "status": "False" if one.startswith("-") else "True", **SAID}
        for one in conditions
    ]
    status: Body = {"observedGeneration": observed, "conditions": made} | ({"phase": phase} if phase else {})
    metadata = {"name": "sums", "namespace": "team-a", "generation": 1}
    spec = {"suspend": True} if suspend else {}
    return {
        "apiVersion": "agentark.dev/v1alpha1",
        "kind": "DistillJob",
        "metadata": metadata,
        "spec": spec,
        "status": status,
    }


SAID = {"reason": "Because", "message": "so it is", "lastTransitionTime": "2026-01-01T00:00:00Z"}
CASES = {
    "ready": (resource("Complete", "Ready", phase="Succeeded"), "Current", "Healthy"),
    "running": (resource("-Ready", "Reconciling", phase="Running"), "InProgress", "Progressing"),
    "stalled": (resource("-Ready", "Stalled", phase="Pending"), "Failed", "Degraded"),
    "failed": (resource("Failed", "-Ready", "Stalled", phase="Failed"), "Failed", "Degraded"),
    "suspended": (resource("-Ready", "Suspended", phase="Suspended", suspend=True), "InProgress", "Suspended"),
    "not seen": (resource(observed=-1), "InProgress", "Progressing"),
    "changed": (resource("Complete", "Ready", observed=0), "InProgress", "Progressing"),
}


@pytest.mark.parametrize("case", CASES)
def test_all_agree_on_health(gitops_reader: str, tmp_path: Path, case: str) -> None:
    given, flux, argo = CASES[case]
    assert ask(gitops_reader, "health", given=[given]) == [flux] and health(given) == flux
    script = tmp_path / "health.lua"
    script.write_text(argo_settings()["resource.customizations.health.agentark.dev_DistillJob"])
    (found,) = ask(gitops_reader, "lua", script, given=[given])
    assert json.loads(found)["status"] == argo
    if observed := given["status"]["conditions"]:
        assert not observed or given["status"]["observedGeneration"] != 1 or "so it is" in found


def test_the_page_tells_the_same() -> None:
    text = (DOCS / "gitops.md").read_text()
    for row in ("| Ready | Current | Healthy |", "| Suspended | InProgress | Suspended |"):
        assert row in text


@cache
def argo_settings() -> dict[str, str]:
    (found,) = documents("argocd/argocd-cm.yaml")
    return dict(found["data"])


def test_every_kind_has_its_health_and_what_runs_its_actions() -> None:
    settings, start = argo_settings(), "resource.customizations"
    assert {name for name in settings if ".health." in name} == {
        f"{start}.health.agentark.dev_{kind}" for kind in KINDS
    }
    assert {name for name in settings if ".actions." in name} == {
        f"{start}.actions.agentark.dev_{kind}" for kind in KINDS[:3]
    }


def test_argo_cd_suspends_resumes_and_tries_again(gitops_reader: str, tmp_path: Path) -> None:
    actions = yaml.safe_load(argo_settings()["resource.customizations.actions.agentark.dev_DistillJob"])
    scripts = {one["name"]: one["action.lua"] for one in actions["definitions"]} | {"": actions["discovery.lua"]}

    def act(name: str, given: Body) -> Any:
        file = tmp_path / "script.lua"
        file.write_text(scripts[name])
        (found,) = ask(gitops_reader, "lua", file, given=[given])
        return json.loads(found)

    runs, rests, failed = (CASES[case][0] for case in ("running", "suspended", "failed"))
    offered = {
        name: {one for one, how in act("", given).items() if not how["disabled"]} for name, given in CASES_OF.items()
    }
    assert offered == {"running": {"suspend"}, "suspended": {"resume"}, "failed": {"suspend", "retry"}}
    assert act("suspend", runs)["spec"]["suspend"] is True
    assert act("resume", rests)["spec"]["suspend"] is False
    assert act("retry", failed)["metadata"]["annotations"]["agentark.dev/requestedAt"].endswith("Z")


CASES_OF = {case: CASES[case][0] for case in ("running", "suspended", "failed")}


@pytest.mark.parametrize("file", sorted(file.name for file in (EXAMPLES / "flux").iterdir()))
def test_flux_takes_its_manifests(gitops_reader: str, file: str) -> None:
    assert ask(gitops_reader, "flux", given=documents(f"flux/{file}")) == []


def test_flux_refuses_what_it_does_not_know(gitops_reader: str) -> None:
    (made, *_) = documents("flux/training.yaml")
    made["spec"]["intervall"] = "1h"
    (said,) = ask(gitops_reader, "flux", given=[made])
    assert 'unknown field "intervall"' in said


def test_charts_and_values_of_the_examples_are_there() -> None:
    charts = DOCS.parent / "charts"
    for file in ("flux/agentark.yaml", "flux/serving.yaml"):
        for one in documents(file):
            if one["kind"] == "HelmRelease":
                chart = DOCS.parent / one["spec"]["chart"]["spec"]["chart"]
                known = yaml.safe_load((chart / "values.yaml").read_text())
                assert set(one["spec"].get("values", {})) <= set(known), chart
    paths = {one["spec"]["source"]["path"] for one in documents("argocd/agentark.yaml")}
    assert paths == {f"charts/{name}" for name in ("agentark-crds", "agentark-operator")} and charts.exists()
