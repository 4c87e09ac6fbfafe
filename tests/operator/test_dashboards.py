"""A real Prometheus scrapes a real operator: every query of every dashboard has data; no alert fires without cause."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentark.store import Progress, ProgressWriter, open_store
from agentark.telemetry import ADDRESS, StageFigures, serving
from tests.charts.charting import CHARTS
from tests.operator.running import Bench, Operators, phase, states
from tests.operator.test_model_release import release
from tests.servers.grafana import Filling, dashboards, queries
from tests.servers.player import Play, Player
from tests.servers.prometheus import Prometheus, prometheus

FILES = CHARTS / "agentark-operator" / "files"
FILLING = Filling(interval="10s", range_s=60)
SETTINGS = {
    "AGENTARK_PRICES": "nvidia.com/gpu=3.50,cpu=0.04",
    "AGENTARK_CURRENCY": "EUR",
    "AGENTARK_BUDGET_PER_HOUR": "1000",
}
REFUSED = {"name": "sums", "released": False, "decision": "sums: refused", "gates": []}
STEP = Progress(
    percent=40,
    done=4,
    total=10,
    failed=0,
    rate=0.5,
    eta_s=12,
    metrics={"loss": 0.7, "accuracy": 0.6, "rollout_accuracy": 0.5, "reward": 0.5, "process_reward": 0.1, "length": 90},
    heartbeat_at="2026-01-01T00:00:00Z",
    unit="steps",
)

pytestmark = pytest.mark.usefixtures("prometheus_program")


def figures_of_a_training() -> StageFigures:
    """All that a stage may tell: a training, in which a model is asked as well."""
    figures = StageFigures("distill/PAD")
    figures.progressed(STEP)
    figures.answered("qwen", 1.5, prompt_tokens=300, completion_tokens=90)
    figures.saved(20_000_000, 3.0)
    figures.stored("write", "Done", 0.01)
    return figures


def awaited(right: Callable[[], Any], *, within_s: float = 60.0) -> None:
    """Wait until nothing is left to find."""
    deadline = time.monotonic() + within_s
    while left := right():
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def test_every_panel_has_data_and_no_alert_cries_wolf(
    bench: Bench, operators: Operators, player: Player, tmp_path: Path
) -> None:
    def act(pod: dict[str, Any]) -> Play:
        labels = pod["metadata"]["labels"]
        if labels["agentark.dev/name"] == "slow":
            return Play(exit_code=None)
        return Play(delay_s=1.0, metrics=REFUSED if labels["agentark.dev/stage-kind"] == "release" else {})

    player.act = act
    store = open_store(
        bench.store["uri"], endpoint=bench.s3.endpoint, access_key=bench.s3.access_key, secret_key=bench.s3.secret_key
    )
    release(store, tmp_path, "earlier", "0" * 16)
    job = bench.distill_job("sums", training={"backend": "Job", "gpusPerNode": 1}, release={"name": "sums"})
    with serving(figures_of_a_training(), {ADDRESS: "127.0.0.1:0"}) as stage, operators.running(**SETTINGS):
        (tmp_path / "prometheus").mkdir()
        with prometheus(tmp_path / "prometheus", targets(bench, operators, stage), rules=rules()) as server:
            awaited(lambda: not server.scraped("operator"))
            bench.apply(bench.resource("ModelRelease", "earlier", {}))
            slow = bench.server.awaited(
                bench.apply(bench.debate_run("slow", protocol={"agents": 5})),
                lambda one: "Running" in str(states_of(one)),
            )
            with ProgressWriter(store, "debate", slow["status"]["stages"][0]["key"]) as progress:
                progress.update(done=2, total=8)
                progress.update(done=4, total=8)
            found = bench.server.awaited(bench.apply(job), lambda one: phase(one) in ("Succeeded", "Failed"))
            assert phase(found) == "Succeeded", found["status"]
            awaited(lambda: without_data(server))
            awaited(lambda: not firing(server))
            assert firing(server) == {"PromotionRejected"}
            broken = [rule for rule in all_rules(server) if rule["health"] != "ok"]
            assert not broken


def states_of(resource: dict[str, Any]) -> dict[str, str]:
    return states(resource) if "status" in resource else {}


def targets(bench: Bench, operators: Operators, stage: str) -> list[dict[str, Any]]:
    """As the chart's monitors say it."""
    own = {"namespace": "agentark-system", "service": "agentark-operator", "pod": "agentark-operator-0"}
    pod = {"namespace": bench.namespace, "kind": "DistillJob", "name": "sums", "stage": "distill", "pod": "sums-0"}
    return [
        {
            "job_name": "operator",
            "honor_labels": True,
            "static_configs": [{"targets": [operators.address], "labels": own}],
        },
        {"job_name": "stages", "static_configs": [{"targets": [stage], "labels": pod}]},
    ]


def rules() -> list[Path]:
    return sorted((FILES / "rules").glob("*.yaml"))


def without_data(server: Prometheus) -> list[str]:
    """Queries of dashboards that give nothing."""
    wanted = [query for one in dashboards(FILES / "dashboards").values() for query in queries(one, FILLING)]
    return [query for query in wanted if not server.query(query)]


def all_rules(server: Prometheus) -> list[dict[str, Any]]:
    return [rule for group in server.get("rules")["groups"] for rule in group["rules"]]


def firing(server: Prometheus) -> set[str]:
    return {rule["name"] for rule in all_rules(server) if rule["state"] == "firing"}
