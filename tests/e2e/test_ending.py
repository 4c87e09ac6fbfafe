"""How a node ends: as it should, and killed. It needs the machine's only node for itself, so it comes first."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster.leftovers import CGROUP
from tests.e2e.cluster.network import NAMESPACE
from tests.e2e.cluster.node import KUBECTL, LOCK
from tests.e2e.cluster.requirements import folder
from tests.e2e.cluster.runtime import Runtime
from tests.e2e.cluster.toolbox import TOOLBOX, write_toolbox

ROOT = Path(__file__).parents[2]


@pytest.fixture
def alone() -> None:
    """No node runs, else this would wait for ever."""
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pytest.fail("a node runs already: its end can be tried only before other tests, or with it stopped")


@pytest.fixture
def nodes() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that each keep a node; they are gone at the end."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        with process:  # which closes what it printed to
            process.send_signal(signal.SIGINT)


def start(nodes: list[subprocess.Popen[str]]) -> str:
    """Start a node, run a pod on it and return the pod's process as the machine sees it."""
    command = [sys.executable, "-m", "tests.e2e.cluster.node"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    nodes.append(process)
    assert process.stdout is not None
    config = next(line for line in process.stdout if "KUBECONFIG" in line).partition("=")[2].strip()
    place = folder() / "node"
    Runtime(place / "containerd").load(write_toolbox(place / "toolbox.tar"))
    kubectl = [str(KUBECTL), f"--kubeconfig={config}"]
    subprocess.run([*kubectl, "run", "asleep", f"--image={TOOLBOX}", "--", "sleep", "3600"], check=True)
    subprocess.run([*kubectl, "wait", "pod/asleep", "--for=condition=Ready", "--timeout=60s"], check=True)
    return subprocess.check_output([*kubectl, "exec", "asleep", "--", "sh", "-c", "echo $HOSTNAME"], text=True).strip()


def left() -> dict[str, object]:
    """What a node would leave: its processes, mounts, network, cgroups, and files beside logs."""
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if os.access(path, os.R_OK)]
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    return {
        "processes": [one for one in commands if b"sleep\0003600" in one or f"{folder()}".encode() in one],
        "mounts": [line for line in mounts if f"{folder()}/" in line],
        "namespaces": [path.name for path in Path("/run/netns").glob(NAMESPACE)],
        "links": [path.name for path in Path("/sys/class/net").glob("agentark*")],
        "cgroups": list(Path("/sys/fs/cgroup").glob(f"*/{CGROUP}")),
        "files": [path.name for path in folder().glob("*") if path.name != "logs"],
    }


@pytest.mark.usefixtures("alone")
def test_a_node_leaves_nothing_even_after_one_that_was_killed(nodes: list[subprocess.Popen[str]]) -> None:
    nothing: dict[str, object] = {name: [] for name in left()}
    start(nodes)
    nodes[0].kill()
    nodes[0].wait()
    assert left()["processes"], "a killed node leaves its pods: there was something to clean up"

    assert start(nodes) == "asleep"
    nodes[1].send_signal(signal.SIGINT)
    assert nodes[1].wait(60) == 0

    with LOCK.open("w") as lock:  # somebody may have waited for the machine
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert left() == nothing
