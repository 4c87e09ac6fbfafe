"""A Grafana dashboard as one HTML page without scripts, drawn from what a Prometheus has."""

import html
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from benchmarks.dashboards.drawing import Area, Line, bars, chart, legend, shown
from tests.servers.grafana import Filling

WIDTH = 1400
_COLUMNS, _ROW, _GAP, _TITLE, _LEGEND = 24, 34, 8, 28, 24
_STYLE = f"""
* {{ box-sizing: border-box; }}
body {{ margin: 0; padding: 16px; width: {WIDTH}px; background: #111217; color: #ccccdc; font: 13px/1.35 sans-serif; }}
h1 {{ font-size: 20px; font-weight: 500; margin: 0 0 12px; }}
main {{ display: grid; grid-template-columns: repeat({_COLUMNS}, 1fr); grid-auto-rows: {_ROW}px; gap: {_GAP}px; }}
section {{ background: #181b1f; border: 1px solid #2b2e34; border-radius: 3px; padding: 4px 8px; overflow: hidden; }}
section.row {{ background: none; border: 0; padding: 8px 0 0; font-size: 15px; }}
h2 {{ font-size: 13px; font-weight: 500; margin: 0; height: {_TITLE - 6}px; white-space: nowrap; }}
.stat {{ font-size: 34px; text-align: center; color: #73bf69; padding-top: 14px; }}
svg text {{ fill: #8e8e9c; font-size: 11px; }}
svg .grid {{ stroke: #26292f; }}
.legend {{ height: {_LEGEND}px; overflow: hidden; font-size: 11px; }}
.legend span {{ margin-right: 12px; white-space: nowrap; }}
.legend i {{ display: inline-block; width: 14px; height: 3px; margin: 0 5px 3px 0; }}
table {{ width: 100%; border-collapse: collapse; font-size: 12px; }}
th, td {{ text-align: left; padding: 3px 8px; border-bottom: 1px solid #26292f; white-space: nowrap; }}
th {{ color: #8ab8ff; font-weight: 400; }}
.bars td {{ border: 0; padding: 2px 6px; }}
.bar {{ width: 55%; }}
.bar i {{ display: block; height: 12px; background: #73bf69; }}
"""


class Source(Protocol):
    """A Prometheus, as `tests.servers.prometheus.Prometheus` asks it."""

    def query(self, expression: str, *, at: float | None = None) -> list[dict[str, Any]]:
        """The samples at a time."""
        ...

    def series(self, expression: str, *, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """The samples over a time."""
        ...


@dataclass(frozen=True)
class Shot:
    """What is shown of which time."""

    source: Source
    start: float
    """Seconds since the epoch."""
    end: float
    filling: Filling

    @property
    def step(self) -> float:
        """Seconds between two points: some 250 of them."""
        return max(1.0, math.ceil((self.end - self.start) / 250))


def render(dashboard: Mapping[str, Any], shot: Shot) -> str:
    parts = [_panel(panel, shot) for panel in dashboard["panels"]]
    title = html.escape(dashboard["title"])
    return (
        f'<!doctype html><html><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style></head>'
        f"<body><h1>{title}</h1><main>{''.join(parts)}</main></body></html>"
    )


def height(dashboard: Mapping[str, Any]) -> int:
    """Pixels that the page of a dashboard is high."""
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
    return int(rows * (_ROW + _GAP)) + 64


def _panel(panel: Mapping[str, Any], shot: Shot) -> str:
    at, kind = panel["gridPos"], panel["type"]
    place = f"grid-column: {at['x'] + 1} / span {at['w']}; grid-row: {at['y'] + 1} / span {at['h']}"
    title = html.escape(panel["title"])
    if kind == "row":
        return f'<section class="row" style="{place}">{title}</section>'
    make = {"stat": _stat, "timeseries": _lines, "table": _table, "bargauge": _bars}[kind]
    return f'<section style="{place}"><h2>{title}</h2>{make(panel, shot)}</section>'


def _stat(panel: Mapping[str, Any], shot: Shot) -> str:
    (target,) = panel["targets"]
    samples = shot.source.query(shot.filling(target["expr"]), at=shot.end)
    value = float(samples[0]["value"][1]) if samples else math.nan
    return f'<div class="stat">{html.escape(shown(value, panel["fieldConfig"]["defaults"]["unit"]))}</div>'


def _lines(panel: Mapping[str, Any], shot: Shot) -> str:
    at, defaults = panel["gridPos"], panel["fieldConfig"]["defaults"]
    column = (WIDTH - 32 - (_COLUMNS - 1) * _GAP) / _COLUMNS
    wide = int(at["w"] * column + (at["w"] - 1) * _GAP) - 18
    high = at["h"] * (_ROW + _GAP) - _GAP - _TITLE - _LEGEND - 10
    series = [line for target in panel["targets"] for line in _series(target, shot)]
    area = Area(wide, high, shot.start, shot.end, shot.step, defaults["unit"])
    drawn = chart(series, area, stacked="stacking" in defaults.get("custom", {}), low=defaults.get("min"))
    return drawn + legend(series)


def _bars(panel: Mapping[str, Any], shot: Shot) -> str:
    defaults = panel["fieldConfig"]["defaults"]
    lines = [
        Line(_named(target["legendFormat"], sample["metric"]), [(shot.end, float(sample["value"][1]))])
        for target in panel["targets"]
        for sample in shot.source.query(shot.filling(target["expr"]), at=shot.end)
    ]
    return bars(lines, defaults["unit"], defaults.get("max"))


def _series(target: Mapping[str, Any], shot: Shot) -> list[Line]:
    answer = shot.source.series(shot.filling(target["expr"]), start=shot.start, end=shot.end, step=shot.step)
    return [
        Line(
            _named(target["legendFormat"], series["metric"]),
            [(moment, float(value)) for moment, value in series["values"]],
        )
        for series in answer
    ]


def _named(form: str, labels: Mapping[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), form).strip() or ", ".join(labels.values())


def _table(panel: Mapping[str, Any], shot: Shot) -> str:
    """What Grafana's `merge` and `organize` make of the queries: one row for the labels that all of them have."""
    organize = next(
        transformation["options"] for transformation in panel["transformations"] if transformation["id"] == "organize"
    )
    units = {
        override["matcher"]["options"]: override["properties"][0]["value"]
        for override in panel["fieldConfig"]["overrides"]
    }
    answers = [shot.source.query(shot.filling(target["expr"]), at=shot.end) for target in panel["targets"]]
    rows: list[dict[str, str]] = [dict(sample["metric"]) for sample in answers[0]]
    for letter, samples in zip("ABCDEFGHIJ", answers, strict=False):
        field = f"Value #{letter}" if len(answers) > 1 else "Value"
        name = organize["renameByName"].get(field, field)
        for row in rows:
            own = (
                sample for sample in samples if all(row.get(label) == text for label, text in sample["metric"].items())
            )
            sample = next(own, None)
            if sample is not None and not organize["excludeByName"].get(field):
                row[name] = shown(float(sample["value"][1]), units.get(name, "none"))
    columns = list(dict.fromkeys(name for row in rows for name in row))
    names = [organize["renameByName"].get(name, name) for name in columns]
    body = [[row.get(name, "") for name in columns] for row in sorted(rows, key=lambda row: [*row.values()])]
    return _written(names, body)


def _written(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(text)}</td>' for text in row)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
