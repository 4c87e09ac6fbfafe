"""Prometheus itself (Debian's package, or built from its Go module): its server on loopback, and promtool."""

import contextlib
import json
import shutil
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
import yaml

from tests.servers import golang
from tests.servers.process import LOOPBACK, ServerFailed, free_ports, serving

_MODULE = "github.com/prometheus/prometheus"


def program(name: str) -> str:
    """Path of `prometheus` or `promtool`: Debian's, or built first (some minutes) where its package is not installed.

    Raises:
        ServerFailed: It is not installed, and Go is missing or the build fails.
    """
    return shutil.which(name) or str(golang.program(name, f"{_MODULE}/cmd/{name}", "prometheus", required=_MODULE))


@dataclass(frozen=True)
class Prometheus:
    """A running server."""

    url: str
    pool: urllib3.PoolManager

    def get(self, path: str, **parameters: str | float) -> Any:
        """Data of an answer of the API.

        Raises:
            ServerFailed: The server refuses, as it does a malformed query.
        """
        answer = self.pool.request("GET", f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
        found = json.loads(answer.data)
        if found["status"] != "success":
            raise ServerFailed(f"{path} {parameters}: {found.get('error')}")
        return found["data"]

    def query(self, expression: str, *, at: float | None = None) -> list[dict[str, Any]]:
        """The samples that an expression gives now, or at a time in seconds since the epoch."""
        moment = {"time": at} if at is not None else {}
        found = self.get("query", query=expression, **moment)
        result: list[dict[str, Any]] = found["result"] if found["resultType"] != "scalar" else [found]
        return result

    def series(self, expression: str, *, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """What an expression gives over a time, in seconds since the epoch."""
        result: list[dict[str, Any]] = self.get("query_range", query=expression, start=start, end=end, step=step)[
            "result"
        ]
        return result

    def scraped(self, job: str) -> int:
        """Targets of a job that answer."""
        targets = self.get("targets", state="active")["activeTargets"]
        return sum(one["labels"]["job"] == job and one["health"] == "up" for one in targets)


@contextlib.contextmanager
def prometheus(
    folder: Path,
    scraped: Sequence[Mapping[str, Any]],
    *,
    rules: Sequence[Path] = (),
    interval: str = "1s",
) -> Iterator[Prometheus]:
    """Run a server for the length of the block.

    Args:
        folder: Empty; for its configuration, data and log.
        scraped: Its `scrape_configs`.
        rules: Files with rule groups.
        interval: Of scrapes and rules.

    Raises:
        ServerFailed: The server cannot be had, or does not start.
    """
    command = program("prometheus")
    configuration = {
        "global": {"scrape_interval": interval, "evaluation_interval": interval},
        "rule_files": [str(one) for one in rules],
        "scrape_configs": list(scraped),
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration, sort_keys=False))
    (port,) = free_ports(1)
    url = f"http://{LOOPBACK}:{port}"
    arguments = [command, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    arguments += [f"--web.listen-address={LOOPBACK}:{port}", "--log.level=warn"]
    with urllib3.PoolManager(retries=False, timeout=30.0) as pool:
        running = Prometheus(url, pool)
        with serving(arguments, env={}, folder=folder, ready=lambda: _ready(pool, url), deadline_s=60):
            yield running


def _ready(pool: urllib3.PoolManager, url: str) -> bool:
    try:
        return pool.request("GET", f"{url}/-/ready").status == 200
    except urllib3.exceptions.HTTPError:
        return False
