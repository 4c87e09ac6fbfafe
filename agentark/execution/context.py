"""What a stage gets to work with, and what it hands back."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from agentark.errors import InvalidInput, StoreError
from agentark.planning import Pin, Plan, Stage
from agentark.store import ALL, Output, ProgressWriter, Share, StageManifest, Store, read_manifest, stage_path
from agentark.store.outputs import fetch
from agentark.store.stages import attempt_path
from agentark.telemetry import StageFigures


@dataclass(frozen=True, slots=True)
class StageContext:
    """One attempt at one stage."""

    plan: Plan
    stage: Stage
    store: Store
    attempt: int
    work: Path
    """Folder on this machine that later attempts here find again; removed once the stage is committed."""
    progress: ProgressWriter
    stop: threading.Event
    """Set when the process was told to stop: leave a state from which to resume, raise Interrupted."""
    is_main: bool = True
    """False in the further processes of a distributed training, which write nothing."""
    share: Share = ALL
    """What of the questions is this process's, where several workers share the stage."""
    figures: StageFigures = field(default_factory=StageFigures)
    """What Prometheus is told."""

    def output_path(self, *parts: str) -> str:
        """Store path of something this attempt writes."""
        return attempt_path(self.stage.kind, self.stage.key, self.attempt, *parts)

    def shared_path(self, *parts: str) -> str:
        """Store path of something that all attempts at this stage share, such as finished shards."""
        return stage_path(self.stage.kind, self.stage.key, *parts)

    def pin(self, uri: str) -> Pin:
        """What an address of the plan was resolved to."""
        return self.plan.pins[uri]

    def input_manifest(self, role: str) -> StageManifest:
        """The manifest of the stage above that plays a role.

        Raises:
            StoreError: It has not run, or its result was removed.
        """
        key = self.stage.inputs[role]
        above = self.plan.stage(key)
        manifest = read_manifest(self.store, above.kind, key)
        if manifest is None:
            raise StoreError(f"stage {self.stage.name} needs {above.name}, which is not in the store {self.store.uri}")
        return manifest

    def input_output(self, role: str, name: str) -> Path:
        """A file or folder made by the stage above, fetched into the work folder and checked by its digest."""
        output = self.input_manifest(role).outputs[name]
        # The processes of a distributed training start at once: each fetches into a folder of its own.
        folder = "inputs" if self.is_main else f"inputs-{os.environ['RANK']}"
        target = self.work / folder / role.replace("/", "-") / output.path.rsplit("/", 1)[-1]
        if target.exists():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        return fetch(self.store, output, target)


@dataclass(frozen=True, slots=True)
class StageResult:
    """What a finished stage made."""

    outputs: dict[str, Output]
    metrics: dict[str, JsonValue] = field(default_factory=dict)
    usage: dict[str, float] = field(default_factory=dict)
    clean_up: Callable[[], object] = lambda: None
    """Frees what was only needed to resume; called once the result is committed."""


def local_path(pin: Pin) -> Path:
    """The local file or folder behind an address.

    Raises:
        InvalidInput: The address is not on this machine.
    """
    if not pin.path:
        raise InvalidInput(f"{pin.uri} is not a local path")
    path = Path(pin.path)
    if not path.exists():
        raise InvalidInput(f"{pin.uri}: {path} was there when the run was planned and is gone; restore it")
    return path
