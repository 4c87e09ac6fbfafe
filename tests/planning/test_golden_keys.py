"""The keys of all example manifests stay what they are, so that what a store holds is found after an upgrade.

Where a release changes them on purpose: ``python -m tests.planning.test_golden_keys`` writes them anew.
"""

import json
from pathlib import Path

import pytest

from agentark.api import ModelRelease, Resource, read_manifest
from agentark.planning import Pin, addresses, plan

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).with_name("keys.json")
MANIFESTS = [
    str(path.relative_to(ROOT))
    for path in sorted([*ROOT.glob("examples/**/*.yaml"), Path(__file__).with_name("settings.yaml")])
    if "apiVersion: agentark.dev/" in path.read_text()
]


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


if __name__ == "__main__":
    keys = {manifest: planned(read(manifest), manifest) for manifest in MANIFESTS}
    GOLDEN.write_text(json.dumps(keys, indent=1) + "\n")
