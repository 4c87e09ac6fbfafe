"""Keeps an operator running, as a Deployment would, and kills it at random moments."""

import random
import subprocess
import threading
from dataclasses import dataclass, field

from tests.operator.running import Operators


@dataclass
class Keeper:
    """Starts the operator again whenever it ends, while its context is open."""

    operators: Operators
    kills: int = 0
    """So many times it is killed with SIGKILL."""
    draw: random.Random = field(default_factory=random.Random)
    killed: int = 0
    died: list[int] = field(default_factory=list)
    """Exit codes of those that ended by themselves."""

    def __enter__(self) -> "Keeper":
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def quiet(self) -> bool:
        """Whether no kill is to come."""
        return self.killed >= self.kills

    def _keep(self) -> None:
        while not self._stop.is_set():
            process = self.operators.start()
            try:
                self._watch(process)
            finally:
                if process.poll() is None:
                    process.terminate()
                    try:
                        process.wait(20)
                    except subprocess.TimeoutExpired:
                        process.kill()
                        process.wait()
                        self.died.append(-1)  # it did not end when told to

    def _watch(self, process: "subprocess.Popen[bytes]") -> None:
        """Until the process is dead, or all is over."""
        life_s = self._life_s() if not self.quiet else float("inf")
        lived_s, step_s = 0.0, 0.05
        while not self._stop.wait(step_s):
            lived_s += step_s
            if process.poll() is not None:
                self.died.append(process.returncode)
                return
            if lived_s >= life_s:
                process.kill()
                process.wait()
                self.killed += 1
                return

    def _life_s(self) -> float:
        # It begins to work after one to three seconds: some are killed before, most at work.
        return self.draw.uniform(0.1, 2.0) if self.draw.random() < 0.2 else self.draw.uniform(2.0, 5.5)
