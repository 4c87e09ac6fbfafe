"""Debian's Prometheus beside the node: it scrapes what the monitors in the cluster select."""

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from tests.e2e.cluster.discovery import discovery
from tests.e2e.cluster.monitors import rule_groups, scrape_configs
from tests.e2e.cluster.node import Node
from tests.servers import prometheus as server
from tests.servers.process import LOOPBACK, ServerFailed, free_ports, serving

_PATH = "/apis/monitoring.coreos.com/v1"
_KINDS = {"PodMonitor": "podmonitors", "ServiceMonitor": "servicemonitors", "PrometheusRule": "prometheusrules"}


@dataclass(frozen=True)
class Prometheus(server.Prometheus):
    """A running server that scrapes the node's pods."""

    node: Node
    folder: Path
    discovery: str

    def reload(self) -> None:
        """Take the monitors and rules that are in the cluster now, as the Prometheus operator does when they change.

        Raises:
            ServerFailed: If Prometheus refuses them.
        """
        _configure(self.node, self.folder, self.discovery)
        answer = self.pool.request("POST", f"{self.url}/-/reload")
        if answer.status != 200:
            raise ServerFailed(f"Prometheus does not take the monitors: {answer.data.decode()}")


@contextlib.contextmanager
def prometheus(node: Node) -> Iterator[Prometheus]:
    """Run it on loopback, with the monitors and rules that are in the cluster; their kinds must be defined there."""
    folder = node.folder / "prometheus"
    shutil.rmtree(folder, ignore_errors=True)  # of one that ran before on this node
    folder.mkdir()
    address = f"{LOOPBACK}:{free_ports(1)[0]}"
    command = ["prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    command += [f"--web.listen-address={address}", "--web.enable-lifecycle", "--log.level=warn"]
    with urllib3.PoolManager(timeout=30.0, retries=False) as pool, discovery(node.server) as found:
        _configure(node, folder, found)

        def ready() -> bool:
            try:
                return pool.request("GET", f"http://{address}/-/ready").status == 200
            except urllib3.exceptions.HTTPError:
                return False

        with serving(command, env={}, folder=folder, ready=ready, deadline_s=60):
            yield Prometheus(f"http://{address}", pool, node, folder, found)


def _configure(node: Node, folder: Path, found: str) -> None:
    monitors = [*_objects(node, "PodMonitor"), *_objects(node, "ServiceMonitor")]
    settings = {
        "global": {"evaluation_interval": "2s"},
        "rule_files": [str(folder / "rules.yml")],
        "scrape_configs": scrape_configs(monitors, found),
    }
    # JSON is YAML.
    (folder / "prometheus.yml").write_text(json.dumps(settings, indent=1))
    (folder / "rules.yml").write_text(json.dumps(rule_groups(_objects(node, "PrometheusRule")), indent=1))


def _objects(node: Node, kind: str) -> list[dict[str, Any]]:
    answer = node.server.request("GET", f"{_PATH}/{_KINDS[kind]}")
    if answer.status != 200:
        raise ServerFailed(f"{kind}: {answer.message}")
    return [{"kind": kind, **made} for made in answer.body["items"]]
