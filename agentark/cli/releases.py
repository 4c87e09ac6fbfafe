"""`agentark releases`: what is released, and which version is served."""

from typing import Annotated, Any

import typer

from agentark.cli.options import JsonOption, StoreOption, store_of
from agentark.cli.output import say, say_json
from agentark.cli.tables import columns
from agentark.errors import InvalidInput, NotFound
from agentark.release import (
    Current,
    ReleasedVersion,
    gate_line,
    list_releases,
    list_versions,
    read_current,
    read_release,
)
from agentark.release.gates import STUDENT
from agentark.store import Store


def releases(
    name: Annotated[str, typer.Argument(help="Name of a release; all of the store by default.")] = "",
    store: StoreOption = "",
    as_json: JsonOption = False,
) -> None:
    """List the released models of a store, or the versions of one: where each comes from, and what it scores."""
    opened, _ = store_of(None, store)
    names = [name] if name else list_releases(opened)
    found = {one: (read_current(opened, one), list_versions(opened, one)) for one in names}
    if name and not found[name][1]:
        _refuse(opened, name)
    if as_json:
        documents = [_document(one, *there) for one, there in found.items()]
        say_json(documents[0] if name else documents)
        return
    if not names:
        say(f"nothing is released in {opened.uri}; give a DistillJob spec.release")
    elif name:
        say(_versions(*found[name]))
    else:
        rows = [("NAME", "CURRENT", "VERSIONS", "DIGEST")]
        rows += [_row(one, *there) for one, there in found.items()]
        say(columns(rows, indent=""))


def _refuse(store: Store, name: str) -> None:
    try:
        read_release(store, name)
    except NotFound as error:
        raise InvalidInput(str(error)) from None


def _document(name: str, current: Current | None, versions: list[ReleasedVersion]) -> dict[str, Any]:
    return {
        "name": name,
        "current": current.model_dump() if current else None,
        "versions": [version.model_dump(mode="json") for version in versions],
    }


def _row(name: str, current: Current | None, versions: list[ReleasedVersion]) -> tuple[str, str, str, str]:
    number = "-" if current is None else f"{current.version}{' (pinned)' if current.pinned else ''}"
    return name, number, str(len(versions)), current.digest[:19] if current else "-"


def _versions(current: Current | None, versions: list[ReleasedVersion]) -> str:
    rows = [("", "VERSION", "CREATED", "RUN", "ACCURACY", "DIGEST")]
    for one in reversed(versions):
        is_current = current is not None and current.version == one.version
        score = next((score for score in one.scores if score.subject.startswith(STUDENT)), None)
        rows.append(
            (
                ("pinned" if current and current.pinned else "current") if is_current else "",
                str(one.version),
                one.created_at[:19].replace("T", " "),
                one.lineage.run_id,
                f"{score.suite} {score.value:.3f} [{score.low:.3f} {score.high:.3f}]" if score else "-",
                one.digest[:19],
            )
        )
    newest = versions[-1]
    gates = [f"  {gate_line(gate)}" for gate in newest.gates] or ["  none asked"]
    return "\n".join([columns(rows, indent=""), f"\nGates of version {newest.version}", *gates])
