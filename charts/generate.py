"""Write what in the charts follows from the code and from values.yaml: `python charts/generate.py [--check]`.

- kinds, from `agentark.api`; the operator's rights, from `agentark_operator.permissions`; its backends, from
  `agentark_operator.backends`; versions, from `agentark`;
- descriptions in values.schema.json and the table in README.md, from the comments in values.yaml. Objects of the schema
  that allow no other fields get a list of those they have, so that Helm's error names them.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from agentark_operator.backends import BACKENDS
from agentark_operator.permissions import TABLE

from agentark import __version__
from agentark.api.crds import render_crds

HERE = Path(__file__).parent
_VALUES = re.compile(r"(<!-- values: [^>]*-->\n).*(<!-- /values -->)", re.DOTALL)
_KEEP = """  {{- if .Values.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
"""


class Undescribed(Exception):
    """A value without a comment, or a comment without a place in the schema."""


def main(arguments: list[str]) -> int:
    """Write all files, or with --check only say which are not current."""
    stale = {file: content for file, content in files().items() if not file.exists() or file.read_text() != content}
    if "--check" in arguments:
        for file in stale:
            print(f"{file}: not current; run: make generate", file=sys.stderr)
        return 1 if stale else 0
    for file, content in stale.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return 0


def files() -> dict[Path, str]:
    """Every file that is generated, wholly or in part, with its content."""
    contents = {HERE / "agentark-crds/templates" / name: _kept(text) for name, text in render_crds().items()}
    contents[HERE / "agentark-operator/files/permissions.yaml"] = permissions()
    for chart in sorted(file.parent for file in HERE.glob("*/Chart.yaml")):
        contents[chart / "Chart.yaml"] = _versioned((chart / "Chart.yaml").read_text())
        if (chart / "README.md").exists() and _VALUES.search((chart / "README.md").read_text()):
            contents |= described(chart)
    return contents


def permissions() -> str:
    """The table of rights, as the chart's roles are made of it."""
    rows = [
        {
            "needed": row.needed,
            "why": row.why,
            "rule": {"apiGroups": [row.group], "resources": list(row.resources), "verbs": list(row.verbs)},
        }
        for row in TABLE
    ]
    head = "# Generated from agentark_operator.permissions by `make generate`; do not edit.\n"
    return head + yaml.safe_dump({"rows": rows}, sort_keys=False, width=10_000)


def described(chart: Path) -> dict[Path, str]:
    """A chart's values, schema and README: with the backends, and what the comments in values.yaml say.

    Raises:
        Undescribed: A value has no comment.
    """
    text = (chart / "values.yaml").read_text()
    text = re.sub(r"^backends: .*$", f"backends: [{', '.join(BACKENDS)}]", text, flags=re.MULTILINE)
    schema = json.loads((chart / "values.schema.json").read_text())
    if "backends" in schema["properties"]:
        schema["properties"]["backends"]["items"]["enum"] = list(BACKENDS)
    comments = dict(_comments(text))
    rows: list[str] = []
    _describe(schema, yaml.safe_load(text), comments, (), rows, chart.name)
    if comments:
        raise Undescribed(f"{chart.name}: values.yaml describes {sorted(comments)}, which values.schema.json lacks")
    _name(schema)
    table = "| value | default | meaning |\n|---|---|---|\n" + "".join(rows)
    readme = (chart / "README.md").read_text()
    return {
        chart / "values.yaml": text,
        chart / "values.schema.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n",
        chart / "README.md": _VALUES.sub(lambda match: match[1] + table + match[2], readme),
    }


def _kept(text: str) -> str:
    """A definition as a template: it stays when the release goes, if so wanted."""
    if "{{" in text:
        raise ValueError("a definition holds {{, which Helm would read; escape it here")
    head, separator, rest = text.partition("metadata:\n")
    name, labels, spec = rest.partition("  labels:\n")
    assert separator and labels
    return f"{head}{separator}{name}{_KEEP}{labels}{spec}"


def _versioned(text: str) -> str:
    for field in ("version", "appVersion"):
        text = re.sub(rf"^{field}: .*$", f"{field}: {__version__}", text, count=1, flags=re.MULTILINE)
    return text


def _comments(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """(path, comment right above it) of each key in a YAML text that has one."""
    lines = text.splitlines()

    def visit(node: yaml.Node, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
        if not isinstance(node, yaml.MappingNode):
            return
        for key, value in node.value:
            line, comment = key.start_mark.line, []
            while line and lines[line - 1].lstrip().startswith("#"):
                line -= 1
                comment.append(lines[line].lstrip().lstrip("#").strip())
            inside = (*path, str(key.value))
            if comment and lines[key.start_mark.line].lstrip().startswith(key.value):
                yield inside, " ".join(reversed(comment))
            yield from visit(value, inside)

    root = yaml.compose(text)
    if root is not None:
        yield from visit(root, ())


def _describe(
    schema: dict[str, Any],
    value: Any,
    comments: dict[tuple[str, ...], str],
    path: tuple[str, ...],
    rows: list[str],
    chart: str,
) -> None:
    """Put comments into the schema, and a row for each value."""
    for name, part in schema.get("properties", {}).items():
        inside = (*path, name)
        if not isinstance(value, dict) or name not in value:
            continue  # described in the schema itself: it has no default
        comment = comments.pop(inside, "")
        # A value whose parts have no comments of their own is shown whole.
        nested = "properties" in part and any(place[: len(inside)] == inside for place in comments)
        if not comment and not nested:
            raise Undescribed(f"{chart}: values.yaml: {'.'.join(inside)} has no comment above it")
        if comment:
            part.pop("description", None)
            part["description"] = comment
        if not nested:
            shown = json.dumps(value[name], ensure_ascii=False).replace("|", "\\|")
            rows.append(f"| `{'.'.join(inside)}` | `{shown}` | {comment} |\n".replace('| `""` |', "| |"))
            continue
        if comment:
            rows.append(f"| `{'.'.join(inside)}` | | {comment} |\n")
        _describe(part, value[name], comments, inside, rows, chart)


def _name(schema: Any) -> None:
    """Say in closed objects which fields there are: Helm's error for a wrong one shows them."""
    if isinstance(schema, list):
        for alternative in schema:
            _name(alternative)
    elif isinstance(schema, dict):
        if schema.get("additionalProperties") is False and isinstance(schema.get("properties"), dict):
            schema["propertyNames"] = {"enum": sorted(schema["properties"])}
        for alternative in schema.values():
            _name(alternative)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
