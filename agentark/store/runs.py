"""Which stages a run used: the lineage from a manifest to its results."""

import difflib
from collections.abc import Iterator, Mapping

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from agentark.errors import InvalidInput, NotFound, StoreError
from agentark.store.interface import Store, checked


class RunStage(BaseModel):
    """A stage that a run used, whether it ran or was found."""

    model_config = ConfigDict(frozen=True)

    kind: str
    """Kind of the stage."""
    name: str
    """Its name inside the run, e.g. `distil-rsft`."""
    key: str
    """Its key: where its result lies in the store."""


class RunRecord(BaseModel):
    """One run of a manifest."""

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


def write_run(store: Store, record: RunRecord) -> None:
    """Keep a run; an equal plan that was run before is replaced (its run id is the same).

    Raises:
        InvalidInput: If namespace, name or run id cannot be part of a path.
    """
    store.write(_path(record.namespace, record.name, record.run_id), record.model_dump_json(indent=1).encode())


def read_run(store: Store, run: str, *, namespace: str = "default") -> RunRecord:
    """Return a run by its id, or the newest run of a name.

    Raises:
        NotFound: If there is none; the text suggests the nearest.
        StoreError: If the record cannot be read.
    """
    paths = list(_paths(store, namespace))
    by_id = [path for path in paths if _id(path) == run]
    found = by_id or [path for path in paths if path.split("/")[2] == run]
    if found:
        return max((_read(store, path) for path in found), key=_age)
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


def list_runs(store: Store, *, namespace: str | None = None) -> list[RunRecord]:
    """Return the runs of one namespace (None = of all), newest first.

    Raises:
        StoreError: If a record cannot be read.
    """
    return sorted((_read(store, path) for path in _paths(store, namespace)), key=_age, reverse=True)


def _paths(store: Store, namespace: str | None) -> Iterator[str]:
    folder = "runs" if namespace is None else f"runs/{_part(namespace)}"
    for entry in store.entries(folder):
        if entry.path.endswith(".json") and entry.path.count("/") == 3:
            yield entry.path


def _read(store: Store, path: str) -> RunRecord:
    try:
        return RunRecord.model_validate_json(store.read(path))
    except ValidationError as error:
        raise StoreError(f"store {store.uri}: {path} is no record of a run; delete it") from error


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
