"""Dashboards drawn without Grafana: what is in the data is on the page."""

import math
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.dashboards.drawing import Area, Line, chart, shown
from benchmarks.dashboards.page import WIDTH, Shot, height, render
from benchmarks.dashboards.picture import DASHBOARDS, take
from tests.servers.grafana import Filling, dashboards

LABELS = {"namespace": "team", "kind": "DistillJob", "name": "math<1>", "phase": "Running", "methods": "RSFT"}


@dataclass(frozen=True)
class Fixed:
    """Every query gives one series."""

    labels: Mapping[str, str]

    def query(self, expression: str, *, at: float | None = None) -> list[dict[str, Any]]:
        return [{"metric": dict(self.labels), "value": [at, "0.5"]}]

    def series(self, expression: str, *, start: float, end: float, step: float) -> list[dict[str, Any]]:
        return [{"metric": dict(self.labels), "values": [[start, "0"], [start + step, "NaN"], [end, "0.5"]]}]


@pytest.mark.parametrize("name", [file.name for file in sorted(DASHBOARDS.glob("*.json"))])
def test_every_panel_is_on_the_page(name: str) -> None:
    board = dashboards(DASHBOARDS)[name]
    page = render(board, Shot(Fixed(LABELS), 0.0, 100.0, Filling()))
    for panel in board["panels"]:
        assert panel["title"] in page
    assert "math&lt;1&gt;" in page and "math<1>" not in page
    assert "$" not in page and "{{" not in page


def test_values_are_short_and_have_their_unit() -> None:
    given = [(0.425, "percentunit"), (90, "s"), (0.012, "s"), (7200, "s"), (3_500_000, "short"), (2**21, "bytes")]
    assert [shown(value, unit) for value, unit in given] == ["42.5 %", "90 s", "12 ms", "2 h", "3.5M", "2 MiB"]
    assert shown(math.nan, "s") == "–" and shown(2, "reqps") == "2 req/s"


def points(svg: str) -> list[list[tuple[float, float]]]:
    """The lines of a chart."""
    found = re.findall(r'<polyline points="([^"]+)"', svg)
    return [[(float(x), float(y)) for x, y in (spot.split(",") for spot in line.split())] for line in found]


def test_a_line_goes_where_its_values_are_and_not_through_a_hole() -> None:
    area = Area(400, 200, 0.0, 100.0, 10.0, "short")
    whole = Line("a", [(10.0 * step, float(step)) for step in range(11)])
    (line,) = points(chart([whole], area))
    assert line[0][0] < line[-1][0] and line[0][1] > line[-1][1], "time goes to the right, more is up"
    torn = Line("a", [*whole.points[:4], *whole.points[7:]])
    assert len(points(chart([torn], area))) == 2
    below, above = Line("a", [(0.0, 1.0), (10.0, 1.0)]), Line("b", [(0.0, 2.0), (10.0, 2.0)])
    upper, lower = points(chart([below, above], area, stacked=True, low=0.0))
    assert upper[0][1] < lower[0][1], "one lies upon the other"


def test_a_chart_of_nothing_and_one_of_zeros_are_drawn() -> None:
    zeros = Line("a", [(0.0, 0.0), (10.0, 0.0)])
    assert ">1</text>" in chart([zeros], Area(400, 200, 0.0, 100.0, 10.0, "short"), low=0.0)
    assert not points(chart([], Area(400, 200, 0.0, 100.0, 10.0, "s")))


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Debian's package chromium")
def test_a_picture_is_taken(tmp_path: Path) -> None:
    board = dashboards(DASHBOARDS)["agentark-runs.json"]
    page = render(board, Shot(Fixed(LABELS), 0.0, 100.0, Filling()))
    take(page, WIDTH, height(board), tmp_path / "page.png")
    assert 10_000 < (tmp_path / "page.png").stat().st_size < 300_000
