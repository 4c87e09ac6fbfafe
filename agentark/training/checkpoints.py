"""Trainer checkpoints in a store: complete or not there.

A checkpoint is a folder of files and, written last, `_COMPLETE.json` with their digests. What has no such file, or not
the contents it names, is torn and passed over. Knows nothing of trainers and models.
"""

import logging
import shutil
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from agentark.errors import NotFound
from agentark.store import Store
from agentark.store.digests import hash_file, tree_files

_log = logging.getLogger(__name__)
_MARK = "_COMPLETE.json"


class _Complete(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    step: int
    accuracy: float | None
    training: str
    files: dict[str, str]


class Checkpoint(BaseModel):
    """A complete checkpoint in the store."""

    model_config = ConfigDict(frozen=True)

    name: str
    """Its folder below the prefix; unique, so two attempts at one step cannot mix."""
    step: int
    accuracy: float | None
    """Verified accuracy on the held-out questions at this step; None if it was not measured there."""
    files: dict[str, str]
    """SHA-256 by relative path."""


class Checkpoints:
    """The checkpoints of one training below a prefix of a store.

    Args:
        store: Where they lie.
        prefix: Folder in it.
        on_saved: Told of each one that is complete: its bytes, and the seconds that it took into the store.
    """

    def __init__(
        self, store: Store, prefix: str, *, on_saved: Callable[[int, float], object] = lambda size, seconds: None
    ) -> None:
        self._store = store
        self._prefix = prefix.rstrip("/")
        self._on_saved = on_saved

    def save(self, folder: Path, *, step: int, accuracy: float | None, training: str) -> Checkpoint:
        """Copy a folder into the store and mark it complete.

        Args:
            folder: What to save.
            step: Optimiser steps done.
            accuracy: Verified accuracy at this step, if measured.
            training: Identity of the training (data, model, parameters); only the same one finds it again.
        """
        name = f"{step:08d}-{uuid.uuid4().hex[:12]}"
        started, size, files = time.monotonic(), 0, {}
        for relative, file in tree_files(folder):
            files[relative] = hash_file(file)
            size += file.stat().st_size
            self._store.upload(f"{self._prefix}/{name}/{relative}", file)
        mark = _Complete(step=step, accuracy=accuracy, training=training, files=files)
        self._store.write(f"{self._prefix}/{name}/{_MARK}", mark.model_dump_json(indent=1).encode())
        self._on_saved(size, time.monotonic() - started)
        return Checkpoint(name=name, step=step, accuracy=accuracy, files=files)

    def find(self, training: str) -> list[Checkpoint]:
        """Complete checkpoints of a training, the latest step first; others are passed over with a log line."""
        names = {self._name(entry.path) for entry in self._store.entries(self._prefix)}
        found = (self._read(name, training) for name in sorted(names, reverse=True))
        return sorted((one for one in found if one), key=lambda one: -one.step)

    def restore(self, checkpoint: Checkpoint, folder: Path) -> bool:
        """Copy a checkpoint into `folder`, replacing what is there.

        Returns:
            False, with a log line and no folder, if a file is missing or is not what was saved.
        """
        shutil.rmtree(folder, ignore_errors=True)
        for relative, digest in checkpoint.files.items():
            target = folder / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._store.download(f"{self._prefix}/{checkpoint.name}/{relative}", target)
                damage = "" if hash_file(target) == digest else "differs from what was saved"
            except NotFound:
                damage = "is missing"
            if damage:
                _log.warning("checkpoint %s is passed over: %s %s", checkpoint.name, relative, damage)
                shutil.rmtree(folder, ignore_errors=True)
                return False
        return True

    def restore_first(self, candidates: Iterable[Checkpoint], folder: Path) -> Checkpoint | None:
        """Restore the first of `candidates` that is undamaged; None if none is."""
        return next((one for one in candidates if self.restore(one, folder)), None)

    def prune(self, training: str, *, last: int = 2) -> None:
        """Delete all but the last few checkpoints and the best one, and whatever is torn or of another training."""
        found = self.find(training)
        kept = {one.name for one in [*found[:last], *best_first(found)[:1]]}
        for entry in list(self._store.entries(self._prefix)):
            if self._name(entry.path) not in kept:
                self._store.delete(entry.path)

    def clear(self) -> None:
        """Delete all checkpoints, once their training's result is safe elsewhere."""
        self._store.delete(self._prefix)

    def _name(self, path: str) -> str:
        return path.removeprefix(f"{self._prefix}/").split("/")[0]

    def _read(self, name: str, training: str) -> Checkpoint | None:
        try:
            mark = _Complete.model_validate_json(self._store.read(f"{self._prefix}/{name}/{_MARK}"))
        except NotFound:
            _log.warning("checkpoint %s is passed over: it was not written to its end", name)
            return None
        except ValidationError as error:
            _log.warning("checkpoint %s is passed over: its %s is damaged: %s", name, _MARK, error.errors()[0]["msg"])
            return None
        if mark.training != training:
            _log.warning("checkpoint %s is passed over: it is of another training (data, model or parameters)", name)
            return None
        return Checkpoint(name=name, step=mark.step, accuracy=mark.accuracy, files=mark.files)


def best_first(checkpoints: Iterable[Checkpoint]) -> list[Checkpoint]:
    """Order checkpoints by accuracy, of equals the latest first; those without accuracy come last."""
    return sorted(checkpoints, key=lambda one: (one.accuracy is not None, one.accuracy or 0.0, one.step), reverse=True)
