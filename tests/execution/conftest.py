"""A folder with a manifest, a local OpenAI-compatible server, and the command line as a user calls it."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentark.execution import rehearsing
from agentark.execution.templates import faults

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Workplace:
    """A user's folder."""

    folder: Path
    popen: Callable[..., "subprocess.Popen[str]"] = subprocess.Popen
    """Starts commands: where a test is about a pipeline's result, not about its processes, `warm.Popen`."""

    def write(self, name: str, content: Any) -> Path:
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    def questions(self, count: int, name: str = "questions.jsonl") -> None:
        rows = [{"id": f"q{i}", "question": f"What is {i} + 1?", "answer": str(i + 1)} for i in range(count)]
        (self.folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "agentark", *arguments]
        return self.popen(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *arguments: str, expect: int = 0) -> str:
        """Run the command line; its output and errors together."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=600)
        assert process.returncode == expect, out + err
        return out + err


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


@pytest.fixture
def tried_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models are tried in this process: one of its own for each debate of a test would load torch each time."""
    monkeypatch.setattr(rehearsing, "_tried", lambda context, trials, fields: faults(trials))


@pytest.fixture
def serve(servers: Callable[..., str]) -> Callable[..., str]:
    """Start `benchmarks/server.py` with some options; returns its base URL."""
    return partial(servers, "benchmarks/server.py")


@pytest.fixture
def serve_prm(servers: Callable[..., str]) -> Callable[[Path], str]:
    """Serve the folder of a process reward model; returns the base URL."""
    return lambda folder: servers("-m", "tests.servers.pooling", str(folder))


def debate_run(url: str, *, model: str = "test", **spec: Any) -> dict[str, Any]:
    """A DebateRun of three agents and two rounds through a server."""
    return {
        "apiVersion": "agentark.dev/v1alpha1",
        "kind": "DebateRun",
        "metadata": {"name": "talk"},
        "spec": {
            "dataset": {"uri": "file:questions.jsonl"},
            "teacher": {"endpoint": {"baseUrl": url, "model": model}},
            "protocol": {"agents": 3, "rounds": 2, "tie": "First"},
            **spec,
        },
    }
