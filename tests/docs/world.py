"""Where the pages' commands run: a copy of what a reader has, and a cluster whose pods are played.

The operator that the charts install is a fake pod there; beside it runs the real one, with that pod's settings and with
the rights of its account.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.docs.commands import Command, differences
from tests.operator.running import KUBECTL
from tests.servers import kwok
from tests.servers.helm import helm
from tests.servers.kubernetes import ApiServer
from tests.servers.playground import Playground
from tests.servers.process import LOOPBACK, ServerFailed, free_ports, stop
from tests.servers.s3 import S3Server

ROOT = Path(__file__).parents[2]
SYSTEM = "agentark-system"
_COPIED = ("charts", "crds", "examples")
_TEXTS = (".yaml", ".md", ".py", ".jsonl", ".json", ".txt", ".tpl")
_LONGEST_S = 240.0
_ENTRY = ("python", "-m", "agentark_operator")
"""Of the operator's image."""
Pod = dict[str, Any]


@dataclass
class Reader:
    """Somebody who has a copy of the repository and follows a page.

    Args:
        folder: Empty; the copy lies in there.
        instead: Text on the page and in the copy -> what stands for it here: addresses of servers, large models.
        environment: Variables beside the usual ones.
    """

    folder: Path
    instead: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.checkout = self.folder / "agentark"
        for name in _COPIED:
            shutil.copytree(ROOT / name, self.checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
        for file in self.checkout.rglob("*"):
            if file.suffix in _TEXTS and file.is_file() and file.stat().st_size < 1_000_000:
                text = file.read_text()
                if (changed := self._here(text)) != text:
                    file.write_text(changed)
        self.programs = self.folder / "bin"
        self.programs.mkdir()
        self.link("agentark", Path(sys.executable).with_name("agentark"))
        # No link: it would not find what is installed beside it.
        (self.programs / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        (self.programs / "python").chmod(0o755)

    def link(self, name: str, program: Path) -> None:
        """Have a program in the path."""
        (self.programs / name).symlink_to(program)

    def follow(self, command: Command, *, compared: bool = True) -> str:
        """Run a command; returns what it printed.

        Args:
            command: From a page.
            compared: Whether it has to print what the page says, rather than tell of another moment.

        Raises:
            AssertionError: It ended otherwise than the page says, or printed something else.
        """
        where = f"docs/{command.page}:{command.line}: {command.text.strip()}"
        code, printed = self._until(command) if command.until else self._run(command)
        assert code == command.exit_code, f"{where}\nended with {code}:\n{printed[-4000:]}"
        lacking = differences(self._here(command.expected), printed) if compared else []
        assert not lacking, f"{where}\ndoes not print\n" + "\n".join(lacking) + f"\nbut\n{printed[-6000:]}"
        return printed

    def _run(self, command: Command) -> tuple[int, str]:
        done = subprocess.run(**self._started(command), timeout=_LONGEST_S, check=False)
        return done.returncode, done.stdout

    def _until(self, command: Command) -> tuple[int, str]:
        """Run one that does not end by itself; it and what it started are stopped by their group."""
        lines: list[str] = []
        with subprocess.Popen(**self._started(command), start_new_session=True) as process:
            timer = threading.Timer(_LONGEST_S, _end, (process,))
            timer.start()
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line)
                if command.until in line:
                    break
            seen = any(command.until in line for line in lines)
            _end(process)
            timer.cancel()
        return (command.exit_code if seen else process.returncode or 1), "".join(lines)

    def _started(self, command: Command) -> dict[str, Any]:
        kept = {name: value for name, value in os.environ.items() if name in ("LANG", "XDG_CACHE_HOME")}
        own = {"PATH": f"{self.programs}:/usr/local/bin:/usr/bin:/bin", "HOME": str(self.folder), "COLUMNS": "200"}
        return {
            "args": ["bash", "-euo", "pipefail", "-c", self._here(command.text)],
            "cwd": self.checkout,
            "env": {**kept, **own, **self.environment},
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
            "text": True,
        }

    def _here(self, text: str) -> str:
        for found, meant in self.instead.items():
            text = text.replace(found, meant)
        return text


@contextlib.contextmanager
def on_a_cluster(folder: Path, playground: Playground, s3: S3Server, *, prefix: str) -> Iterator[Reader]:
    """A reader with kubectl, helm and a store.

    Args:
        folder: Empty.
        playground: The cluster, without our definitions.
        s3: The store.
        prefix: Folder of the bucket in which this reader's things are: what another has run is not found there.
    """
    folder.mkdir(parents=True)
    config = playground.server.kubeconfig(folder / "kubeconfig")
    instead = {
        "http://minio.minio.svc:9000": s3.endpoint,
        "s3://agentark/": f"s3://{s3.bucket}/{prefix}/",
        "hf://Qwen/Qwen3-0.6B": f"s3://{s3.bucket}/{prefix}/models/base",
        "hf://Qwen/Qwen3-8B": f"s3://{s3.bucket}/{prefix}/models/base",
    }
    environment = {
        "KUBECONFIG": str(config),
        "AWS_ENDPOINT_URL": s3.endpoint,
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
        "ACCESS_KEY": s3.access_key,
        "SECRET_KEY": s3.secret_key,
    }
    reader = Reader(folder, instead, environment)
    reader.link("kubectl", KUBECTL)
    reader.link("helm", helm())
    yield reader


@dataclass
class InstalledOperator:
    """Runs what the cluster has fake pods for: the operator while its pod is there, and the Job of its clean-up."""

    playground: Playground
    folder: Path

    def __enter__(self) -> "InstalledOperator":
        self._server: ApiServer = self.playground.plane.as_user("player")
        self._stopped = threading.Event()
        self._running: tuple[str, subprocess.Popen[bytes]] | None = None
        self._done: set[str] = set()
        self.folder.mkdir(exist_ok=True)
        # From one thread, and for its whole life: the kernel would end what a thread has started when that one ends.
        self._thread = threading.Thread(target=self._follow, name="installed-operator", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopped.set()
        self._thread.join()

    @property
    def log(self) -> str:
        """What all of them said."""
        file = self.folder / "operator.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def _follow(self) -> None:
        while not self._stopped.wait(0.2):
            pods = self._pods()
            pod = next((one for one in pods if _owner(one) == "ReplicaSet"), None)
            if self._running is not None and (pod is None or pod["metadata"]["uid"] != self._running[0]):
                stop(self._running[1], 20.0)
                self._running = None
                continue  # That took a while: by now the next pod may be gone as well.
            if pod is not None and self._running is None and (begun := self._start_if_installed(pod)) is not None:
                self._running = pod["metadata"]["uid"], begun
            for one in pods:
                if _owner(one) != "Job" or one["metadata"]["uid"] in self._done:
                    continue
                if (begun := self._start_if_installed(one)) is not None:
                    self._done.add(one["metadata"]["uid"])
                    self._finish(one, begun.wait(_LONGEST_S))
        if self._running is not None:
            stop(self._running[1], 20.0)

    def _pods(self) -> list[Pod]:
        """Those that run, and are to."""
        selector = "labelSelector=app.kubernetes.io%2Fname%3Dagentark-operator"
        answer = self._server.request("GET", f"/api/v1/namespaces/{SYSTEM}/pods?{selector}")
        return [
            one
            for one in answer.body.get("items") or ()
            if one["status"].get("phase") == "Running" and "deletionTimestamp" not in one["metadata"]
        ]

    def _start_if_installed(self, pod: Pod) -> "subprocess.Popen[bytes] | None":
        """Start a pod's program; None where its account is gone, as when it was uninstalled since we looked."""
        try:
            return self._start(pod)
        except ServerFailed as missing:
            with (self.folder / "operator.log").open("a") as log:
                log.write(f"{pod['metadata']['name']} is not started: {missing}\n")
            return None

    def _start(self, pod: Pod) -> "subprocess.Popen[bytes]":
        container = pod["spec"]["containers"][0]
        account = self.playground.account(SYSTEM, pod["spec"]["serviceAccountName"])
        settings = {name: value for name, value in self._settings(container).items() if name.startswith("AGENTARK_")}
        own = {
            "KUBECONFIG": str(account.kubeconfig(self.folder / "kubeconfig")),
            "AGENTARK_ADDRESS": f"{LOOPBACK}:{free_ports(1)[0]}",
            "AGENTARK_POLL_SECONDS": "0.5",
            "AGENTARK_RETRY_SECONDS": "0.2",
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
        }
        program, *arguments = [*container.get("command", ()), *container.get("args", ())] or [*_ENTRY]
        assert program == "python", program
        with (self.folder / "operator.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *arguments], cwd=ROOT / "operator", env=settings | own, stdout=log, stderr=log
            )

    def _settings(self, container: Mapping[str, Any]) -> dict[str, str]:
        """What the container's environment would be, but for Secrets and fields."""
        found: dict[str, str] = {}
        for source in container.get("envFrom") or ():
            path = f"/api/v1/namespaces/{SYSTEM}/configmaps/{source['configMapRef']['name']}"
            found |= self._server.request("GET", path).body.get("data") or {}
        return found | {one["name"]: one["value"] for one in container.get("env") or () if "value" in one}

    def _finish(self, pod: Pod, code: int) -> None:
        change = {"metadata": {"annotations": {kwok.EXIT: str(code)}}}
        path = f"/api/v1/namespaces/{SYSTEM}/pods/{pod['metadata']['name']}"
        self._server.request("PATCH", path, change, form="application/merge-patch+json")


def _owner(pod: Pod) -> str:
    """The kind of what made a pod."""
    return str((pod["metadata"].get("ownerReferences") or [{"kind": ""}])[0]["kind"])


def _end(process: "subprocess.Popen[str]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
