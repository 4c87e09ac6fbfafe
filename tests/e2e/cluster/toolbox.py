"""An image of a few hundred small programs: for pods of tests, and for the init containers of PyTorchJobs."""

import shutil
import subprocess
from pathlib import Path

from tests.e2e.cluster.images import write_image
from tests.e2e.cluster.runtime import pod_tools
from tests.servers.process import ServerFailed

TOOLBOX = "localhost/toolbox:1"
"""Name of the image: busybox, with an `nslookup` that knows a pod's search domains."""


def write_toolbox(archive: Path) -> Path:
    """Write the image as an OCI archive.

    Raises:
        ServerFailed: If busybox is missing.
    """
    busybox = shutil.which("busybox")
    if busybox is None:
        raise ServerFailed("busybox is missing (make e2e-packages)")
    names = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    links = {f"bin/{name}": "busybox" for name in names if name not in ("busybox", "nslookup")}
    return write_image(archive, TOOLBOX, {"bin/busybox": Path(busybox), "bin/nslookup": pod_tools()}, links=links)
