"""Helm as people use it, and the values that each chart is tried with."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHARTS = ROOT / "charts"
Body = dict[str, Any]


@dataclass(frozen=True)
class Helm:
    """One Helm, with folders of its own."""

    program: Path
    home: Path
    kubeconfig: Path | None = None
    """Of the cluster to act on; without it nothing is asked of any."""

    def run(self, *arguments: str | Path, code: int = 0) -> str:
        """Run a command; returns what it printed, errors among it where it is to fail."""
        names = ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")
        env = {name: str(self.home / name) for name in names} | {"HOME": str(self.home)}
        env |= {"PATH": os.environ["PATH"], "KUBECONFIG": str(self.kubeconfig or self.home / "none")}
        command = [str(one) for one in (self.program, *arguments)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=280, check=False)
        assert done.returncode == code, f"{command}\n{done.stdout}{done.stderr}"
        assert code or "WARNING" not in done.stderr.replace("WARNING: Kubernetes configuration", ""), done.stderr
        return done.stdout + (done.stderr if code else "")

    def render(
        self,
        chart: str,
        *values: str | Path,
        release: str = "agentark",
        namespace: str = "agentark-system",
        hooks: bool = True,
        **given: Any,
    ) -> list[Body]:
        """The objects that a chart makes, in Helm's order.

        Args:
            chart: Name of its folder.
            values: Files of values.
            release: Name of the release.
            namespace: Of the release.
            hooks: Whether hooks are among them.
            given: Further values, by name.
        """
        text = self.template(chart, *values, release=release, namespace=namespace, given=given, hooks=hooks)
        return [one for one in yaml.safe_load_all(text) if one]

    def template(
        self,
        chart: str,
        *values: str | Path,
        release: str = "agentark",
        namespace: str = "agentark-system",
        given: Mapping[str, Any] | None = None,
        hooks: bool = True,
        code: int = 0,
    ) -> str:
        """What `helm template` prints; arguments as for `render`, and the exit code that it is to end with."""
        files = [part for one in values for part in ("--values", str(one))]
        with_given = setting(given or {})
        more = [] if hooks else ["--no-hooks"]
        return self.run(
            "template", release, CHARTS / chart, "--namespace", namespace, *files, *with_given, *more, code=code
        )


def setting(given: Mapping[str, Any]) -> list[str]:
    """Options that give values; by name, since Helm 3 takes no whole object."""
    return [word for name, value in given.items() for word in ("--set-json", f"{name}={json.dumps(value)}")]


def examples(*charts: str) -> list[tuple[str, Path]]:
    """(chart, file) of every `ci/NAME-values.yaml`."""
    return [(chart, file) for chart in charts for file in sorted((CHARTS / chart / "ci").glob("*-values.yaml"))]


def only(objects: list[Body], kind: str, name: str = "") -> Body:
    """The one object of a kind, or of a kind and a name."""
    found = [one for one in objects if one["kind"] == kind and name in ("", one["metadata"]["name"])]
    assert len(found) == 1, [(one["kind"], one["metadata"]["name"]) for one in objects]
    return found[0]
