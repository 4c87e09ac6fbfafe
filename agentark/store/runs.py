"""Which stages a run used: the lineage from a manifest to its results."""

import difflib
import logging
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from agentark.errors import InvalidInput, NotFound, StoreError
from agentark.store.interface import Store, checked
from agentark.store.records import parsed_record, readable

_log = logging.getLogger(__name__)
SCHEMA_VERSION = 1
"""Version of the record's own layout that this code writes and the newest it reads."""
_PATH_PART = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class RunStage(BaseModel):
    """A stage that a run used, whether it ran or was found."""

    model_config = ConfigDict(frozen=True)

    kind: str = Field(pattern=_PATH_PART)
    """Kind of the stage."""
    name: str
    """Its name inside the run, e.g. `distil-rsft`."""
    key: str = Field(pattern=_PATH_PART)
    """Its key: where its result lies in the store."""


class RunRecord(BaseModel):
    model_config = ConfigDict(frozen=True)

    run_id: str
    """Name and hash of the plan."""
    name: str
    """Name of the resource that was run."""
    namespace: str = "default"
    """Namespace of the resource."""
    created_at: str
    """When it was started, ISO 8601 in UTC."""
    manifest: Mapping[str, JsonValue]
    """The resource as it was given."""
    stages: tuple[RunStage, ...]
    """The stages in the order of the plan."""
    pins: Mapping[str, JsonValue] = Field(default_factory=dict)
    """Identity of each address of data and models, as resolved when the run began."""
    schema_version: int = SCHEMA_VERSION
    """Version of this layout."""


class UnreadableRun(NamedTuple):
    """A record of a run that is there and cannot be read."""

    path: str
    """`runs/NAMESPACE/NAME/RUNID.json`."""
    error: StoreError
    """Why, and what to do."""


class RunList(NamedTuple):
    records: tuple[RunRecord, ...]
    unreadable: tuple[UnreadableRun, ...]


def write_run(store: Store, record: RunRecord) -> None:
    """Keep a run; an equal plan that was run before is replaced (its run id is the same).

    Raises:
        InvalidInput: If namespace, name or run id cannot be part of a path.
    """
    store.write(_path(record.namespace, record.name, record.run_id), record.model_dump_json(indent=1).encode())


def read_run(store: Store, run: str, *, namespace: str = "default") -> RunRecord:
    """Return a run by its id, or the newest run of a name.

    An older or newer run of the name whose record cannot be read is passed over with a warning.

    Raises:
        NotFound: If there is none; the text suggests the nearest.
        StoreError: If no record of it can be read.
    """
    paths = list(_paths(store, namespace))
    by_id = [path for path in paths if _id(path) == run]
    matching = by_id or [path for path in paths if path.split("/")[2] == run]
    if matching:
        records, unreadable = _read_each(store, matching)
        if unreadable and not records:
            raise unreadable[0].error
        for record in unreadable:
            _log.warning("passed over: %s", record.error)
        if records:
            return max(records, key=_age)
    names = sorted({path.split("/")[2] for path in paths} | {_id(path) for path in paths})
    near = difflib.get_close_matches(run, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "; see what there is with `agentark runs`"
    raise NotFound(f"store {store.uri}: no run {run!r} in namespace {namespace!r}{hint}")


def read_run_of(store: Store, namespace: str, name: str, run_id: str) -> RunRecord:
    """Return a run whose place is known; costs one read.

    Raises:
        NotFound: If there is none.
        StoreError: If the record cannot be read.
    """
    return _read(store, _path(namespace, name, run_id))


def list_runs(store: Store, *, namespace: str | None = None) -> RunList:
    """Return the runs of one namespace (None = of all), newest first, and the records that cannot be read, by path.

    Raises:
        StoreError: If the store cannot be asked.
    """
    records, unreadable = _read_each(store, _paths(store, namespace))
    return RunList(tuple(sorted(records, key=_age, reverse=True)), unreadable)


def _paths(store: Store, namespace: str | None) -> Iterator[str]:
    folder = "runs" if namespace is None else f"runs/{_part(namespace)}"
    for entry in store.entries(folder):
        if entry.path.endswith(".json") and entry.path.count("/") == 3:
            yield entry.path


def _read(store: Store, path: str) -> RunRecord:
    mend = "restore it, run its manifest again, or delete it; results of its stages stay"
    what = "is no record of a run"
    return parsed_record(store, path, store.read(path), RunRecord, newest=SCHEMA_VERSION, what=what, mend=mend)


def _read_each(store: Store, paths: Iterable[str]) -> tuple[list[RunRecord], tuple[UnreadableRun, ...]]:
    records, unreadable = [], []
    for path in paths:
        record = readable(partial(_read, store, path))
        if isinstance(record, RunRecord):
            records.append(record)
        elif not isinstance(record, NotFound):  # else deleted since it was listed
            unreadable.append(UnreadableRun(path, record))
    return records, tuple(unreadable)


def _path(namespace: str, name: str, run_id: str) -> str:
    return f"runs/{_part(namespace)}/{_part(name)}/{_part(run_id)}.json"


def _part(name: str) -> str:
    if "/" in name:
        raise InvalidInput(f"{name!r}: a name of a run or namespace has no '/'")
    return checked(name)


def _id(path: str) -> str:
    return path.split("/")[3].removesuffix(".json")


def _age(record: RunRecord) -> tuple[str, str]:
    return record.created_at, record.run_id
