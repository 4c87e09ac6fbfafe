"""kubeconform for tests, built from its Go module, and the JSON schemas it needs, taken from a running API server.

Its usual schemas lie on the network. What the server publishes is the same and knows custom resources too.
"""

import json
from pathlib import Path
from typing import Any

from tests.servers.golang import program
from tests.servers.kubernetes import ApiServer

_PREFIX = "#/definitions/"
_GROUPS = "x-kubernetes-group-version-kind"
_OPEN = ("additionalProperties", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource")
LOCATION = "{{ .ResourceKind }}-{{ .Group }}-{{ .ResourceAPIVersion }}.json"
"""Of a schema in the folder, as kubeconform names it."""


def binary() -> Path:
    """Return the path of kubeconform, which is built first if need be (half a minute on two cores).

    Raises:
        ServerFailed: If Go is missing or the build fails.
    """
    return program("kubeconform", "github.com/yannh/kubeconform/cmd/kubeconform", "kubeconform", required=_MODULE)


_MODULE = "github.com/yannh/kubeconform"


def write_schemas(server: ApiServer, folder: Path) -> None:
    """Write a JSON schema for every kind that a server knows; unknown fields are errors."""
    definitions: dict[str, Any] = server.request("GET", "/openapi/v2").body["definitions"]
    strict = {name: _strict(content) for name, content in definitions.items()}
    for name, content in strict.items():
        for one in content.get(_GROUPS, ()):
            parts: dict[str, Any] = {}
            _collect(content, strict, parts)
            # Of the core group, whose name is empty, kubeconform takes the version for the group.
            file = f"{one['kind'].lower()}-{one['group'] or one['version']}-{one['version']}.json"
            (folder / file).write_text(json.dumps({"$ref": _PREFIX + name, "definitions": {name: content, **parts}}))


def _collect(node: Any, definitions: dict[str, Any], found: dict[str, Any]) -> None:
    if isinstance(node, dict):
        reference = node.get("$ref")
        name = reference.removeprefix(_PREFIX) if isinstance(reference, str) else ""  # a field may be called so
        if name and name not in found:
            found[name] = definitions[name]
            _collect(definitions[name], definitions, found)
        for value in node.values():
            _collect(value, definitions, found)
    elif isinstance(node, list):
        for value in node:
            _collect(value, definitions, found)


def _strict(node: Any) -> Any:
    """A schema that refuses fields it does not name, and takes numbers where Kubernetes does."""
    if isinstance(node, list):
        return [_strict(one) for one in node]
    if not isinstance(node, dict):
        return node
    # Below "properties" stand names, of which one may be called "properties" or "$ref" as well.
    made = {
        key: {name: _strict(part) for name, part in value.items()} if key == "properties" else _strict(value)
        for key, value in node.items()
    }
    number = made.get("format") == "int-or-string" or made.get("x-kubernetes-int-or-string")
    if number or str(made.get("description", "")).startswith("Quantity is"):
        made.pop("format", None)
        made["type"] = ["string", "number"]
    if isinstance(made.get("properties"), dict) and not any(made.get(one) for one in _OPEN):
        made["additionalProperties"] = False
    return made
