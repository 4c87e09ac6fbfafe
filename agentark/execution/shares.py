"""The part of a stage's questions that this process works on, and how long all workers took."""

import json
from collections.abc import Mapping

from agentark.errors import InvalidInput, NotFound
from agentark.execution.context import StageContext
from agentark.store import ALL, Share

SHARED_KINDS = ("debate", "evaluate")
"""Kinds of stages whose questions several workers can share."""
WORKERS = "AGENTARK_WORKERS"
"""Environment variable: how many pods share the stage."""
INDEX = "JOB_COMPLETION_INDEX"
"""Environment variable: which of them this is. Kubernetes sets it in the pods of an Indexed Job."""


def share_of(kind: str, environment: Mapping[str, str]) -> Share:
    """This process's part of a stage; everything where the environment names no workers.

    Raises:
        InvalidInput: The variables hold no numbers that fit, or the stage cannot be shared.
    """
    workers = _number(environment, WORKERS, default="1")
    if workers == 1:
        return ALL
    if kind not in SHARED_KINDS:
        raise InvalidInput(f"{WORKERS} is {workers}, but a {kind} stage is not shared by workers; unset it")
    return Share(_number(environment, INDEX, default=""), workers)


def longest_s(context: StageContext, seconds: float) -> float | None:
    """Keep how long this worker took for its share; return the longest time of all, None while some are at it.

    The longest, not the sum: workers run side by side, and what an evaluation tells is how long one waits.
    """
    folder = context.shared_path("shares")
    own = f"{folder}/{context.share.name}.json"
    # A worker that is started again after its end only looks; what it did took the time that was kept.
    seconds = max(seconds, _seconds(context, own))
    context.store.write(own, json.dumps({"seconds": seconds}).encode())
    wanted = {f"{folder}/{Share(index, context.share.workers).name}.json" for index in range(context.share.workers)}
    if not wanted.issubset(entry.path for entry in context.store.entries(folder)):
        return None
    return max(_seconds(context, path) for path in wanted)


def _seconds(context: StageContext, path: str) -> float:
    try:
        return float(json.loads(context.store.read(path))["seconds"])
    except NotFound:
        return 0.0


def _number(environment: Mapping[str, str], name: str, *, default: str) -> int:
    text = environment.get(name, default)
    if not text.isdecimal() or (name == WORKERS and int(text) < 1):
        raise InvalidInput(f"{name} is {text!r}; accepted: a whole number, set by the Job that starts the workers")
    return int(text)
