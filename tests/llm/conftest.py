"""The quickstart model, and a local OpenAI-compatible server in a process of its own."""

import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from agentark.llm.local import TransformersEngine

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "examples" / "quickstart" / "base"


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def model_path() -> Path:
    return MODEL


@pytest.fixture
async def engine(model_path: Path) -> AsyncIterator[TransformersEngine]:
    engine = TransformersEngine(model_path, name="tiny")
    yield engine
    await engine.aclose()


@dataclass(frozen=True, slots=True)
class Server:
    """A running test server."""

    url: str
    process: "subprocess.Popen[str]"


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start `benchmarks/server.py` with some options; stopped at the end of the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*options: str) -> Server:
        command = [sys.executable, str(ROOT / "benchmarks" / "server.py"), "--port", "0", *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        return Server(process.stdout.readline().strip(), process)

    yield start
    for process in started:
        process.terminate()
        process.wait(timeout=10)
        assert process.stdout is not None
        process.stdout.close()
