"""What containers leave on the machine when nobody is there to end them: processes, mounts, cgroups.

It is found by the folder of the node alone, so it works after a crash as well and touches nobody else's.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_RESULTS, _LOG_LINKS = Path("/var/lib/cni/results"), Path("/var/log/containers")
_KUBELET = Path("/var/lib/kubelet")
CGROUP = "agentark-e2e"
"""Of all pods, below each controller's root: apart from those of another kubelet, which would remove ours."""


class NotRemoved(Exception):
    """Something of an earlier node is still in use; the text says what."""


def end_containers(socket: Path, state: Path) -> None:
    """End what runs in the containers of the containerd at `socket`, and the shims that hold them.

    Args:
        socket: Where it listens, or listened.
        state: Its folder of what runs.
    """
    shims = [pid for pid in _processes() if str(socket).encode() in _command(pid) and b"shim" in _command(pid)[0]]
    for pid in [*_descendants(shims), *shims]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _await_gone(shims)
    # Where a shim listens is in no folder of ours.
    for file in state.glob("*/*/*/address"):
        Path(file.read_text().strip().removeprefix("unix://")).unlink(missing_ok=True)


def unmount(folder: Path) -> None:
    """Unmount everything below `folder`.

    Raises:
        NotRemoved: If something stays.
    """
    for _ in range(3):  # a mount may hide another
        for place in _mounts(folder):
            subprocess.run(["umount", "--lazy", place], capture_output=True, check=False)
    if left := _mounts(folder):
        raise NotRemoved(f"still mounted: {', '.join(left)}")


def make_cgroup() -> None:
    """Make the cgroup that all pods live below."""
    for root in _roots():
        place = root / CGROUP
        place.mkdir(exist_ok=True)
        # In a cpuset of the first version nothing can run before it is told where.
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (place / name).exists() and (root / "cgroup.clone_children").exists():
                (place / name).write_text((root / name).read_text())


def remove_cgroup() -> None:
    """Remove it with all below; those in which something still runs stay."""
    for root in _roots():
        for place in sorted((root / CGROUP).rglob("*/"), key=lambda found: -len(found.parts)):
            with contextlib.suppress(OSError):
                place.rmdir()
        with contextlib.suppress(OSError):
            (root / CGROUP).rmdir()


def remove_files(folder: Path) -> None:
    """Delete `folder`, in which nothing is mounted any more.

    Raises:
        NotRemoved: If something is, so that its content is not deleted with it.
    """
    if left := _mounts(folder):
        raise NotRemoved(f"still mounted: {', '.join(left)}")
    if folder.exists():
        shutil.rmtree(folder)


def forget(network: str, folder: Path) -> None:
    """Remove what kubelet and CNI write to places that no setting moves.

    Args:
        network: Name of the pods' network.
        folder: The node's, which links for log collectors point into.
    """
    for result in _RESULTS.glob(f"{network}-*-eth0"):
        sandbox = result.name.removeprefix(f"{network}-").removesuffix("-eth0")
        result.unlink()
        (_RESULTS / f"cni-loopback-{sandbox}-lo").unlink(missing_ok=True)
    for link in _LOG_LINKS.glob("*.log"):
        if link.is_symlink() and link.readlink().is_relative_to(folder):
            link.unlink()
    # Only where no other kubelet lives.
    if [path.name for path in _KUBELET.glob("*")] == ["device-plugins"]:
        (_KUBELET / "device-plugins" / "kubelet.sock").unlink(missing_ok=True)
        for place in (_KUBELET / "device-plugins", _KUBELET):
            with contextlib.suppress(OSError):
                place.rmdir()


def _roots() -> list[Path]:
    if (_CGROUPS / "cgroup.controllers").exists():
        return [_CGROUPS]
    return [place for place in _CGROUPS.iterdir() if (place / "cgroup.procs").exists()]


def _mounts(folder: Path) -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    places = [line.split()[1].replace("\\040", " ") for line in lines]
    return sorted((place for place in places if place.startswith(f"{folder}/")), reverse=True)


def _processes() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())


def _command(pid: int) -> list[bytes]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return [b""]


def _descendants(parents: list[int]) -> list[int]:
    children: dict[int, list[int]] = {}
    for pid in _processes():
        with contextlib.suppress(OSError):
            # Its name, in parentheses, may hold anything.
            parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(pid)
    found, waiting = [], list(parents)
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _await_gone(pids: list[int], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while left := [pid for pid in pids if _alive(pid)]:
        if time.monotonic() > deadline:
            raise NotRemoved(f"processes {left} do not end")
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
