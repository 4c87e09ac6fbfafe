"""How a stage's result lies in a store: attempts race, one manifest wins, readers follow the manifest only.

`stages/<kind>/<key>/attempts/<n>/...` holds what attempt n wrote; `stages/<kind>/<key>/manifest.json` is created
last and only once. Whatever no manifest names does not exist for a reader.
"""

import json
import os
import socket
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from agentark.errors import NotFound, StoreError
from agentark.store.interface import Store, checked
from agentark.store.outputs import Output, check_digest, check_size
from agentark.store.records import parsed_record
from agentark.store.shares import ALL, Share

SCHEMA_VERSION = 1
"""Version of the manifest's own layout that this code writes and the newest it reads."""


class StageManifest(BaseModel):
    """What a finished stage made, from what, at what price."""

    model_config = ConfigDict(frozen=True)

    kind: str
    """Kind of the stage, e.g. `debate`."""
    key: str
    """Content-addressed key of the stage, 16 hex digits."""
    params: Mapping[str, JsonValue]
    """Parameters that change the result."""
    inputs: Mapping[str, JsonValue]
    """Keys of the upstream stages and identities of pinned inputs, by name."""
    outputs: dict[str, Output]
    """What the stage made, by name."""
    metrics: Mapping[str, JsonValue] = Field(default_factory=dict)
    """Measured results, e.g. accuracies (fractions)."""
    usage: dict[str, float] = Field(default_factory=dict)
    """What it took: tokens, seconds, device-seconds."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Versions of the packages that made it."""
    attempt: int = Field(ge=1)
    """Number of the attempt whose outputs these are."""
    started_at: str
    """ISO 8601 time in UTC."""
    finished_at: str
    """ISO 8601 time in UTC."""
    schema_version: int = SCHEMA_VERSION
    """Version of this layout."""


def stage_path(kind: str, key: str, *parts: str) -> str:
    """Return the store path of a stage's folder, or of `parts` below it.

    Raises:
        InvalidInput: If a part cannot be in a path.
    """
    return checked("/".join(("stages", kind, key, *parts)))


def attempt_path(kind: str, key: str, attempt: int, *parts: str) -> str:
    """Return the store path of one attempt's folder, or of `parts` below it."""
    return stage_path(kind, key, "attempts", str(attempt), *parts)


def read_manifest(store: Store, kind: str, key: str) -> StageManifest | None:
    """Return the manifest of a finished stage; None while the stage is not finished.

    Raises:
        StoreError: If what lies there is no manifest that this version can read.
    """
    path = stage_path(kind, key, "manifest.json")
    try:
        data = store.read(path)
    except NotFound:
        return None
    return parsed_record(
        store,
        path,
        data,
        StageManifest,
        newest=SCHEMA_VERSION,
        what="is no stage manifest",
        mend="delete it to run the stage again",
    )


def commit(store: Store, manifest: StageManifest) -> StageManifest:
    """Make an attempt the stage's result, unless another attempt was first.

    Returns:
        The manifest that holds from now on: the given one, or that of the attempt that won.

    Raises:
        StoreError: If an output that the manifest names is missing or has another size; nothing is committed then.
    """
    for name, output in manifest.outputs.items():
        check_size(store, name, output)
    path = stage_path(manifest.kind, manifest.key, "manifest.json")
    if store.create(path, manifest.model_dump_json(indent=1).encode()):
        return manifest
    winner = read_manifest(store, manifest.kind, manifest.key)
    if winner is None:
        raise StoreError(f"store {store.uri}: {path} was deleted while it was being committed; run the stage again")
    return winner


def next_attempt(store: Store, kind: str, key: str, share: Share = ALL) -> int:
    """Take the next free attempt number, from 1; callers that race get different ones.

    Workers that share a stage have numbers of their own each, so that a thousand that start at once do not race.
    """
    number = 1 + share.index
    while True:
        path = attempt_path(kind, key, number, "attempt.json")
        if store.stat(path) is None and store.create(path, _claim(number)):
            return number
        number += share.workers


def verify_outputs(store: Store, manifest: StageManifest) -> None:
    """Read every output again and compare it with the manifest.

    Raises:
        StoreError: If an output is missing, has another size or another content; the text names it and the mend.
    """
    for name, output in manifest.outputs.items():
        try:
            check_size(store, name, output)
            check_digest(store, name, output)
        except StoreError as error:
            folder = stage_path(manifest.kind, manifest.key)
            raise StoreError(
                f"{error} (stage {manifest.kind} {manifest.key}: delete {folder} to run it again)"
            ) from error


def now() -> str:
    """Return the present time as manifests hold it: ISO 8601, UTC, whole milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _claim(number: int) -> bytes:
    # The token makes a claim unique, so that one whose first answer was lost is known as one's own (Store.create).
    token = uuid.uuid4().hex
    claim = {"attempt": number, "host": socket.gethostname(), "pid": os.getpid(), "started_at": now(), "token": token}
    return json.dumps(claim).encode()
