"""`agentark releases`: what is released, and which version is served."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import typer

from agentark.cli.options import JsonOption, StoreOption, store_of
from agentark.cli.output import say, say_json
from agentark.cli.tables import columns
from agentark.errors import InvalidInput, NotFound, StoreError
from agentark.release import (
    Current,
    ReleasedVersion,
    VersionList,
    gate_line,
    list_releases,
    list_versions,
    read_current,
    read_release,
)
from agentark.release.gates import STUDENT
from agentark.store import Store, readable


@dataclass(frozen=True, slots=True)
class _Release:
    name: str
    current: Current | StoreError | None
    versions: VersionList

    def errors(self) -> list[StoreError]:
        """What of it cannot be read."""
        return [*([self.current] if isinstance(self.current, StoreError) else []), *self.versions.unreadable.values()]

    def numbers(self) -> list[int]:
        """Of its versions, oldest first."""
        return sorted([*self.versions.unreadable, *(version.version for version in self.versions.readable)])


def releases(
    name: Annotated[str, typer.Argument(help="Name of a release; all of the store by default.")] = "",
    store: StoreOption = "",
    as_json: JsonOption = False,
) -> None:
    """List the released models of a store, or the versions of one: where each comes from, and what it scores.

    What cannot be read is listed as such, and said on standard error with what to do.
    """
    opened, _ = store_of(None, store)
    names = [name] if name else list_releases(opened)
    listed = [
        _Release(release, readable(partial(read_current, opened, release)), list_versions(opened, release))
        for release in names
    ]
    if name and not listed[0].numbers():
        _refuse(opened, name)
    for error in (error for release in listed for error in release.errors()):
        say(f"warning: {error}", error=True)
    if as_json:
        documents = [_document(release) for release in listed]
        say_json(documents[0] if name else documents)
    elif not names:
        say(f"nothing is released in {opened.uri}; give a DistillJob spec.release")
    elif name:
        say(_versions(listed[0]))
    else:
        say(columns([("NAME", "CURRENT", "VERSIONS", "DIGEST"), *map(_row, listed)], indent=""))


def _refuse(store: Store, name: str) -> None:
    try:
        read_release(store, name)
    except NotFound as error:
        raise InvalidInput(str(error)) from None


def _document(release: _Release) -> dict[str, Any]:
    current = release.current
    documents = {version.version: version.model_dump(mode="json") for version in release.versions.readable}
    documents |= {number: {"version": number, "error": str(e)} for number, e in release.versions.unreadable.items()}
    return {
        "name": release.name,
        "current": current.model_dump() if isinstance(current, Current) else None,
        "versions": [documents[number] for number in release.numbers()],
        "error": "\n".join(map(str, release.errors())) or None,
    }


def _row(release: _Release) -> tuple[str, str, str, str]:
    current, count = release.current, str(len(release.numbers()))
    if isinstance(current, Current):
        return release.name, f"{current.version}{' (pinned)' if current.pinned else ''}", count, current.digest[:19]
    return release.name, "-" if current is None else "unreadable", count, "-"


def _versions(release: _Release) -> str:
    current = release.current if isinstance(release.current, Current) else None
    by_number = {version.version: version for version in release.versions.readable}
    rows = [("", "VERSION", "CREATED", "RUN", "ACCURACY", "DIGEST")]
    for number in reversed(release.numbers()):
        is_current = current is not None and current.version == number
        mark = ("pinned" if current and current.pinned else "current") if is_current else ""
        version = by_number.get(number)
        rows.append((mark, str(number), *(_cells(version) if version else ("unreadable", "-", "-", "-"))))
    table = columns(rows, indent="")
    if not by_number:
        return table
    newest = release.versions.readable[-1]
    gates = [f"  {gate_line(gate)}" for gate in newest.gates] or ["  none asked"]
    return "\n".join([table, f"\nGates of version {newest.version}", *gates])


def _cells(version: ReleasedVersion) -> tuple[str, str, str, str]:
    score = next((score for score in version.scores if score.subject.startswith(STUDENT)), None)
    return (
        version.created_at[:19].replace("T", " "),
        version.lineage.run_id,
        f"{score.suite} {score.value:.3f} [{score.low:.3f} {score.high:.3f}]" if score else "-",
        version.digest[:19],
    )
