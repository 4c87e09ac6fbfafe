"""A MinIO that can be ended and started again, with the same data on the same port."""

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers.minio import minio
from tests.servers.process import serving
from tests.servers.s3 import S3Server, answers


@dataclass
class Bucket:
    """The running server; stopped and started from the main thread, since a server ends with the thread it is from."""

    s3: S3Server
    folder: Path
    _command: list[str]
    _env: dict[str, str]
    _pid: int
    _again: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def stop(self) -> None:
        """End it at once."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            self._pid = 0
        self._again.close()

    def start(self) -> None:
        ready = f"{self.s3.endpoint}/minio/health/ready"
        self._again.enter_context(
            serving(self._command, env=self._env, folder=self.folder, ready=lambda: answers(ready), deadline_s=60)
        )


@contextlib.contextmanager
def bucket(folder: Path) -> Iterator[Bucket]:
    """Run it with its data and log in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with minio(folder) as s3:
        process = Path(f"/proc/{s3.pid}")
        command = process.joinpath("cmdline").read_text().rstrip("\0").split("\0")
        lines = process.joinpath("environ").read_text().rstrip("\0").split("\0")
        env = dict(line.split("=", 1) for line in lines)
        created = Bucket(s3, folder, command, env, s3.pid)
        try:
            yield created
        finally:
            created._again.close()
