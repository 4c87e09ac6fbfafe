"""A stage in several processes, here or on many machines: start torchrun, pass on the wish to stop, say how it ended.

On how many machines says the environment of the pod, in torchrun's own variables (`PET_NNODES` and so on), which the
Training Operator, the Trainer, or a Job set; on how many processes of each says the plan.
"""

import ctypes
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from agentark.errors import AgentArkError, Interrupted, InvalidInput
from agentark.execution.ending import OUTCOMES, have_met, read_endings
from agentark.planning import Stage

DIE_WITH_PARENT = "AGENTARK_DIE_WITH_PARENT"
"""Environment variable that tells a stage's process to end with the one that started it, launchers in between too."""

_PR_SET_PDEATHSIG = 1
_NODES = "PET_NNODES"
_LAUNCHED = "TORCHELASTIC_RUN_ID"
_OF_A_GROUP = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
# torchrun would kill a process that still writes its checkpoint after 30 s. Who told us to stop has a limit of his own.
_PATIENCE = {"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(24 * 3600)}
_MEETING_S = 10.0
"""How long after the wish to stop processes may go on that have not met: who waits for others that are on their way out
too hears of nothing for a quarter of an hour, and has nothing to save."""


def needs_launch(stage: Stage, environment: Mapping[str, str]) -> bool:
    """Whether this process has to start the ones that do the work.

    Raises:
        InvalidInput: The environment's number of nodes is none.
    """
    if _LAUNCHED in environment:
        return False
    return stage.resources.processes_per_node > 1 or _most_nodes(environment) > 1


def group_variables(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the variables that place this process in a group, though nobody launched one.

    The Training Operator numbers its pods with the same variables that torchrun gives to processes.
    """
    return () if _LAUNCHED in environment else tuple(name for name in _OF_A_GROUP if name in environment)


def launch(stage: Stage, command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run a command of `python -m agentark` in all processes of a stage, and wait for them.

    Args:
        stage: Says how many processes there are on each machine.
        command: What follows `agentark`.
        environment: Of this process.

    Raises:
        AgentArkError: As the processes ended: failed, wrong input, or interrupted where they can go on.
    """
    launcher = [sys.executable, "-m", "torch.distributed.run", *_options(stage, environment)]
    with tempfile.TemporaryDirectory(prefix="agentark-launch-") as folder:
        with _stop_on_signals(Path(folder)) as stop:
            process = subprocess.Popen(
                [*launcher, f"--log-dir={folder}/torchrun", "-m", "agentark", *command],
                env={**_PATIENCE, **environment, OUTCOMES: folder, DIE_WITH_PARENT: "1"},
                start_new_session=True,  # a signal to our group reaches us alone, and we pass it on
                preexec_fn=die_with_parent,
            )
            stop.follow(process)
            code = process.wait()
        if code == 0:
            return
        ending = read_endings(Path(folder))
    if ending is not None:
        raise ending.error()
    if stop.asked:
        raise Interrupted(f"stage {stage.name}: stopped before its processes had met; run it again to go on")
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    raise AgentArkError(f"stage {stage.name}: torchrun ended with {how} and its processes left no word; see the log")


def die_with_parent() -> None:
    """Ask Linux to end this process with its parent, so that kill -9 of a run leaves nobody working on its behalf."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class _Stop:
    """The wish to stop, passed on once to a process that may be yet to start."""

    def __init__(self, folder: Path) -> None:
        self.asked = False
        self._process: subprocess.Popen[bytes] | None = None
        self._patience = threading.Timer(_MEETING_S, self._end_unless_met, [folder])

    def follow(self, process: "subprocess.Popen[bytes]") -> None:
        asked_before, self._process = self.asked, process
        if asked_before:  # else whoever asks from now on passes it on
            self._pass_on(process)

    def ask(self, signum: int, frame: object) -> None:
        if not self.asked and self._process is not None:
            self._pass_on(self._process)
        self.asked = True

    def forget(self) -> None:
        self._patience.cancel()

    def _pass_on(self, process: "subprocess.Popen[bytes]") -> None:
        process.send_signal(signal.SIGTERM)
        self._patience.start()

    def _end_unless_met(self, folder: Path) -> None:
        if self._process is not None and not have_met(folder):
            self._process.kill()


@contextmanager
def _stop_on_signals(folder: Path) -> Iterator[_Stop]:
    stop = _Stop(folder)
    before = {number: signal.signal(number, stop.ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        stop.forget()
        for number, handler in before.items():
            signal.signal(number, handler)


def _options(stage: Stage, environment: Mapping[str, str]) -> list[str]:
    processes = f"--nproc-per-node={stage.resources.processes_per_node}"
    # Without --standalone torchrun takes the rest from the PET_ variables.
    return [processes] if _most_nodes(environment) > 1 else ["--standalone", "--nnodes=1", processes]


def _most_nodes(environment: Mapping[str, str]) -> int:
    text = environment.get(_NODES, "1")
    least, _, most = text.partition(":")
    if not least.isdecimal() or not (most or least).isdecimal():
        raise InvalidInput(f"{_NODES} is {text!r}; accepted: a number of nodes, or LEAST:MOST")
    return int(most or least)
