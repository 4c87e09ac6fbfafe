"""Programs that tests need, built once from their Go modules into the user's cache folder."""

import fcntl
import hashlib
import json
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
        package: The Go package to build; "." is the module folder's own.
        module: Folder below `modules` whose `go.mod` pins the version.
        required: The module that the version is read from; the package itself by default.
        flags: Further linker flags; {version} stands for the version.
        tags: Build tags.

    Raises:
        ServerFailed: If Go is missing or the build fails.
    """
    version = version_of(module, required or package)
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agentark" / "bin"
    target = folder / (f"{name}-{version}" + (_edition(module) if package == "." else ""))
    if os.environ.get("AGENTARK_PROGRAMS") == "none":
        raise ServerFailed(f"this test needs {name}, so it is not a fast one: mark it as built (tests/conftest.py)")
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    # Test runs side by side build once: the others wait here and find it built.
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            _build(target, package, _MODULES / module, f"-s -w {flags.format(version=version)}".strip(), tags)
    return target


def sources(module: str, required: str) -> Path:
    """Return the folder of a required module's files, for what it holds beside code; downloaded first if need be.

    Raises:
        ServerFailed: If Go is missing or the module cannot be had.
    """
    command = [_go(required), "mod", "download", "-C", str(_MODULES / module), "-json", required]
    # Reading the module's own go.sum: other content than what was pinned is refused.
    done = subprocess.run(command, env={**os.environ, "GOFLAGS": "-mod=readonly"}, capture_output=True, check=False)
    if done.returncode:
        raise ServerFailed(f"{required} cannot be had: {done.stderr.decode()[-3000:]}{done.stdout.decode()[-3000:]}")
    return Path(json.loads(done.stdout)["Dir"])


def version_of(module: str, required: str) -> str:
    """Return which version of `required` the module's `go.mod` pins.

    Raises:
        ServerFailed: If it requires no such thing.
    """
    file = _MODULES / module / "go.mod"
    found = re.search(rf"^\s*(?:require )?{re.escape(required)} (\S+)", file.read_text(), re.MULTILINE)
    if not found:
        raise ServerFailed(f"{file} does not require {required}")
    return found[1]


def _edition(module: str) -> str:
    # Our own source may change while the versions of what it uses stay.
    content = b"".join(file.read_bytes() for file in sorted((_MODULES / module).glob("*.go")))
    return "-" + hashlib.sha256(content).hexdigest()[:8]


def _go(wanted: str) -> str:
    go = shutil.which("go")
    if go is None:
        raise ServerFailed(f"{wanted} comes as a Go module for the tests: install Go 1.25 or newer")
    return go


def _build(target: Path, package: str, module: Path, flags: str, tags: str) -> None:
    go = _go(target.name)
    print(f"building {target} (once, a few minutes)", file=sys.stderr, flush=True)
    partial = target.with_suffix(".part")
    command = [go, "build", "-C", str(module), "-tags", tags, "-ldflags", flags, "-o", str(partial), package]
    env = {**os.environ, "GOFLAGS": "-trimpath", "CGO_ENABLED": "0"}
    # Lowest of the priorities that still get on: the build must not starve what runs beside it.
    done = subprocess.run(["nice", "-n", "10", *command], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServerFailed(f"building {target.name} failed:\n{done.stderr[-3000:]}")
    partial.replace(target)
