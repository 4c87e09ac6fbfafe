"""Manifests: YAML documents read with their positions, checked all at once.

Reading is safe on any file: no object construction, bounded size, bounded alias expansion, duplicate keys refused.
"""

import json
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from agentark.api.base import API_VERSION, DIGEST_PATTERN, NAME_PATTERN, Location, dotted
from agentark.api.resources import KINDS, Resource
from agentark.api.secrets import NamedKey, clashes, named_keys
from agentark.api.sources import URI_PATTERN
from agentark.errors import InvalidInput

MAX_BYTES = 4 * 1024 * 1024
MAX_NODES = 100_000
MAX_DEPTH = 64
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_TEXT_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("timestamp", "binary", "value", "merge"))
_MEANINGS = {
    URI_PATTERN: "an address starts with file:, s3://, hf:// or release://",
    NAME_PATTERN: "a name has lower-case letters, digits and '-', and starts and ends with a letter or digit",
    DIGEST_PATTERN: "a digest is 'sha256:' and 64 hex digits",
}


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that is wrong in a manifest."""

    file: str
    line: int
    """1-based; 0 when the file as a whole is meant."""
    field: str
    """Path of the field, such as spec.student.model.uri; empty for the document."""
    message: str
    """What was found and what is accepted."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.field}: {self.message}" if self.field else f"{place}: {self.message}"


class InvalidManifest(InvalidInput):
    """A manifest has errors; `issues` holds all of them."""

    def __init__(self, issues: list[Issue]) -> None:
        self.issues = tuple(issues)
        super().__init__("\n".join(str(issue) for issue in issues))


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document as plain data, with the line of every path in it."""

    data: Any
    lines: dict[Location, int]
    issues: tuple[tuple[Location, int, str], ...] = ()

    def line(self, location: Location) -> int:
        """Line of the longest part of the path that exists."""
        for end in range(len(location), -1, -1):
            if location[:end] in self.lines:
                return self.lines[location[:end]]
        return 1


def read_manifest(path: Path) -> list[Resource]:
    """Read and check every document of a file.

    Raises:
        InvalidManifest: The file cannot be read or any document has an error; all errors of all documents are listed.
    """
    resources, issues = check_manifest(path)
    if issues:
        raise InvalidManifest(issues)
    return resources


def check_manifest(path: Path) -> tuple[list[Resource], list[Issue]]:
    """The valid resources of a file, and everything that is wrong in it, in the order of the file."""
    file = str(path)
    try:
        documents = parse(_text(path))
    except InvalidInput as error:
        return [], [Issue(file, getattr(error, "line", 0), "", str(error))]
    if not documents:
        return [], [Issue(file, 0, "", f"holds no document; a manifest starts with 'apiVersion: {API_VERSION}'")]
    resources: list[Resource] = []
    issues: list[Issue] = []
    names: dict[tuple[str, str, str], int] = {}
    secrets: dict[NamedKey, int] = {}
    for document in documents:
        found = [Issue(file, line, dotted(location), message) for location, line, message in document.issues]
        resource, wrong = _check(document)
        found += [Issue(file, document.line(location), dotted(location), message) for location, message in wrong]
        if resource is not None and not found:
            key = (resource.kind, resource.metadata.namespace, resource.metadata.name)
            line = document.line(("metadata", "name"))
            if key in names:
                message = (
                    f"{key[0]} {key[2]!r} is already defined in line {names[key]}; names must differ within a kind"
                )
                found.append(Issue(file, line, "metadata.name", message))
            else:
                names[key] = line
                resources.append(resource)
                named = named_keys(resource, resource=f"{key[0]} {key[2]!r}")
                secrets |= {reference: document.line(reference.location) for reference in named}
        issues += found
    # A laptop has one environment for all resources of a file, and each was looked at alone so far.
    for clash in clashes(secrets):
        last = clash.keys[-1]
        issues.append(Issue(file, secrets[last], dotted(last.location), str(clash)))
    return resources, sorted(issues, key=lambda issue: issue.line)


class _ParseError(InvalidInput):
    def __init__(self, message: str, line: int = 0) -> None:
        self.line = line
        super().__init__(message)


def _text(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise _ParseError(
                f"has {size} bytes; a manifest may have {MAX_BYTES}. Is it the data set instead of the manifest?"
            )
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise _ParseError("does not exist; give the path of a manifest with -f") from None
    except IsADirectoryError:
        raise _ParseError("is a folder; give one file with -f") from None
    except OSError as error:
        raise _ParseError(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise _ParseError(
            f"is not UTF-8: byte 0x{error.object[error.start]:02x} at offset {error.start}; save it as UTF-8", line
        ) from None


def parse(text: str) -> list[Document]:
    """Split a YAML text into documents of plain data; empty documents are left out.

    Raises:
        InvalidInput: The text is not YAML, nests too deeply, or expands to too many nodes.
    """
    try:
        _check_depth(text)
        nodes = [node for node in yaml.compose_all(text, Loader=_LOADER) if node is not None]
        budget = _Budget()
        documents = [_document(node, budget) for node in nodes]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        raise _ParseError(f"is not YAML: {error.problem or error.context}", line) from None
    except yaml.YAMLError as error:
        raise _ParseError(f"is not YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise _ParseError(f"nests deeper than {MAX_DEPTH} levels") from None
    return [document for document in documents if document.data is not None]


def _check_depth(text: str) -> None:
    """Refuse what would make the composer, which is C code, run out of stack and take the process along."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise _ParseError(
                f"nests deeper than {MAX_DEPTH} levels", event.start_mark.line + 1 if event.start_mark else 0
            )


@dataclass(slots=True)
class _Budget:
    left: int = MAX_NODES
    scalars: Any = field(default_factory=lambda: _LOADER(""))

    def take(self, node: yaml.Node, depth: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise _ParseError(f"expands to more than {MAX_NODES} values; remove the aliases", node.start_mark.line + 1)
        if depth > MAX_DEPTH:
            raise _ParseError(f"nests deeper than {MAX_DEPTH} levels", node.start_mark.line + 1)


def _document(root: yaml.Node, budget: _Budget) -> Document:
    lines: dict[Location, int] = {}
    issues: list[tuple[Location, int, str]] = []

    def convert(node: yaml.Node, location: Location, depth: int) -> Any:
        budget.take(node, depth)
        lines.setdefault(location, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return mapping(node, location, depth)
        if isinstance(node, yaml.SequenceNode):
            return [convert(child, (*location, index), depth + 1) for index, child in enumerate(node.value)]
        return _scalar(node, budget)

    def mapping(node: yaml.MappingNode, location: Location, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = _scalar(key_node, budget) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                issues.append((location, line, "a field name must be text; put it in quotes"))
                continue
            if key in result:
                first = lines[(*location, key)]
                issues.append(((*location, key), line, f"given twice; the first is in line {first}, keep one"))
                continue
            lines[(*location, key)] = line
            result[key] = convert(value_node, (*location, key), depth + 1)
        return result

    return Document(convert(root, (), 0), lines, tuple(issues))


def _scalar(node: yaml.Node, budget: _Budget) -> Any:
    # Dates and binary stay text: no field of ours takes them, and JSON has neither.
    if node.tag in _TEXT_TAGS:
        return node.value
    try:
        value = budget.scalars.construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        raise _ParseError(
            f"has a value that cannot be read: {str(error).splitlines()[0]}", node.start_mark.line + 1
        ) from None
    if isinstance(value, int) and abs(value) > 2**63:
        raise _ParseError("has a number that does not fit 64 bits", node.start_mark.line + 1)
    return value


def _check(document: Document) -> tuple[Resource | None, list[tuple[Location, str]]]:
    data = document.data
    if not isinstance(data, dict):
        return None, [((), f"is {_shown(data)}; a manifest is a mapping with apiVersion, kind, metadata and spec")]
    wrong: list[tuple[Location, str]] = []
    if data.get("apiVersion") != API_VERSION:
        wrong.append((("apiVersion",), f"found {_shown(data.get('apiVersion'))}; accepted: {API_VERSION}"))
    kind = data.get("kind")
    model = KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        wrong.append((("kind",), f"found {_shown(kind)}; accepted: {', '.join(KINDS)}{_suggest(kind, list(KINDS))}"))
        return None, wrong
    try:
        # Through JSON: strict types as on the wire, the same as the Kubernetes API server sees.
        resource = model.model_validate_json(json.dumps(data), by_alias=True, by_name=False)
    except ValidationError as error:
        seen = {location for location, _ in wrong}
        wrong += [item for item in explained(error, model) if item[0] not in seen]
        return None, wrong
    return (resource, []) if not wrong else (None, wrong)


def explained(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[Location, str]]:
    """Where a model's content is wrong, and in which way, in the words of a manifest's errors."""
    for detail in error.errors(include_url=False):
        yield detail["loc"], _message(detail, model)


def _message(detail: ErrorDetails, model: type[BaseModel]) -> str:
    location, found = detail["loc"], _shown(detail["input"])
    match detail["type"]:
        case "extra_forbidden":
            names = list(_fields(model, location[:-1]))
            return f"unknown field{_suggest(location[-1], names) or '; accepted: ' + ', '.join(names)}"
        case "missing":
            field = _fields(model, location[:-1])[str(location[-1])]
            return f"missing, and it has no default; what it holds: {_meaning(field)}"
        case "literal_error":
            expected = detail["ctx"]["expected"].replace("'", "")
            options = [option.strip() for part in expected.split(" or ") for option in part.split(",")]
            return f"found {found}; accepted: {', '.join(options)}{_suggest(detail['input'], options)}"
        case "value_error":
            text = str(detail["ctx"]["error"])
            return text if isinstance(detail["input"], dict) else f"found {found}; {text}"
        case "string_pattern_mismatch":
            pattern = detail["ctx"]["pattern"]
            return f"found {found}; {_MEANINGS.get(pattern, f'it must match {pattern}')}"
        case _:
            return f"found {found}; {detail['msg'][0].lower()}{detail['msg'][1:]}"


def _fields(model: type[BaseModel], location: Location) -> dict[str, FieldInfo]:
    """Wire name -> each field that the object at a path accepts."""
    current: Any = model
    for part in location:
        fields = _fields_of(current)
        if part in fields:
            current = fields[str(part)].annotation
        else:
            current = get_args(_bare(current))[0] if isinstance(part, int) and get_args(_bare(current)) else current
    return _fields_of(current)


def _fields_of(annotation: Any) -> dict[str, FieldInfo]:
    """Wire name -> field, of every model that a type allows; the first counts where two have a name."""
    found: dict[str, FieldInfo] = {}
    for model in _models(annotation):
        for name, info in model.model_fields.items():
            found.setdefault(info.alias or name, info)
    return found


def _meaning(field: FieldInfo) -> str:
    """What a field holds: the first sentence of its description in the reference."""
    return " ".join((field.description or "").split()).partition(". ")[0].rstrip(".")


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _models(annotation: Any) -> list[type[BaseModel]]:
    annotation = _bare(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        return [found for part in get_args(annotation) for found in _models(part)]
    return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []


def _suggest(word: object, options: list[str]) -> str:
    by_lower = {option.lower(): option for option in options}
    close = get_close_matches(str(word).lower(), by_lower, n=1, cutoff=0.6)
    return f"; did you mean {by_lower[close[0]]!r}?" if close else ""


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    text = json.dumps(value, ensure_ascii=False, default=repr)  # Python gives what no manifest can
    return text if len(text) <= 80 else text[:77] + "..."
