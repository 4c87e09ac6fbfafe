"""The keys of all example manifests stay what they are, so that what a store holds is found after an upgrade.

Where a release changes them on purpose: ``python -m tests.planning.test_golden_keys`` writes them anew.
"""

import functools
import json
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import create_model

from agentark.api import ModelRelease, Resource, Teacher, read_manifest
from agentark.api.base import Key, Spec
from agentark.planning import Pin, addresses, plan

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).with_name("keys.json")
MANIFESTS = [
    str(path.relative_to(ROOT))
    for path in sorted([*ROOT.glob("examples/**/*.yaml"), Path(__file__).with_name("settings.yaml")])
    if "apiVersion: agentark.dev/" in path.read_text()
]


@functools.cache
def read(manifest: str) -> dict[str, Resource]:
    """The resources of a manifest; "Kind/name" -> resource."""
    return {f"{one.kind}/{one.metadata.name}": one for one in read_manifest(ROOT / manifest)}


def planned(resources: dict[str, Resource], manifest: str) -> dict[str, dict[str, str]]:
    """The keys of each resource's stages; what lies at an address is its name, so no file of this machine matters."""
    beside = [name for name in MANIFESTS if Path(name).parent == Path(manifest).parent]
    others = {name: resource for other in beside for name, resource in read(other).items()} | resources
    named = [place.uri for resource in others.values() for places in addresses(resource) for place in places]
    pins = {uri: Pin(uri=uri, identity=f"sha256:{uri}", rows=500) for uri in named}
    return {
        name: {stage.name: stage.key for stage in plan(resource, pins, others=others).stages}
        for name, resource in resources.items()
        if not isinstance(resource, ModelRelease)
    }


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_the_keys_of_a_manifest_stay(manifest: str) -> None:
    assert planned(read(manifest), manifest) == json.loads(GOLDEN.read_text())[manifest]


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_a_newer_field_changes_no_key_while_it_has_its_default(manifest: str) -> None:
    golden = json.loads(GOLDEN.read_text())[manifest]
    resources = read(manifest)
    newer = {name: with_field(resource, Key(unless_default=True)) for name, resource in resources.items()}
    assert planned(newer, manifest) == golden
    unmarked = planned({name: with_field(resource, Key()) for name, resource in resources.items()}, manifest)
    assert all([*unmarked[name].values()][-1] != [*keys.values()][-1] for name, keys in golden.items())


def with_field(value: Any, key: Key) -> Any:
    """A resource each of whose parts has one more field, which has its default and is so marked."""
    if isinstance(value, list):
        return [with_field(part, key) for part in value]
    # A teacher is known by its pin alone.
    if isinstance(value, Teacher) or not (isinstance(value, Spec) or hasattr(value, "spec")):
        return value
    extended = kind_with_field(type(value), key)
    parts = {name: with_field(part, key) for name, part in value}
    return extended.model_construct(value.model_fields_set, **parts)


@functools.cache
def kind_with_field(kind: type[Any], key: Key) -> Any:
    more: Any = {"newer": (Annotated[int, key], 1)} if issubclass(kind, Spec) else {}
    return create_model(kind.__name__, __base__=kind, **more)


if __name__ == "__main__":
    keys = {manifest: planned(read(manifest), manifest) for manifest in MANIFESTS}
    GOLDEN.write_text(json.dumps(keys, indent=1) + "\n")
