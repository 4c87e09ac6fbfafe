"""An operator that is there before its kinds says so, is not ready, and begins when they come."""

import time
from pathlib import Path

import pytest
import urllib3

from tests.operator.running import ROOT, Operators
from tests.servers.kubernetes import api_server, install


@pytest.mark.built("api_server")
def test_it_waits_for_its_kinds(tmp_path: Path) -> None:
    (tmp_path / "kubernetes").mkdir()
    with api_server(tmp_path / "kubernetes") as server, urllib3.PoolManager(retries=False) as pool:
        operators = Operators(server, tmp_path / "operator", {"AGENTARK_NAMESPACES": "default"})

        def answers(path: str, status: int, within_s: float = 30.0) -> None:
            deadline = time.monotonic() + within_s
            while True:
                try:
                    found = pool.request("GET", f"http://{operators.address}{path}").status
                except urllib3.exceptions.HTTPError:
                    found = 0
                if found == status:
                    return
                assert time.monotonic() < deadline, f"{path}: {found}\n{operators.log}"
                time.sleep(0.05)

        with operators.running():
            answers("/healthz", 200)
            answers("/readyz", 503)
            deadline = time.monotonic() + 10
            while "does not know DebateRun, " not in operators.log:
                assert time.monotonic() < deadline, operators.log
                time.sleep(0.05)
            assert "install the chart agentark-crds" in operators.log
            install(server, ROOT / "crds")
            answers("/readyz", 200)
            path = "/apis/agentark.dev/v1alpha1/namespaces/default/modelreleases/math"
            made = {"apiVersion": "agentark.dev/v1alpha1", "kind": "ModelRelease", "metadata": {"name": "math"}}
            assert server.apply(path, {**made, "spec": {}}).status == 201
            server.awaited(path, lambda one: bool(one.get("status", {}).get("conditions")), within_s=30)
