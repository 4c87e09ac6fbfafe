"""Run one stage in this process: what a child of `agentark run` does, and what a pod does.

An attempt is fenced by the store's create-only commit. Whatever happens is written to `outcome.json` in the stage's
work folder, because launchers such as torchrun do not pass exit codes on.
"""

import fcntl
import hashlib
import importlib
import importlib.metadata
import json
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from agentark import __version__
from agentark.errors import AgentArkError, Interrupted, InvalidInput
from agentark.execution.context import StageContext, StageResult
from agentark.execution.shares import SHARED_KINDS
from agentark.planning import STAGE_VERSIONS, Plan, Stage
from agentark.store import ALL, ProgressWriter, Share, StageManifest, Store, commit, next_attempt, read_manifest
from agentark.telemetry import MeteredStore, StageFigures, serving

_PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "vllm")


def run_stage(plan: Plan, key: str, store: Store, share: Share = ALL) -> StageManifest | None:
    """Run a stage and commit its result; a committed one is returned as it is.

    Args:
        plan: What is run.
        key: Of the stage.
        store: Where results are and go.
        share: This worker's part; the last of them commits.

    Returns:
        The manifest in force; None in the further processes of a distributed training, and in a worker that is done
        before the others.

    Raises:
        AgentArkError: The stage failed, its input is wrong, or it was interrupted at a point from which it resumes.
    """
    stage = plan.stage(key)
    existing = read_manifest(store, stage.kind, key)
    if existing is not None:
        return existing
    is_main = int(os.environ.get("RANK", "0")) == 0
    work = work_folder(store, stage, share)
    work.mkdir(parents=True, exist_ok=True)
    figures = StageFigures(stage.name)
    metered = MeteredStore(store, figures.stored)
    if not is_main:
        with serving(figures, os.environ):
            _work(plan, stage, metered, work, figures, attempt=0, is_main=False)
        return None
    with _exclusive(work, stage), _outcome(work), serving(figures, os.environ):
        attempt = next_attempt(metered, stage.kind, key, share)
        manifest = _work(plan, stage, metered, work, figures, attempt=attempt, is_main=True, share=share)
    shutil.rmtree(work)
    return manifest


def _work(
    plan: Plan,
    stage: Stage,
    store: Store,
    work: Path,
    figures: StageFigures,
    *,
    attempt: int,
    is_main: bool,
    share: Share = ALL,
) -> StageManifest | None:
    started = _now()
    interval_s = 1.0 if store.uri.startswith("file:") else 5.0
    tell = figures.progressed
    writer = ProgressWriter(store, stage.kind, stage.key, interval_s=interval_s, share=share, on_write=tell)
    with writer as progress, _stop_on_signals() as stop:
        context = StageContext(plan, stage, store, attempt, work, progress, stop, is_main, share, figures)
        ended = _ended(context)
        result = StageResult({}, metrics={"ended": ended}) if ended else _runner(stage.kind)(context)
    if not is_main or result is None:
        return None
    manifest = commit(
        store,
        StageManifest(
            kind=stage.kind,
            key=stage.key,
            params=stage.params,
            inputs={**stage.inputs, **stage.pins},
            outputs=result.outputs,
            metrics=result.metrics,
            usage=result.usage,
            versions=_versions(stage),
            attempt=attempt,
            started_at=started,
            finished_at=_now(),
        ),
    )
    result.clean_up()
    return manifest


_OF_A_ROUND = {"debate", "curate", "distill"}


def _ended(context: StageContext) -> str:
    """Why there is nothing to do in a round of evolution: an earlier gate ended it; empty where there is work."""
    if context.stage.kind not in _OF_A_ROUND:
        return ""
    found = (context.input_manifest(role).metrics.get("ended", "") for role in context.stage.inputs)
    return next((str(reason) for reason in found if reason), "")


_MODULES = dict.fromkeys(SHARED_KINDS, "answering") | {
    kind: kind for kind in ("curate", "steps", "prm", "distill", "gate", "compare", "release")
}
"""Module of `agentark.execution.stages` that runs a kind."""


def _runner(kind: str) -> Callable[[StageContext], StageResult | None]:
    if kind not in _MODULES:
        raise InvalidInput(f"stage kind {kind!r} cannot be run by this version")
    # Imported here: each stage brings what it needs, and curation must not pay for torch.
    module = importlib.import_module(f"agentark.execution.stages.{_MODULES[kind]}")
    run: Callable[[StageContext], StageResult | None] = module.run
    return run


def work_folder(store: Store, stage: Stage, share: Share = ALL) -> Path:
    """Where attempts at a stage, or a worker's at its share, keep on this machine what is not yet in the store."""
    name = f"{stage.kind}-{stage.key}" + ("" if share.is_all else f"-{share.name}")
    if store.uri.startswith("file:"):
        return Path(store.uri.removeprefix("file:")) / ".store" / "work" / name
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "agentark" / "work" / hashlib.sha256(store.uri.encode()).hexdigest()[:12] / name


def read_outcome(work: Path) -> tuple[int, str] | None:
    """Exit code and message of the last attempt that failed here; None when there was none."""
    try:
        found = json.loads((work / "outcome.json").read_bytes())
        return int(found["exit_code"]), str(found["message"])
    except (OSError, ValueError, KeyError):
        return None


@contextmanager
def _exclusive(work: Path, stage: Stage) -> Iterator[None]:
    with (work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AgentArkError(
                f"stage {stage.name} ({stage.key}) is being run by another process here; wait for it or stop it"
            ) from None
        yield


@contextmanager
def _outcome(work: Path) -> Iterator[None]:
    path = work / "outcome.json"
    path.unlink(missing_ok=True)
    try:
        yield
    except AgentArkError as error:
        path.write_text(json.dumps({"exit_code": error.exit_code, "message": str(error)}))
        raise
    except OSError as error:
        # A full disk is the usual one; the state on it is whole, since everything is written aside and renamed.
        raise AgentArkError(
            f"{error.strerror}: {error.filename or work}; free some space or check permissions"
        ) from error


@contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(signum: int, frame: object) -> None:
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _versions(stage: Stage) -> dict[str, str]:
    found = {"agentark": __version__, "stage": str(STAGE_VERSIONS[stage.kind])}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


__all__ = ["Interrupted", "read_outcome", "run_stage", "work_folder"]
