"""What a stage that nobody ran has made: small, but committed as a real one commits."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentark.store import StageManifest, Store, commit, next_attempt, read_manifest
from agentark.store.outputs import put_bytes
from agentark.store.stages import attempt_path, now
from tests.servers.stage_command import StageCommand

_CALLS = {"calls": 24.0, "prompt_tokens": 4800.0, "completion_tokens": 2400.0, "seconds": 12.0}
_TRAINING = {"seconds": 30.0, "training_tokens": 65536.0, "device_seconds": 60.0}


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
    "compare": _Result(("results", "table"), {"test/base": 0.5, "test/student": 0.75}),
}


def commit_result(store: Store, command: StageCommand, metrics: Mapping[str, Any]) -> bool:
    """Do what a stage's process does at its end, with made-up outputs.

    Args:
        store: Where the results are kept.
        command: The stage.
        metrics: Take the place of made-up ones.

    Returns:
        Whether this attempt made the stage's manifest; False where another had before.
    """
    if read_manifest(store, command.kind, command.key) is not None:
        return False
    result = _RESULTS.get(command.kind) or _Result(("result",))
    started = now()
    attempt = next_attempt(store, command.kind, command.key)
    content = json.dumps({"kind": command.kind, "key": command.key}).encode()
    outputs = {
        name: put_bytes(store, attempt_path(command.kind, command.key, attempt, f"{name}.json"), content)
        for name in result.outputs
    }
    manifest = StageManifest(
        kind=command.kind,
        key=command.key,
        params={},
        inputs={},
        outputs=outputs,
        metrics={**result.metrics, **metrics},
        usage=dict(result.usage),
        attempt=attempt,
        started_at=started,
        finished_at=now(),
    )
    return commit(store, manifest) is manifest
