"""An image with a shell and a few small programs: for pods of tests, and for the init containers of PyTorchJobs."""

import shutil
from pathlib import Path

from tests.e2e.cluster.images import write_image
from tests.e2e.cluster.runtime import pod_tools
from tests.servers.process import ServerFailed

TOOLBOX = "localhost/toolbox:1"
"""Name of the image: bash as `sh`, and the programs of `tests/servers/modules/pod-tools`."""
_TOOLS = ("sleep", "seq", "nslookup", "serve", "fetch", "hear", "tell")


def write_toolbox(archive: Path) -> Path:
    """Write the image as an OCI archive.

    Raises:
        ServerFailed: If Debian's static bash is missing.
    """
    shell = shutil.which("bash-static")
    if shell is None:
        raise ServerFailed("bash-static is missing (make e2e-packages)")
    links = {"bin/sh": "bash", **{f"bin/{name}": "pod-tools" for name in _TOOLS}}
    return write_image(archive, TOOLBOX, {"bin/bash": Path(shell), "bin/pod-tools": pod_tools()}, links=links)
