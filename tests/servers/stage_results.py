"""What a stage that nobody ran has made: small, but committed as a real one commits, and readable by what reads it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentark.planning import Plan
from agentark.store import StageManifest, Store, commit, next_attempt, read_manifest
from agentark.store.outputs import put_bytes
from agentark.store.stages import attempt_path, now
from tests.servers.stage_command import StageCommand

_CALLS = {"calls": 24.0, "prompt_tokens": 4800.0, "completion_tokens": 2400.0, "seconds": 12.0}
_TRAINING = {"seconds": 30.0, "training_tokens": 65536.0, "device_seconds": 60.0}
_ACCURACY = {"base": 0.5, "debate": 0.875, "student": 0.75}


@dataclass(frozen=True, slots=True)
class _Result:
    outputs: tuple[str, ...]
    """Names of the outputs, each a small JSON object."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    usage: Mapping[str, float] = field(default_factory=dict)


_ANSWERED = {"questions": 8, "failed": 0, "agents": 3}
_RESULTS: Mapping[str, _Result] = {
    "debate": _Result(("records",), _ANSWERED, _CALLS),
    "evaluate": _Result(("records",), _ANSWERED, _CALLS),
    "steps": _Result(("rows",), {"rows": 32}),
    "curate": _Result(("rows", "card", "held_out"), {"rows": 16, "held_out": 2}),
    "prm": _Result(("model", "history", "scores"), {"steps": 10}, _TRAINING),
    "distill": _Result(("model", "history"), {"steps": 10, "rows": 16, "best_step": 8, "world_size": 1}, _TRAINING),
    "gate": _Result(("model",), {"round": 1, "accepted": True}),
    "compare": _Result(("table",)),
    "release": _Result((), {"released": False, "decision": "made up by the tests' player", "gates": []}),
}


def commit_result(
    store: Store, command: StageCommand, *, plan: Plan | None, metrics: Mapping[str, Any], outputs: Mapping[str, bytes]
) -> bool:
    """Do what a stage's process does at its end, with made-up results.

    Args:
        store: Where the results are kept.
        command: The stage.
        plan: To take its parameters and inputs from; None leaves them empty.
        metrics: Take the place of made-up ones.
        outputs: Contents that take the place of made-up ones, by name.

    Returns:
        Whether this attempt made the stage's manifest; False where another had before.
    """
    kind, key = command.kind, command.key
    if read_manifest(store, kind, key) is not None:
        return False
    started = now()
    stage = plan.stage(key) if plan else None
    params = stage.params if stage else {}
    made, measured, usage = _result(command, params)
    attempt = next_attempt(store, kind, key)
    stored = {
        name: put_bytes(store, attempt_path(kind, key, attempt, f"{name}.json"), content)
        for name, content in {**made, **outputs}.items()
    }
    manifest = StageManifest(
        kind=kind,
        key=key,
        params=params,
        inputs={**stage.inputs, **stage.pins} if stage else {},
        outputs=stored,
        metrics={**measured, **metrics},
        usage=dict(usage),
        attempt=attempt,
        started_at=started,
        finished_at=now(),
    )
    return commit(store, manifest) is manifest


def _result(
    command: StageCommand, params: Mapping[str, Any]
) -> tuple[dict[str, bytes], Mapping[str, Any], Mapping[str, float]]:
    found = _RESULTS.get(command.kind) or _Result(("result",))
    content = json.dumps({"kind": command.kind, "key": command.key}).encode()
    outputs, metrics = dict.fromkeys(found.outputs, content), dict(found.metrics)
    if command.kind == "compare":
        subjects: Mapping[str, Sequence[str]] = params.get("subjects") or {"test": ("base", "student")}
        suites = {
            suite: {"questions": 8, "subjects": [_subject(name) for name in names]} for suite, names in subjects.items()
        }
        outputs["results"] = json.dumps({"suites": suites}).encode()
        metrics = {f"{suite}/{name}": _accuracy(name) for suite, names in subjects.items() for name in names}
    return outputs, metrics, found.usage


def _subject(name: str) -> dict[str, Any]:
    accuracy = _accuracy(name)
    return {"name": name, "accuracy": accuracy, "interval": {"low": accuracy - 0.125, "high": accuracy + 0.125}}


def _accuracy(subject: str) -> float:
    return _ACCURACY.get(subject, 0.625)
