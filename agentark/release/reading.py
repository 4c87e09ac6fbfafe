"""What is released in a store."""

import re
from functools import partial
from typing import NamedTuple, TypeVar

from pydantic import BaseModel

from agentark.api.base import NAME_PATTERN
from agentark.errors import InvalidInput, NotFound, StoreError
from agentark.release.version import SCHEMA_VERSION, Current, ReleasedVersion, parse_address
from agentark.store import Store, readable
from agentark.store.records import parsed_record

_VERSION_FILE = re.compile(r"releases/([^/]+)/([1-9][0-9]*)\.json")
_Record = TypeVar("_Record", bound=BaseModel)


class VersionList(NamedTuple):
    readable: list[ReleasedVersion]
    """Oldest first."""
    unreadable: dict[int, StoreError]
    """Number -> why its record cannot be read, and what to do."""


def release_path(name: str, file: str) -> str:
    """Store path of a file of a release.

    Raises:
        InvalidInput: The name is none that a release can have.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise InvalidInput(f"release {name!r}: a name is lower-case letters, digits and '-', such as math-student")
    return f"releases/{name}/{file}"


def list_releases(store: Store) -> list[str]:
    """The names of all releases, sorted.

    Raises:
        StoreError: The store cannot be asked.
    """
    matches = (_VERSION_FILE.fullmatch(entry.path) for entry in store.entries("releases"))
    return sorted({match[1] for match in matches if match and re.fullmatch(NAME_PATTERN, match[1])})


def version_numbers(store: Store, name: str) -> list[int]:
    """The numbers of a release's versions, oldest first; empty where there is no such release.

    Raises:
        InvalidInput: The name is none that a release can have.
        StoreError: The store cannot be asked.
    """
    folder = release_path(name, "").removesuffix("/")
    matches = (_VERSION_FILE.fullmatch(entry.path) for entry in store.entries(folder))
    return sorted(int(match[2]) for match in matches if match)


def list_versions(store: Store, name: str) -> VersionList:
    """The versions of a release, oldest first, and those whose records cannot be read; none of either where there is
    no such release.

    Raises:
        InvalidInput: The name is none that a release can have.
        StoreError: The store cannot be asked.
    """
    versions = {number: readable(partial(read_release, store, name, number)) for number in version_numbers(store, name)}
    return VersionList(
        [version for version in versions.values() if isinstance(version, ReleasedVersion)],
        {number: error for number, error in versions.items() if isinstance(error, StoreError)},
    )


def read_current(store: Store, name: str) -> Current | None:
    """Which version is to be served; None where nothing has been released under this name.

    Raises:
        InvalidInput: The name is none that a release can have.
        StoreError: The store cannot be asked, or what lies there cannot be read.
    """
    path = release_path(name, "current.json")
    try:
        data = store.read(path)
    except NotFound:
        return None
    return _parsed(store, path, data, Current, f"delete it, then: agentark promote {name}")


def read_release(store: Store, name: str, version: int | None = None) -> ReleasedVersion:
    """A version of a release.

    Args:
        store: Where it lies.
        name: Of the release.
        version: Its number; None for the current one.

    Raises:
        InvalidInput: The name is none that a release can have.
        NotFound: There is no such release or version; the text names those that there are.
        StoreError: The store cannot be asked, or a record cannot be read.
    """
    if version is None:
        current = read_current(store, name)
        if current is None:
            raise _absent(store, name, "no current version")
        version = current.version
    path = release_path(name, f"{version}.json")
    try:
        data = store.read(path)
    except NotFound:
        raise _absent(store, name, f"no version {version}") from None
    return _parsed(store, path, data, ReleasedVersion, "restore it, or release the model again")


def release_with(store: Store, uri: str, digest: str) -> ReleasedVersion:
    """The version behind a `release://` address that has a certain content.

    A run asks with the digest that the address stood for when it was planned, so it does not matter which version is
    the current one by now.

    Raises:
        InvalidInput: The address is malformed, or no version that it can mean has this content.
        NotFound: There is no such version.
        StoreError: The store cannot be asked, or a record cannot be read.
    """
    name, version = parse_address(uri)
    if version is None:
        versions, unreadable = list_versions(store, name)
    else:
        versions, unreadable = [read_release(store, name, version)], {}
    for released in reversed(versions):
        if released.digest == digest:
            return released
    if unreadable:
        # One of these may be it.
        raise StoreError("\n".join(map(str, unreadable.values())))
    there = ", ".join(f"{version.version} is {version.digest[:19]}" for version in versions) or "none"
    raise InvalidInput(
        f"{uri}: the run was planned with {digest}, which no version in {store.uri} has ({there}); restore its record, "
        "or plan the run again with a version that is there"
    )


def _absent(store: Store, name: str, what: str) -> NotFound:
    numbers = version_numbers(store, name)
    if numbers:
        there = f"its versions are: {', '.join(map(str, numbers))}; choose one with: agentark promote {name} --version"
        return NotFound(f"store {store.uri}: release {name!r} has {what}; {there}")
    there = ", ".join(list_releases(store)) or "none"
    return NotFound(f"store {store.uri}: there is no release {name!r}; there are: {there}")


def _parsed(store: Store, path: str, data: bytes, model: type[_Record], mend: str) -> _Record:
    what = "cannot be read as the record of a release"
    return parsed_record(store, path, data, model, newest=SCHEMA_VERSION, what=what, mend=mend)
