"""Bills of materials: what is found, in a form that others can read."""

import importlib.metadata
import json
import subprocess
import sys
from typing import Any

import pytest

from images.build import ROOT
from images.inside.inventory import debian_packages


@pytest.fixture(scope="module")
def bill() -> str:
    """Of the environment that the tests run in, made as in an image: the file is standard input."""
    inventory = (ROOT / "images" / "inside" / "inventory.py").read_bytes()
    command = [sys.executable, "-", "agentark-operator", "1.2.3"]
    return subprocess.run(command, input=inventory, capture_output=True, check=True).stdout.decode()


def test_it_keeps_to_the_schema(bill: str) -> None:
    # Here, since it compiles grammars for a second.
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None


def test_it_names_the_image_and_every_package_with_its_version(bill: str) -> None:
    document: dict[str, Any] = json.loads(bill)
    assert document["metadata"]["component"]["name"] == "agentark-operator"
    assert document["metadata"]["component"]["version"] == "1.2.3"
    found = {one["purl"]: one for one in document["components"]}
    version = importlib.metadata.version("prometheus-client")
    assert found[f"pkg:pypi/prometheus-client@{version}"]["licenses"]
    assert len(found) == len(document["components"])


def test_debian_packages_are_those_that_are_installed() -> None:
    status = """\
Package: zlib1g
Status: install ok installed
Architecture: amd64
Version: 1:1.2.13.dfsg-1
Description: compression library
 Version: of the description

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1
"""
    (one,) = debian_packages(status)
    assert (one["name"], one["version"]) == ("zlib1g", "1:1.2.13.dfsg-1")
    assert one["purl"] == "pkg:deb/debian/zlib1g@1%3A1.2.13.dfsg-1?arch=amd64"
