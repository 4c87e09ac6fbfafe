"""Processes that begin with torch and transformers loaded: forks of one that loaded them, instead of new interpreters.

Loading takes each process three to five seconds, and a small pipeline starts a dozen. The code that runs is the same.
Tests of killing, of launchers, and of what a command loads, start interpreters of their own.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_SOCKET = "AGENTARK_WARM_SOCKET"
_MODULES = (
    "agentark",
    "agentark.execution.templates",
    "tests.distill.child",
    "tests.distill.pad_child",
    "tests.reward.toys",
    "tests.servers.pooling",
)
"""What is run warm by `python -m`."""
_LOADED = (
    "agentark.cli.app",
    "agentark.cli.run_manifest",
    "agentark.distill.pad.training",
    "agentark.distill.training",
    "agentark.execution.stages.answering",
    "agentark.execution.stages.compare",
    "agentark.llm.local",
    "agentark.reward.training",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
)


class Popen(subprocess.Popen[Any]):
    """Starts our modules warm where `processes` runs, all else as usual. What is warm ends with what started it."""

    def _execute_child(self, args: Any, *rest: Any) -> None:
        # The order of these arguments is that of CPython 3.11.
        cwd, env = rest[4], rest[5]
        in_read, in_write, out_read, out_write, error_read, error_write = rest[9:15]
        self._supervisor: socket.socket | None = None
        if _SOCKET not in os.environ or list(args[:2]) != [sys.executable, "-m"] or args[2] not in _MODULES:
            super()._execute_child(args, *rest)  # type: ignore[misc]
            return
        supervisor = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        supervisor.connect(os.environ[_SOCKET])
        request = {
            "module": args[2],
            "arguments": list(args[3:]),
            "folder": str(cwd or Path.cwd()),
            "environment": dict(os.environ if env is None else env) | {_SOCKET: os.environ[_SOCKET]},
            "session": bool(rest[19]),
        }
        streams = (in_read, 0), (out_write, 1), (error_write, 2)
        descriptors = [own if inherited == -1 else inherited for inherited, own in streams]
        socket.send_fds(supervisor, [json.dumps(request).encode()], descriptors)
        self.pid = int(supervisor.recv(32))
        self._supervisor = supervisor
        self._child_created = True
        self._close_pipe_fds(in_read, in_write, out_read, out_write, error_read, error_write)  # type: ignore[attr-defined]

    def _internal_poll(self, *rest: Any, **deadstate: Any) -> int | None:
        if self._supervisor is None:
            return super()._internal_poll(*rest, **deadstate)  # type: ignore[misc, no-any-return]
        if self.returncode is None and select.select([self._supervisor], [], [], 0)[0]:
            self._end()
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        if self._supervisor is None:
            return super()._wait(timeout)  # type: ignore[misc, no-any-return]
        if self.returncode is None:
            if not select.select([self._supervisor], [], [], timeout)[0]:
                assert timeout is not None
                raise subprocess.TimeoutExpired(self.args, timeout)
            self._end()
        return self.returncode

    def _end(self) -> None:
        assert self._supervisor is not None
        self.returncode = int(self._supervisor.recv(32) or -signal.SIGKILL)
        self._supervisor.close()


def run(command: list[str], *, stdin: str = "", cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """As `subprocess.run`, its output captured as text."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with Popen(command, cwd=cwd, text=True, **pipes) as process:
        out, err = process.communicate(stdin)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


@contextlib.contextmanager
def processes(folder: Path) -> Iterator[None]:
    """Have a process that loaded everything, from which `Popen` starts others."""
    address = folder / "warm"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(address))
        listener.listen()
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.servers.warm", str(listener.fileno())], pass_fds=[listener.fileno()]
        )
    os.environ[_SOCKET] = str(address)
    try:
        yield
    finally:
        del os.environ[_SOCKET]
        process.terminate()
        process.wait()


def _serve(listener: socket.socket) -> None:
    for module in _LOADED:
        importlib.import_module(module)
    subprocess.Popen = Popen  # type: ignore[misc]
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        supervisor, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            _supervise(supervisor)
        supervisor.close()


def _supervise(starter: socket.socket) -> None:
    """Start what was asked for, tell how it ended, and end it with the one that asked."""
    request, descriptors, _, _ = socket.recv_fds(starter, 1 << 20, 3)
    pid = os.fork()
    if pid == 0:
        starter.close()
        _run(json.loads(request), descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    starter.send(str(pid).encode())
    ended = os.pidfd_open(pid)
    ready, _, _ = select.select([ended, starter], [], [])
    if ended not in ready:
        os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with contextlib.suppress(OSError):
        starter.send(str(code).encode())
    os._exit(0)


def _run(request: dict[str, Any], descriptors: list[int]) -> None:
    if request["session"]:
        os.setsid()
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    if threads := os.environ.get("OMP_NUM_THREADS"):
        import torch

        torch.set_num_threads(int(threads))
    sys.argv = [request["module"], *request["arguments"]]
    code: object = 0
    try:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    except SystemExit as exit_:
        code = exit_.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
