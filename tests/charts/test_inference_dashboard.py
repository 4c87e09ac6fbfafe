"""What the chart asks of Prometheus is what vLLM tells: every query of dashboard, alerts and autoscaling has data.

The server is a stand-in that says what a real one said (`tests/data/vllm-metrics.txt`), its counters growing.
"""

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts.charting import ROOT, Helm, only
from tests.charts.inference import CHART, NAMESPACE, render
from tests.servers.grafana import Filling, dashboards, queries, variable_queries
from tests.servers.process import LOOPBACK
from tests.servers.prometheus import Prometheus, prometheus

pytestmark = pytest.mark.usefixtures("prometheus_program")

RECORDED = (ROOT / "tests" / "data" / "vllm-metrics.txt").read_text()
BOARDS = dashboards(ROOT / "charts" / CHART / "files" / "dashboards")


def said(times: int) -> str:
    """What a server tells that has done all that was recorded several times."""
    lines = []
    for line in RECORDED.splitlines():
        name, _, value = line.rpartition(" ")
        counts = name.partition("{")[0].endswith(("_total", "_bucket", "_count", "_sum"))
        lines.append(f"{name} {float(value) * times}" if counts and not line.startswith("#") else line)
    return "".join(f"{line}\n" for line in lines)


class Server(http.server.BaseHTTPRequestHandler):
    """Answers each scrape with more."""

    times = 0

    def do_GET(self) -> None:
        type(self).times += 1
        body = said(self.times).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    """Where a server tells of itself."""
    with http.server.ThreadingHTTPServer((LOOPBACK, 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"{LOOPBACK}:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def made(helm_newest: Helm) -> list[dict[str, Any]]:
    """A model that is watched and scaled."""
    scaling = {"type": "KEDA", "prometheusUrl": "http://prometheus"}
    watched = {name: {"enabled": True} for name in ("rules", "podMonitor", "dashboards")}
    return render(helm_newest, models={"math": {"release": "m", "autoscaling": scaling}}, metrics=watched)


def test_every_query_has_data_and_no_alert_cries_wolf(made: list[dict[str, Any]], address: str, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump({"groups": only(made, "PrometheusRule")["spec"]["groups"]}))
    # The labels that a PodMonitor gives by itself.
    labels = {"namespace": NAMESPACE, "pod": "math-5d8c-x2x4k"}
    target = {"job_name": "math", "static_configs": [{"targets": [address], "labels": labels}]}
    triggers = [one["metadata"]["query"] for one in only(made, "ScaledObject")["spec"]["triggers"]]
    filling = Filling(interval="5s", values={"namespace": NAMESPACE, "model": "math"})
    wanted = [query for board in BOARDS.values() for query in queries(board, filling)] + triggers
    (tmp_path / "prometheus").mkdir()
    with prometheus(tmp_path / "prometheus", [target], rules=[rules]) as server:
        awaited(lambda: [query for query in wanted if not has_data(server, query)])
        for board in BOARDS.values():
            found = [server.query(selector) for selector, _ in variable_queries(board)]
            assert len(found) == 2 and all(found)
        alerts = [rule for group in server.get("rules")["groups"] for rule in group["rules"]]
        assert len(alerts) == 5
        assert {rule["health"] for rule in alerts} == {"ok"} and {rule["state"] for rule in alerts} == {"inactive"}


def has_data(server: Prometheus, query: str) -> bool:
    """Whether a query gives numbers."""
    values = [sample["value"][1] for sample in server.query(query)]
    return bool(values) and "NaN" not in values


def awaited(left: Callable[[], list[str]], *, within_s: float = 60.0) -> None:
    """Wait until nothing is left."""
    deadline = time.monotonic() + within_s
    while found := left():
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


def test_grafana_gets_the_dashboard_as_it_is(made: list[dict[str, Any]]) -> None:
    (board,) = (one for one in made if one["metadata"]["labels"].get("grafana_dashboard") == "1")
    assert {name: json.loads(text) for name, text in board["data"].items()} == BOARDS


def test_panels_lie_beside_each_other_and_say_what_they_show() -> None:
    for board in BOARDS.values():
        places: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            at = panel["gridPos"]
            cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
            assert not cells & places and at["x"] + at["w"] <= 24, panel["title"]
            places |= cells
            assert panel["title"] and panel["description"] and panel["fieldConfig"]["defaults"]["unit"]
