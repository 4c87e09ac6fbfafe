"""Run a plan on this machine: each stage in a child process, as many side by side as the machine carries."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Literal

from agentark.errors import StoreError
from agentark.execution.launching import DIE_WITH_PARENT, die_with_parent
from agentark.execution.running import read_outcome, work_folder
from agentark.planning import Plan, Stage
from agentark.reports.results import debate_lines
from agentark.store import Progress, StageManifest, Store, read_manifest, read_progress, readable

State = Literal["Waiting", "Running", "Done", "Cached", "Failed", "Interrupted", "Skipped"]

_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class StageStatus:
    """Where one stage stands."""

    stage: Stage
    state: State = "Waiting"
    seconds: float = 0.0
    progress: Progress | None = None
    message: str = ""
    """Why it failed."""
    outcome: tuple[str, ...] = ()
    """Lines that say what it came to, of a debate that is done."""
    exit_code: int = 0
    """Of the stage, as documented for the command line."""


Observer = Callable[[Mapping[str, StageStatus]], None]
"""Called with key -> status whenever something may have changed, several times a second."""


@dataclass(slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    started: float


def run_plan(
    plan: Plan,
    store: Store,
    *,
    jobs: int,
    observe: Observer,
    should_stop: Callable[[], bool],
    environment: Mapping[str, str] | None = None,
) -> dict[str, StageStatus]:
    """Run what is not cached, in the order of the graph.

    Args:
        plan: What to run.
        store: Where results are and go.
        jobs: Stages side by side.
        observe: Told about every change.
        should_stop: Asked several times a second; True asks all children to stop where they can resume.
        environment: Added to the children's environment.

    Returns:
        Key -> last status. After a failure the stages that need the failed one are `Skipped`; others still run.
    """
    executor = _Executor(plan, store, dict(environment or {}), jobs)
    return executor.run(observe, should_stop)


class _Executor:
    def __init__(self, plan: Plan, store: Store, environment: dict[str, str], jobs: int) -> None:
        self.plan, self.store, self.jobs = plan, store, jobs
        self.environment = environment
        self.statuses = {stage.key: StageStatus(stage) for stage in plan.stages}
        self.children: dict[str, _Child] = {}
        self.stopping = False

    def run(self, observe: Observer, should_stop: Callable[[], bool]) -> dict[str, StageStatus]:
        self._find_cached()
        observe(self.statuses)
        try:
            while self._pending() or self.children:
                if should_stop() and not self.stopping:
                    self._ask_to_stop()
                if not self.stopping:
                    self._start_ready()
                if self.children:
                    time.sleep(_POLL_S)
                self._collect()
                observe(self.statuses)
        finally:
            self._kill()
        return self.statuses

    def _find_cached(self) -> None:
        unreadable = []
        for key, status in self.statuses.items():
            manifest = readable(partial(read_manifest, self.store, status.stage.kind, key))
            if isinstance(manifest, StoreError):
                unreadable.append(manifest)
            elif manifest is not None:
                self.statuses[key] = StageStatus(status.stage, "Cached", outcome=self._outcome(manifest))
        if len(unreadable) == 1:
            raise unreadable[0]
        if unreadable:
            raise StoreError("\n".join(map(str, unreadable)))

    def _pending(self) -> bool:
        if self.stopping:
            return False
        return any(status.state == "Waiting" for status in self.statuses.values())

    def _start_ready(self) -> None:
        for key, status in self.statuses.items():
            if status.state != "Waiting":
                continue
            above = [self.statuses[input_key].state for input_key in status.stage.inputs.values()]
            if any(state in ("Failed", "Skipped", "Interrupted") for state in above):
                self.statuses[key] = StageStatus(status.stage, "Skipped")
            elif len(self.children) < self.jobs and all(state in ("Done", "Cached") for state in above):
                self._start(status.stage)

    def _start(self, stage: Stage) -> None:
        work = work_folder(self.store, stage)
        work.mkdir(parents=True, exist_ok=True)
        plan_file = work / "plan.json"
        plan_file.write_text(self.plan.model_dump_json())
        (work / "outcome.json").unlink(missing_ok=True)
        log = (work / "log.txt").open("wb")
        command = stage_command(stage, plan_file, self.store.uri)
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | self._threads() | self.environment | {DIE_WITH_PARENT: "1"},
            start_new_session=True,  # Ctrl-C reaches us alone, and we tell the children in order
            preexec_fn=die_with_parent,
        )
        self.children[stage.key] = _Child(process, log, time.monotonic())
        self.statuses[stage.key] = StageStatus(stage, "Running")

    def _threads(self) -> dict[str, str]:
        if "OMP_NUM_THREADS" in os.environ:
            return {}
        return {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // self.jobs))}

    def _collect(self) -> None:
        for key, child in list(self.children.items()):
            stage = self.statuses[key].stage
            seconds = time.monotonic() - child.started
            if child.process.poll() is None:
                # Only shown: what cannot be read is written anew in a few seconds, and no reason to stop the stage.
                progress = readable(partial(read_progress, self.store, stage.kind, key))
                shown = None if isinstance(progress, StoreError) else progress
                self.statuses[key] = StageStatus(stage, "Running", seconds, shown)
                continue
            del self.children[key]
            child.log.close()
            self.statuses[key] = self._finished(stage, child.process.returncode, seconds)

    def _finished(self, stage: Stage, returncode: int, seconds: float) -> StageStatus:
        manifest = read_manifest(self.store, stage.kind, stage.key) if returncode == 0 else None
        if manifest is not None:
            return StageStatus(stage, "Done", seconds, outcome=self._outcome(manifest))
        work = work_folder(self.store, stage)
        outcome = read_outcome(work)
        code, message = outcome or (returncode, _last_line(work / "log.txt"))
        if code == 75 or (self.stopping and outcome is None):
            return StageStatus(stage, "Interrupted", seconds, message=message, exit_code=75)
        message = message or f"the process ended with {_ending(returncode)}"
        return StageStatus(stage, "Failed", seconds, message=message, exit_code=code)

    def _outcome(self, manifest: StageManifest) -> tuple[str, ...]:
        lines = readable(partial(debate_lines, self.store, manifest))
        return () if isinstance(lines, StoreError) else lines

    def _ask_to_stop(self) -> None:
        self.stopping = True
        for child in self.children.values():
            os.killpg(child.process.pid, signal.SIGTERM)

    def _kill(self) -> None:
        """Only after an error or a second Ctrl-C are there children left; they resume from what they had written."""
        for child in self.children.values():
            if child.process.poll() is None:
                os.killpg(child.process.pid, signal.SIGKILL)
                child.process.wait()
            child.log.close()


def stage_command(stage: Stage, plan_file: Path, store_uri: str) -> list[str]:
    """The command that runs a stage, on a laptop as in a pod."""
    return [
        sys.executable,
        "-m",
        "agentark",
        "stage",
        stage.kind,
        "--plan",
        str(plan_file),
        "--store",
        store_uri,
        "--key",
        stage.key,
    ]


def _last_line(log: Path) -> str:
    """What an unforeseen error said last, and where the rest stands; empty when it said nothing."""
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return f"{lines[-1]} (all of it: {log})" if lines else ""


def _ending(returncode: int) -> str:
    if returncode < 0:
        name = signal.Signals(-returncode).name
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return f"signal {name}{hint}"
    return f"exit code {returncode}"
