"""What a machine must have for a node; `python -m tests.e2e.cluster.requirements` says what it lacks."""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

FREE_GB = 25
"""What images, their containers and a build of them need on the disk, in units of 10^9 bytes."""
_PACKAGES = Path(__file__).parents[1] / "packages.txt"
_PLACES = "/usr/local/sbin:/usr/sbin:/sbin"  # a user's path may lack where administrators' programs are


def folder() -> Path:
    """Return where a node lives by default."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agentark" / "e2e"


def missing_packages() -> list[str]:
    """Return the Debian packages of `packages.txt` whose programs are not there."""
    lines = [line.split() for line in _PACKAGES.read_text().splitlines() if line and not line.startswith("#")]
    path = f"{os.environ.get('PATH', '')}:{_PLACES}"
    return [package for package, program in lines if shutil.which(program, path=path) is None]


def reasons(where: Path | None = None) -> list[str]:
    """Return why a node cannot run here; nothing where it can.

    Args:
        where: The node's folder, the default one if not given.
    """
    if sys.platform != "linux":
        return [f"Linux is needed for a node, this is {sys.platform}"]
    if os.geteuid() != 0:
        return ["root is needed for a node's network and containers"]
    found = []
    if packages := missing_packages():
        found.append(f"missing packages: {' '.join(packages)} (make e2e-packages)")
    if shutil.which("go") is None:
        found.append("Go 1.25 or newer is needed to build Kubernetes")
    place = where or folder()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 1e9
    if free < FREE_GB:
        found.append(f"{FREE_GB} GB must be free below {place}, {free:.0f} are")
    if shutil.which("unshare") and not _may("unshare", "--net", "--mount", "--pid", "--fork", "true"):
        found.append("namespaces of its own are refused to root here (a container without CAP_SYS_ADMIN?)")
    return found


def _may(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def main() -> int:
    """Say what is missing; the exit code is 1 where something is."""
    parser = argparse.ArgumentParser(description="Say in one line why a node cannot run here.")
    parser.add_argument("--packages", action="store_true", help="only the names of Debian packages to install")
    if parser.parse_args().packages:
        print(*missing_packages())
        return 0
    if found := reasons():
        print(f"no end-to-end test here: {'; '.join(found)}")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
