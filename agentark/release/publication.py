"""A version is published, and one version is the current one: promotion and rollback.

A store offers "create once" and "replace", no comparison. So a person's choice lies in a file of its own that
publishing never writes (`pinned.json`), versions are created once, and `current.json` is derived from both: whoever
changes one of them writes it anew until it is what they say, whoever else writes at the same time.
"""

import logging
from functools import partial

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentark.errors import NotFound, StoreError, StoreUnavailable
from agentark.release.registry import list_versions, read_current, read_release, release_path, version_numbers
from agentark.release.version import Current, ReleasedVersion, VersionContent
from agentark.store import Store, readable
from agentark.store.outputs import Output, check_size

_ROUNDS = 100
_log = logging.getLogger(__name__)


class _Pin(BaseModel):
    model_config = ConfigDict(frozen=True)

    version: int = Field(ge=1)


def publish(store: Store, content: VersionContent) -> tuple[ReleasedVersion, Current]:
    """Give a model the next free number, and make it the current version unless a person pinned one.

    Of stages that race each gets a number of its own. The same stage with the same model gets the number that it has:
    a stage that died between its release and its commit releases nothing twice.

    Args:
        store: Where it is released.
        content: The version without its number.

    Returns:
        The version in force for this stage, and the release's current version.

    Raises:
        StoreError: The store cannot be asked, or the weights are not where the content says.
    """
    _require_weights(store, content)
    version = _created(store, content)
    return version, _settle(store, content.name)


def promote(store: Store, name: str, version: int | None = None) -> Current:
    """Make a version the current one, and keep it so when newer ones come; an older one is a rollback.

    Args:
        store: Where the release lies.
        name: Of the release.
        version: Its number; None gives up an earlier choice, so that the newest is the current one again.

    Raises:
        InvalidInput: The name is none that a release can have.
        NotFound: There is no such release or version; nothing is changed.
        StoreError: The store cannot be asked, or the version's weights are gone; nothing is changed.
    """
    chosen = read_release(store, name, version or max(version_numbers(store, name), default=1))
    _require_weights(store, chosen)
    path = release_path(name, "pinned.json")
    if version is None:
        store.delete(path)
    else:
        store.write(path, _Pin(version=version).model_dump_json().encode())
    return _settle(store, name)


def _created(store: Store, content: VersionContent) -> ReleasedVersion:
    versions, unreadable = list_versions(store, content.name)
    same = next((version for version in versions if _is_same(version, content)), None)
    if same is not None:
        return same
    # A damaged record of another version is no reason to lose this one; at worst a content has two numbers.
    for error in unreadable.values():
        _log.warning("passed over: %s", error)
    number = max((*unreadable, *(version.version for version in versions)), default=0) + 1
    while True:
        created = ReleasedVersion(version=number, **dict(content))
        if store.create(release_path(content.name, f"{number}.json"), created.model_dump_json(indent=1).encode()):
            return created
        # Somebody was faster: another stage, or another attempt at this one.
        there = readable(partial(read_release, store, content.name, number))
        if isinstance(there, ReleasedVersion) and _is_same(there, content):
            return there
        number += 1


def _is_same(version: ReleasedVersion, content: VersionContent) -> bool:
    # The key alone would not do: a training that is run again after its result was deleted may give other weights.
    return version.lineage.stage_key == content.lineage.stage_key and version.digest == content.digest


def _settle(store: Store, name: str) -> Current:
    """Write `current.json` until it is what the versions and the pin say. Whoever writes last has looked after it."""
    for _ in range(_ROUNDS):
        desired = _wanted(store, name)
        # One that cannot be read is none: it only says what the versions and the pin do.
        if readable(partial(read_current, store, name)) != desired:
            store.write(release_path(name, "current.json"), desired.model_dump_json().encode())
        if _wanted(store, name) == desired:
            return desired
    raise StoreError(f"store {store.uri}: the versions of release {name!r} keep changing; what is publishing them?")


def _wanted(store: Store, name: str) -> Current:
    pinned = _pinned(store, name)
    number = pinned or max(version_numbers(store, name))
    try:
        version = read_release(store, name, number)
    except NotFound as error:
        raise StoreError(f"{error} (that one is pinned; back to the newest: agentark promote {name})") from error
    return Current(version=number, digest=version.digest, pinned=pinned is not None)


def _pinned(store: Store, name: str) -> int | None:
    path = release_path(name, "pinned.json")
    try:
        return _Pin.model_validate_json(store.read(path)).version
    except NotFound:
        return None
    except ValidationError as error:
        raise StoreError(f"store {store.uri}: {path} cannot be read; choose again: agentark promote {name}") from error


def _require_weights(store: Store, content: VersionContent) -> None:
    model = content.model
    output = Output(path=model.path, sha256=content.digest.removeprefix("sha256:"), bytes=model.bytes)
    try:
        check_size(store, "model", output)
    except StoreUnavailable:
        raise
    except StoreError as error:
        raise StoreError(f"release {content.name!r}: {error}; restore the folder, or choose another version") from error
