"""Options that several sub-commands share, and what they stand for."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from agentark.api import DebateRun, Resource, StoreSource, read_manifest
from agentark.errors import InvalidInput
from agentark.planning import Plan, pin_addresses
from agentark.planning import plan as lay_out
from agentark.planning.references import debating
from agentark.store import Store, open_store

ManifestOption = Annotated[Path, typer.Option("--file", "-f", help="Manifest: one or more YAML documents.")]
StoreOption = Annotated[
    str, typer.Option("--store", help="Where results are kept: a folder or s3://bucket/prefix. [default: .agentark]")
]
NamespaceOption = Annotated[
    str, typer.Option("--namespace", "-n", help="Namespace of the run, as its manifest's metadata has it.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]

DEFAULT_STORE = StoreSource()


def store_of(resource: Resource | None, option: str) -> tuple[Store, StoreSource]:
    """The store to use: the option, else the manifest's, else the folder .agentark."""
    spec = getattr(resource.spec, "store", None) if resource is not None else None
    source: StoreSource = spec or DEFAULT_STORE
    if option:
        source = store_source(option, source.endpoint or "")
    return open_store(source.uri, endpoint=source.endpoint or "", region=source.region), source


def store_source(option: str, endpoint: str) -> StoreSource:
    """Where the store is that the options name; the folder .agentark by default.

    Raises:
        InvalidInput: They name none.
    """
    uri = DEFAULT_STORE.uri if not option else option if ":" in option else f"file:{option}"
    try:
        return StoreSource.model_validate({"uri": uri, "endpoint": endpoint or None})
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        label, accepted = {
            "uri": (f"--store {uri}", "a folder, file:FOLDER or s3://BUCKET/PREFIX"),
            "endpoint": (f"--endpoint {endpoint}", "http://HOST:PORT or https://HOST"),
        }[name]
        raise InvalidInput(f"{label}: accepted: {accepted}") from None


def plans_of(file: Path, store_option: str) -> list[tuple[Plan, Store]]:
    """Check a manifest, resolve its addresses, and plan each of its resources that runs."""
    resources = read_manifest(file)
    others = {f"{resource.kind}/{resource.metadata.name}": resource for resource in resources}
    planned = []
    for resource in resources:
        if resource.kind == "ModelRelease":
            continue
        store, source = store_of(resource, store_option)
        needed = [resource, *(other for other in resources if other.kind in ("DebateRun", "PRMTraining"))]
        needed += debating(resource, others) if isinstance(resource, DebateRun) else []
        pins = pin_addresses(needed, base=file.parent, store=store, source=source)
        planned.append((lay_out(resource, pins, others=others), store))
    return planned
