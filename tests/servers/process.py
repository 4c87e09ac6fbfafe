"""Start a server on loopback for tests, wait until it answers, stop it by its process id."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

LOOPBACK = "127.0.0.1"


class ServerFailed(Exception):
    """A test server stopped or did not answer in time; the text holds the end of its log."""


@contextlib.contextmanager
def serving(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    folder: Path,
    ready: Callable[[], bool],
    deadline_s: float,
    grace_s: float = 10.0,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` in `folder` for the length of the block; its log is `folder/server.log`.

    Args:
        command: Program and arguments.
        env: Added to the environment.
        folder: Working folder.
        ready: Says whether the server answers.
        deadline_s: Time for it to become ready, in seconds.
        grace_s: Time it has to go when told to, in seconds.

    Raises:
        ServerFailed: If it ends or is not ready in time.
    """
    log = folder / "server.log"
    arguments = [str(part) for part in command]
    # The kernel ends the server with this process, so even a killed test run leaves nothing behind.
    if setpriv := shutil.which("setpriv"):
        arguments = [setpriv, "--pdeathsig", "KILL", *arguments]
    with log.open("ab") as sink:
        process = subprocess.Popen(
            arguments, cwd=folder, env={**os.environ, **env}, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink
        )
    try:
        _await(process, ready, log, deadline_s)
        yield process
    finally:
        stop(process, grace_s)


def stop(process: subprocess.Popen[bytes], grace_s: float) -> None:
    """End a process, by force if it does not go within `grace_s` seconds."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def free_ports(count: int, *, also: int = 0) -> list[int]:
    """Return `count` different free loopback ports; with `also`, the ports that much higher are free as well."""
    found: list[int] = []
    with contextlib.ExitStack() as taken:
        for port in _candidates():
            try:
                for number in {port, port + also}:
                    taken.enter_context(socket.create_server((LOOPBACK, number)))
            except OSError:
                continue
            found.append(port)
            if len(found) == count:
                return found
    raise ServerFailed(f"no {count} free ports on {LOOPBACK}")


def _candidates() -> Iterator[int]:
    # Below the ephemeral range, so that no client's connection takes the port before the server does. The start
    # depends on the process: test runs side by side do not try the same ports.
    start = (os.getpid() * 131 + time.monotonic_ns()) % 12_000
    return (10_000 + (start + step) % 12_000 for step in range(12_000))


def _await(process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path, deadline_s: float) -> None:
    deadline = time.monotonic() + deadline_s
    while not ready():
        if process.poll() is not None:
            raise ServerFailed(f"the server ended with {process.returncode}:\n{_tail(log)}")
        if time.monotonic() > deadline:
            raise ServerFailed(f"the server does not answer after {deadline_s} s:\n{_tail(log)}")
        time.sleep(0.05)


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:]
