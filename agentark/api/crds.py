"""CustomResourceDefinitions from the models: structural schemas, rules, columns. Pure; writes nothing.

Defaults are not written into the schema: a manifest read back is the manifest that was applied, and rules like "leave
agents out" can see what was left out. `$a.b` in a rule therefore becomes the field or its default.
"""

import json
import re
import types
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel

from agentark.api.base import API_VERSION, Spec, decimal_text
from agentark.api.resources import KINDS, json_schema
from agentark.api.status import status_schema

_PLURALS = {
    "DebateRun": ("debateruns", "dbr"),
    "PRMTraining": ("prmtrainings", "prmt"),
    "DistillJob": ("distilljobs", "dj"),
    "ModelRelease": ("modelreleases", "mrel"),
}
_RUN_COLUMNS = (
    ("Phase", "string", ".status.phase", 0),
    ("Stage", "string", ".status.currentStage", 0),
    ("Progress", "integer", ".status.progress.percent", 0),
    ("Score", "string", ".status.score", 0),
    ("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', 1),
    ("Run", "string", ".status.runId", 1),
    ("Age", "date", ".metadata.creationTimestamp", 0),
)
_RELEASE_COLUMNS = (
    ("Version", "integer", ".status.current.version", 0),
    ("Score", "string", ".status.current.score", 0),
    ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', 0),
    ("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', 1),
    ("Run", "string", ".status.current.runId", 1),
    ("Digest", "string", ".status.current.digest", 1),
    ("Model", "string", ".status.current.uri", 1),
    ("Age", "date", ".metadata.creationTimestamp", 0),
)
_KEPT = {
    "type", "description", "enum", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern",
    "format", "required", "x-kubernetes-validations", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
    "x-kubernetes-preserve-unknown-fields",
}  # fmt: skip
_FIELD = re.compile(r"\$([a-zA-Z]+(?:\.[a-zA-Z]+)*)(?![\w(])")  # not the name of a method at its end


def custom_resource(kind: str) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind, as the API server takes it."""
    group, version = API_VERSION.split("/")
    plural, short = _PLURALS[kind]
    columns = _RELEASE_COLUMNS if kind == "ModelRelease" else _RUN_COLUMNS
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}", "labels": {"app.kubernetes.io/part-of": "agentark"}},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short],
                "categories": ["agentark"],
            },
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        # The server leaves a nought out, and would see a change in every other tool's apply.
                        {"name": name, "type": type_, "jsonPath": path} | ({"priority": priority} if priority else {})
                        for name, type_, path, priority in columns
                    ],
                    "schema": {"openAPIV3Schema": _schema(kind)},
                }
            ],
        },
    }


def render_crds() -> dict[str, str]:
    """File name -> YAML of every CustomResourceDefinition."""
    return {
        f"{_PLURALS[kind][0]}.yaml": "# Generated from agentark.api by `make generate`; do not edit.\n"
        + yaml.safe_dump(custom_resource(kind), sort_keys=False, width=10_000)
        for kind in KINDS
    }


def rules_of(kind: str) -> list[tuple[type[Spec], int]]:
    """Every rule of a kind's spec: the model that has it, and its place there."""
    found: list[type[Spec]] = []

    def visit(model: type[Spec]) -> None:
        if model not in found:
            found.append(model)
            for field in model.model_fields.values():
                for part in _specs(field.annotation):
                    visit(part)

    visit(_spec_of(kind))
    return [(model, place) for model in found for place in range(len(model.rules))]


def expand(cel: str, model: type[Spec]) -> str:
    """Write ``$a.b`` as the field or its default.

    Raises:
        KeyError: If there is no such field.
    """
    return _FIELD.sub(lambda match: _or_default(match[1].split("."), model), cel)


def _schema(kind: str) -> dict[str, Any]:
    whole = json_schema(kind)
    status = status_schema(kind)
    spec = _Writer(whole["$defs"], _models(_spec_of(kind))).structural(whole["properties"]["spec"])
    return {
        "type": "object",
        "description": whole["description"],
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": _Writer(status["$defs"], {}).structural(status)
            | {
                "default": {"observedGeneration": -1},
                # One writes it, always whole: to track the owner of each field costs the server a third of a write.
                "x-kubernetes-map-type": "atomic",
            },
        },
    }


class _Writer:
    """Turns the JSON schema of one kind into a structural one.

    A part that occurs again (a debate within a reward model within a job) is described where it is first seen only, so
    that the whole stays small enough for every client.
    """

    def __init__(self, definitions: Mapping[str, Any], models: Mapping[str, type[Spec]]) -> None:
        self._definitions, self._models = definitions, models
        self._seen: set[str] = set()

    def structural(self, schema: Mapping[str, Any], *, described: bool = True) -> dict[str, Any]:
        """A schema without references, alternatives, defaults and what else Kubernetes does not take."""
        node = dict(schema)
        name = ""
        if "$ref" in node:
            name = node.pop("$ref").rsplit("/", 1)[-1]
            node = {**self._definitions[name], **node}
        if "anyOf" in node:
            node = _merged(node, self._definitions)
            name = node.pop("name", name)
        if "const" in node:
            node["enum"] = [node["const"]]
        kept: dict[str, Any] = {key: value for key, value in node.items() if key in _KEPT}
        if described and "description" in kept:
            kept["description"] = " ".join(kept["description"].split())
        else:
            kept.pop("description", None)
        inside = described and name not in self._seen
        self._seen |= {name} - {""}
        if "properties" in node:
            kept["properties"] = {
                key: self.structural(value, described=inside) for key, value in node["properties"].items()
            }
        if "items" in node:
            kept["items"] = self.structural(node["items"], described=inside)
        if name in self._models and self._models[name].rules:
            model = self._models[name]
            kept["x-kubernetes-validations"] = [
                {"rule": expand(rule.cel, model), "message": rule.message} for rule in model.rules
            ]
        return kept


def _merged(node: dict[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """The one alternative beside null, or all enumerated values together."""
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    options = [option for option in node["anyOf"] if option.get("type") != "null"]
    if len(options) == 1 and "$ref" in options[0]:
        name = options[0]["$ref"].rsplit("/", 1)[-1]
        return {**definitions[name], **rest, "name": name}
    if len(options) == 1:
        return {**options[0], **rest}
    values = [value for option in options for value in option.get("enum", [option.get("const")])]
    if None in values:
        raise TypeError(f"alternatives that Kubernetes cannot take: {json.dumps(options)}")
    return {"type": "string", "enum": values, **rest}


def _or_default(path: list[str], model: type[Spec]) -> str:
    default: Any = None
    owner: type[BaseModel] = model
    for place, alias in enumerate(path):
        field = next(one for one in owner.model_fields.values() if one.alias == alias)
        if place + 1 == len(path):
            default = field.get_default(call_default_factory=True)
        else:
            owner = _specs(field.annotation)[0]
    return f"self.?{'.?'.join(path)}.orValue({_literal(default)})"


def _literal(value: Any) -> str:
    return f"'{decimal_text(value)}'" if isinstance(value, float) else json.dumps(value).replace('"', "'")


def _models(model: type[Spec]) -> dict[str, type[Spec]]:
    found = {model.__name__: model}
    for field in model.model_fields.values():
        for part in _specs(field.annotation):
            found |= _models(part)
    return found


def _specs(annotation: Any) -> list[type[Spec]]:
    """The models in the type of a field."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return [annotation]
    if get_origin(annotation) in (Union, types.UnionType, list) or hasattr(annotation, "__metadata__"):
        return [found for part in get_args(annotation) for found in _specs(part)]
    return []


def _spec_of(kind: str) -> type[Spec]:
    (spec,) = _specs(KINDS[kind].model_fields["spec"].annotation)
    return spec
