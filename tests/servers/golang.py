"""Programs that tests need, built once from their Go modules into the user's cache folder."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.servers.process import ServerFailed

_MODULES = Path(__file__).parent / "modules"


def program(name: str, package: str, module: str, *, required: str = "", flags: str = "", tags: str = "") -> Path:
    """Return the path of a program, which is built first if need be (minutes on two cores).

    Args:
        name: What the program is called.
        package: The Go package to build.
        module: Folder below `modules` whose `go.mod` pins the version.
        required: The module that the version is read from; the package itself by default.
        flags: Further linker flags; {version} stands for the version.
        tags: Build tags.

    Raises:
        ServerFailed: If Go is missing or the build fails.
    """
    version = _version(module, required or package)
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agentark" / "bin"
    target = folder / f"{name}-{version}"
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    # Test runs side by side build once: the others wait here and find it built.
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            _build(target, package, _MODULES / module, f"-s -w {flags.format(version=version)}".strip(), tags)
    return target


def _version(module: str, required: str) -> str:
    file = _MODULES / module / "go.mod"
    found = re.search(rf"^\s*(?:require )?{re.escape(required)} (\S+)", file.read_text(), re.MULTILINE)
    if not found:
        raise ServerFailed(f"{file} does not require {required}")
    return found[1]


def _build(target: Path, package: str, module: Path, flags: str, tags: str) -> None:
    go = shutil.which("go")
    if go is None:
        raise ServerFailed(f"{target.name} is built from its Go module for the tests: install Go 1.25 or newer")
    print(f"building {target} (once, a few minutes)", file=sys.stderr, flush=True)
    partial = target.with_suffix(".part")
    command = [go, "build", "-C", str(module), "-tags", tags, "-ldflags", flags, "-o", str(partial), package]
    env = {**os.environ, "GOFLAGS": "-trimpath", "CGO_ENABLED": "0"}
    # Lowest of the priorities that still get on: the build must not starve what runs beside it.
    done = subprocess.run(["nice", "-n", "10", *command], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServerFailed(f"building {target.name} failed:\n{done.stderr[-3000:]}")
    partial.replace(target)
