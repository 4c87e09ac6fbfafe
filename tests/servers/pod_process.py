"""Runs what a worker pod's container would: its very command, with its environment, as a process on this machine.

A kubelet without containers, for tests of what the operator asks of an image. Secrets and fields of the pod are read
from the API server, a container's folders are folders below one of the test's own.
"""

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.servers import kwok
from tests.servers.kubernetes import ApiServer
from tests.servers.player import Play
from tests.servers.process import LOOPBACK, free_ports

ROOT = Path(__file__).parents[2]
Pod = dict[str, Any]
_LABELS = {"kind": "kind", "name": "name", "stage": "stage-kind"}


@dataclass
class PodProcesses:
    """Runs pods; `act` is what a `Player` asks."""

    server: ApiServer
    folder: Path
    logs: dict[str, str] = field(default_factory=dict)
    """Pod -> what its process said."""
    at_once: int = 2
    """Processes that run side by side; others wait."""
    discovery: Path | None = None
    """File in which Prometheus finds what runs (`file_sd_configs`), labelled as by the chart's PodMonitor."""

    def __post_init__(self) -> None:
        self._threads = ThreadPoolExecutor(self.at_once)
        self._lock = threading.Lock()
        self._targets: dict[str, dict[str, Any]] = {}
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._discovered()

    def act(self, pod: Pod) -> Play:
        """Begin to run a pod; it is ended when its process ends."""
        self._threads.submit(self._run, pod)
        return Play(exit_code=None)

    def close(self, *, wait: bool = True) -> None:
        """Wait for what runs, or end it."""
        if not wait:
            self._threads.shutdown(wait=False, cancel_futures=True)
            with self._lock:
                for process in self._running.values():
                    process.kill()
        self._threads.shutdown()

    def _run(self, pod: Pod) -> None:
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        folder = self.folder / name
        (folder / "tmp").mkdir(parents=True)
        container = pod["spec"]["containers"][0]
        env = self._environment(pod, container)
        # Folders of the container that this machine must not share.
        env = {
            key: value.replace("/work", str(folder)) if value.startswith("/work") else value
            for key, value in env.items()
        }
        env |= {"TMPDIR": str(folder / "tmp"), "AGENTARK_TERMINATION_LOG": str(folder / "termination-log")}
        address = f"{LOOPBACK}:{free_ports(1)[0]}"
        env["AGENTARK_METRICS_ADDRESS"] = address  # they all share this machine
        with self._lock:
            self._targets[name] = {"targets": [address], "labels": _scraped(pod)}
            self._discovered()
        command = [*container["command"], *container["args"]]
        assert command[0] == "python"
        process = subprocess.Popen(
            [sys.executable, *command[1:]],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        with self._lock:
            self._running[name] = process
        said, _ = process.communicate()
        with self._lock:
            self.logs[name] = said
            del self._targets[name], self._running[name]
            self._discovered()
        message = (folder / "termination-log").read_text() if (folder / "termination-log").exists() else ""
        annotations = {kwok.EXIT: str(process.returncode), **({kwok.MESSAGE: message} if message else {})}
        path = f"/api/v1/namespaces/{namespace}/pods/{name}"
        change = {"metadata": {"uid": pod["metadata"]["uid"], "annotations": annotations}}
        self.server.request("PATCH", path, change, form="application/merge-patch+json")

    def _discovered(self) -> None:
        if self.discovery is not None:
            new = self.discovery.with_suffix(".new")
            new.write_text(json.dumps(list(self._targets.values())))
            new.replace(self.discovery)

    def _environment(self, pod: Pod, container: Mapping[str, Any]) -> dict[str, str]:
        found: dict[str, str] = {}
        for one in container.get("env", ()):
            source = one.get("valueFrom", {})
            if "secretKeyRef" in source:
                found[one["name"]] = self._secret(pod["metadata"]["namespace"], **source["secretKeyRef"])
            elif "fieldRef" in source:
                found[one["name"]] = _field(pod, source["fieldRef"]["fieldPath"])
            else:
                found[one["name"]] = one.get("value", "")
        return found

    def _secret(self, namespace: str, name: str, key: str) -> str:
        answer = self.server.request("GET", f"/api/v1/namespaces/{namespace}/secrets/{name}")
        return base64.b64decode(answer.body["data"][key]).decode()


def _scraped(pod: Pod) -> dict[str, str]:
    labels = pod["metadata"]["labels"]
    own = {label: labels[f"agentark.dev/{name}"] for label, name in _LABELS.items()}
    return own | {"namespace": pod["metadata"]["namespace"], "pod": pod["metadata"]["name"]}


def _field(pod: Pod, path: str) -> str:
    """An annotation or label of a pod, as the downward API gives it."""
    part, _, rest = path.removeprefix("metadata.").partition("[")
    return str(pod["metadata"][part][rest.strip("']")]) if rest else str(pod["metadata"][part])
