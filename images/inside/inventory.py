"""Prints what an image holds as CycloneDX 1.6 JSON: the Python packages on its path, and Debian's packages.

`python - TITLE VERSION` in the image, with this file as standard input: it needs the standard library alone.
"""

import json
import platform
import re
import sys
import uuid
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote

_DPKG = Path("/var/lib/dpkg/status")


def python_packages() -> list[dict[str, Any]]:
    """A component for each distribution that python finds."""
    packages = {package.metadata["Name"]: package for package in distributions() if package.metadata["Name"]}
    return [_python_package(name, packages[name]) for name in sorted(packages, key=str.lower)]


def _python_package(name: str, package: Distribution) -> dict[str, Any]:
    normal = re.sub(r"[-_.]+", "-", name).lower()
    component = _component(name, package.version, f"pkg:pypi/{normal}@{quote(package.version)}")
    # Long ones are the licence's whole text; that stays where it is.
    said = {field: package.metadata[field] for field in ("License-Expression", "License") if field in package.metadata}
    named = said.get("License", "")
    if "License-Expression" in said:
        component["licenses"] = [{"expression": said["License-Expression"]}]
    elif named and len(named) <= 100 and "\n" not in named:
        component["licenses"] = [{"license": {"name": named}}]
    return component


def debian_packages(status: str) -> list[dict[str, Any]]:
    """A component for each installed package of a dpkg status file."""
    packages = []
    for paragraph in status.split("\n\n"):
        fields = dict(re.findall(r"^(\S+): (.*)$", paragraph, re.MULTILINE))
        if fields.get("Status", "").endswith(" installed"):
            name, version, architecture = fields["Package"], fields["Version"], fields["Architecture"]
            purl = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={architecture}"
            packages.append(_component(name, version, purl))
    return sorted(packages, key=lambda package: str(package["name"]))


def _component(name: str, version: str, purl: str) -> dict[str, Any]:
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def document(title: str, version: str) -> dict[str, Any]:
    """The whole bill of materials of the image that this runs in."""
    components = python_packages() + debian_packages(_DPKG.read_text() if _DPKG.exists() else "")
    python = _component("python", platform.python_version(), f"pkg:generic/python@{platform.python_version()}")
    components.append({**python, "type": "platform"})
    content = json.dumps(components, sort_keys=True)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        # Named after the content: the same image has the same bill.
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, title + version + content)}",
        "version": 1,
        "metadata": {
            "component": {"type": "container", "bom-ref": f"{title}@{version}", "name": title, "version": version}
        },
        "components": components,
    }


if __name__ == "__main__":
    print(json.dumps(document(*sys.argv[1:]), indent=1))
