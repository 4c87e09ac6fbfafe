"""MinIO for tests, built once from its Go module into the user's cache folder."""

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.servers.process import LOOPBACK, ServerFailed, free_ports, serving
from tests.servers.s3 import ACCESS_KEY, SECRET_KEY, S3Server, answers, takes_bucket

_MODULE = Path(__file__).parent
_PACKAGE = "github.com/minio/minio"


def binary() -> Path:
    """Return the path of the MinIO program, which is built first if need be (about 4 minutes on two cores).

    Raises:
        ServerFailed: If Go is missing or the build fails.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agentark" / "bin"
    target = folder / f"minio-{_version()}"
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    # Test runs side by side build once: the others wait here and find it built.
    with (folder / "minio.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            _build(target)
    return target


@contextlib.contextmanager
def minio(folder: Path, *, certificates: Path | None = None) -> Iterator[S3Server]:
    """Run MinIO with its data and log in `folder`; with `public.crt` and `private.key` in `certificates`, on TLS."""
    port, console = free_ports(2)
    endpoint = f"{'https' if certificates else 'http'}://{LOOPBACK}:{port}"
    authority = certificates / "public.crt" if certificates else None
    command = [binary(), "server", "--quiet", "--address", f"{LOOPBACK}:{port}"]
    command += ["--console-address", f"{LOOPBACK}:{console}", "--certs-dir", certificates or folder / "no-certificates"]
    command += [folder / "data"]
    env = {
        "MINIO_ROOT_USER": ACCESS_KEY,
        "MINIO_ROOT_PASSWORD": SECRET_KEY,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
        "HOME": str(folder),
    }

    def ready() -> bool:
        return answers(f"{endpoint}/minio/health/ready", authority) and takes_bucket(endpoint, authority)

    with serving(command, env=env, folder=folder, ready=ready, deadline_s=60) as process:
        yield S3Server("minio", endpoint, pid=process.pid)


def certificate(folder: Path) -> Path:
    """Make a self-signed certificate for loopback with Go's own generator: `public.crt` and `private.key`."""
    root = subprocess.run(["go", "env", "GOROOT"], capture_output=True, text=True, check=True).stdout.strip()
    generator = f"{root}/src/crypto/tls/generate_cert.go"
    command = ["go", "run", generator, "-host", LOOPBACK, "-ca", "-ecdsa-curve", "P256", "-duration", "1h"]
    subprocess.run(command, cwd=folder, capture_output=True, check=True)
    (folder / "cert.pem").rename(folder / "public.crt")
    (folder / "key.pem").rename(folder / "private.key")
    return folder


def _version() -> str:
    found = re.search(rf"{re.escape(_PACKAGE)} (\S+)", (_MODULE / "go.mod").read_text())
    if not found:
        raise ServerFailed(f"{_MODULE / 'go.mod'} does not require {_PACKAGE}")
    return found[1]


def _build(target: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise ServerFailed("MinIO is built from its Go module for the tests: install Go 1.25 or newer")
    print(f"building MinIO into {target} (once, a few minutes)", file=sys.stderr, flush=True)
    partial = target.with_suffix(".part")
    command = [go, "build", "-C", str(_MODULE), "-ldflags", "-s -w", "-o", str(partial), _PACKAGE]
    env = {**os.environ, "GOFLAGS": "-trimpath", "CGO_ENABLED": "0"}
    # Lowest of the priorities that still get on: the build must not starve what runs beside it.
    done = subprocess.run(["nice", "-n", "10", *command], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServerFailed(f"building MinIO failed:\n{done.stderr[-3000:]}")
    partial.replace(target)


if __name__ == "__main__":
    print(binary())
