"""Dashboards as Grafana reads them: their panels, and their queries with variables filled in."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


@dataclass(frozen=True)
class Filling:
    """What stands for variables."""

    interval: str = "1m"
    """$__rate_interval, at least four scrapes."""
    range_s: int = 3600
    """Seconds that are shown."""
    values: Mapping[str, str] = field(default_factory=dict)
    """Of the dashboard's own variables; all of each by default."""

    def __call__(self, text: str) -> str:
        """A query as Grafana sends it."""
        known = {
            "__rate_interval": self.interval,
            "__interval": self.interval,
            "__range": f"{self.range_s}s",
            "__range_s": str(self.range_s),
        }
        return _VARIABLE.sub(lambda found: {**known, **self.values}.get(found[1] or found[2], ".*"), text)


def dashboards(folder: Path) -> dict[str, dict[str, Any]]:
    """File name -> dashboard, of every one in a folder."""
    return {file.name: json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))}


def panels(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """All panels but rows, those inside rows among them."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panels(panel)
        else:
            yield panel


def queries(dashboard: Mapping[str, Any], filling: Filling = Filling()) -> list[str]:
    """Every query of a dashboard's panels, ready for Prometheus, each once."""
    found = (target["expr"] for panel in panels(dashboard) for target in panel["targets"])
    return list(dict.fromkeys(filling(query) for query in found))


def variable_queries(dashboard: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Selector and label of each variable that Grafana asks Prometheus for."""
    found = []
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"])
            assert match and variable["query"]["query"] == variable["definition"], variable["name"]
            found.append((Filling()(match[1]), match[2]))
    return found
