"""MinIO for tests, built once from its Go module into the user's cache folder."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.servers.golang import program
from tests.servers.process import LOOPBACK, free_ports, serving
from tests.servers.s3 import ACCESS_KEY, SECRET_KEY, S3Server, answers, takes_bucket


def binary() -> Path:
    """Return the path of the MinIO program, which is built first if need be (about 4 minutes on two cores).

    Raises:
        ServerFailed: If Go is missing or the build fails.
    """
    return program("minio", "github.com/minio/minio", "minio")


@contextlib.contextmanager
def minio(folder: Path, *, certificates: Path | None = None, port: int = 0) -> Iterator[S3Server]:
    """Run MinIO with its data and log in `folder`; with `public.crt` and `private.key` in `certificates`, on TLS.

    One that was stopped goes on with the same folder and port.
    """
    other, console = free_ports(2)
    port = port or other
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


if __name__ == "__main__":
    print(binary())
