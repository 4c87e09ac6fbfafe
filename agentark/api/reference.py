"""The reference of the custom resources as Markdown tables, from the models: field, accepted values, default, meaning.

Each model is described on one page, its home, and linked from everywhere else. Pure; writes nothing.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from agentark.api.base import DECIMAL_PATTERN, DIGEST_PATTERN, NAME_PATTERN, Spec, decimal_text
from agentark.api.debaterun import DebateSpec
from agentark.api.prmtraining import PRMSpec
from agentark.api.resources import KINDS
from agentark.api.running import Run
from agentark.api.sources import URI_PATTERN
from agentark.api.status import ReleaseStatus, RunStatus, Version

SHARED = "fields"
"""The page of what several kinds have."""
_KINDS = {kind: f"kinds/{kind.lower()}" for kind in KINDS}
_WITHIN: Mapping[type[BaseModel], str] = {DebateSpec: "DebateRun", PRMSpec: "PRMTraining"}
"""What a kind's spec has beside `Run`; described there."""
_BY_MODULE = {
    "debaterun": "DebateRun",
    "prompts": "DebateRun",
    "prmtraining": "PRMTraining",
    "distilljob": "DistillJob",
    "pad": "DistillJob",
}
_MEANINGS = {
    URI_PATTERN: "address",
    NAME_PATTERN: "DNS label",
    DECIMAL_PATTERN: "decimal in quotes",
    DIGEST_PATTERN: "`sha256:` and 64 hex digits",
    r"^https?://[^\s]+$": "URL",
    r"^(file:|s3://).+": "`s3://BUCKET/PREFIX` or `file:FOLDER`",
}


def page_of(model: type[BaseModel]) -> str:
    """The page, without its ending, on which a model is described."""
    for kind, resource in KINDS.items():
        if resource.model_fields["spec"].annotation is model:
            return _KINDS[kind]
    if model in (ReleaseStatus, Version):
        return _KINDS["ModelRelease"]
    module = model.__module__.rpartition(".")[2]
    return _KINDS[_BY_MODULE[module]] if module in _BY_MODULE else SHARED


def render_page(page: str) -> str:
    """All tables of a page: of a kind its spec first, then the parts that only it has.

    Args:
        page: Without its ending, as `page_of` gives it.
    """
    shown = [model for model in _models() if page_of(model) == page and model not in _WITHIN]
    return "\n".join(_section(model, page) for model in shown)


def pages() -> list[str]:
    """Every page with tables."""
    return sorted({page_of(model) for model in _models()})


def _models() -> list[type[BaseModel]]:
    """Every model, each once, in the order in which a reader meets them."""
    roots: list[object] = [resource.model_fields["spec"].annotation for resource in KINDS.values()]
    roots += [RunStatus, ReleaseStatus]
    found: dict[type[BaseModel], None] = {}
    for root in roots:
        assert isinstance(root, type)
        for model in _reached(root):
            found.setdefault(model)
    return list(found)


def _reached(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        for part in _parts(field.annotation):
            yield from _reached(part)


def _parts(annotation: Any) -> list[type[BaseModel]]:
    """The models in the type of a field."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in getattr(annotation, "__args__", ()) for found in _parts(part)]


def _section(model: type[BaseModel], page: str) -> str:
    status = model in (RunStatus, ReleaseStatus)
    resource = next((one for one in KINDS.values() if one.model_fields["spec"].annotation is model), None)
    title = "spec" if resource else "status" if status else model.__name__
    schema = model.model_json_schema(by_alias=True)
    lines = [f"{'##' if resource or status else '###'} {title}", ""]
    if not resource and model.__doc__:
        lines += [_line(model.__doc__), ""]
    written = status or not issubclass(model, Spec)
    head = "| field | what it holds | meaning |" if written else "| field | accepts | default | meaning |"
    lines += [head, "|---" * head.count(" | ") + "|---|"]
    # What all kinds have comes last.
    for name, field in sorted(model.model_fields.items(), key=lambda one: one[0] in Run.model_fields):
        wire = field.alias or name
        accepts = _accepts(schema["properties"][wire], schema.get("$defs", {}), field, page)
        cells = [f"`{wire}`", accepts, *([] if written else [_default(field)]), _line(field.description or "")]
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    rules = model.rules if issubclass(model, Spec) else ()
    if rules:
        lines += ["", "Refused, in these words:", *(f"- {rule.message}" for rule in rules)]
    return "\n".join([*lines, ""])


def _accepts(schema: Mapping[str, Any], parts: Mapping[str, Any], field: FieldInfo, page: str) -> str:
    """The values of a field, for people."""
    links = {model.__name__: _link(model, page) for model in _parts(field.annotation)}
    return _values(schema, parts, links)


def _values(schema: Mapping[str, Any], parts: Mapping[str, Any], links: Mapping[str, str]) -> str:
    if "$ref" in schema:
        return links[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        options = [one for one in schema["anyOf"] if one.get("type") != "null"]
        return ", ".join(_values(one, parts, links) for one in options)
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        return f"list of {_values(schema['items'], parts, links)}{_bounds(schema, 'Items', ' entries')}"
    if kind == "integer":
        return "integer" + _range(schema)
    if kind == "boolean":
        return "`true`, `false`"
    if kind == "object" or "x-kubernetes-preserve-unknown-fields" in schema:
        return "part of a pod template"
    if "x-kubernetes-validations" in schema:
        low, _, high = (
            schema["x-kubernetes-validations"][0]["message"].removeprefix("must lie between ").partition(" and ")
        )
        return f"{low} to {_number(high)}, in quotes"
    if schema.get("format") == "date-time":
        return "time"
    return _MEANINGS.get(schema.get("pattern", ""), "text")


def _range(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if high is not None and high < 2**31 - 1:
        return f" {low} to {_number(high)}"
    return f", {low} or more" if low is not None else ""


def _number(value: object) -> str:
    """With blanks between thousands."""
    text = str(value)
    return f"{int(text):,}".replace(",", " ") if text.isdigit() and len(text) > 4 else text


def _bounds(schema: Mapping[str, Any], what: str, unit: str) -> str:
    low, high = schema.get(f"min{what}"), schema.get(f"max{what}")
    if low and high:
        return f", {low} to {high}{unit}"
    return f", at most {high}" if high else ""


def _link(model: type[BaseModel], page: str) -> str:
    home = page_of(model)
    anchor = "spec" if model in _WITHIN else model.__name__.lower()
    if home == page:
        return f"[{model.__name__}](#{anchor})"
    up = "../" * page.count("/")
    folder = page.rpartition("/")[0]
    target = home.removeprefix(f"{folder}/") if folder and home.startswith(f"{folder}/") else up + home
    return f"[{model.__name__}]({target}.md#{anchor})"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    default = field.get_default(call_default_factory=True)
    if default is None or default == "":
        return ""
    if isinstance(default, BaseModel):
        return "see there"
    if isinstance(default, list):
        return ", ".join(f"`{one}`" for one in default) or "none"
    if isinstance(default, float):
        return f'`"{decimal_text(default)}"`'
    if isinstance(default, str) and "\n" in default:
        return "built in"
    if isinstance(default, str):
        return f"`{default}`"
    return f"`{json.dumps(default)}`"


def _line(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    # Angle brackets would be taken for HTML.
    return text.replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")
