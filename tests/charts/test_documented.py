"""What is made from the code and from values.yaml is current, and every value is described wherever people look."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.charts.charting import CHARTS, ROOT

OURS = ("agentark-crds", "agentark-operator", "agentark-inference")


def test_all_is_current() -> None:
    command = [sys.executable, "charts/generate.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def described(value: Any, schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """The path of each value that is described; what is not is an error."""
    if "description" in schema:
        yield path
    parts = schema.get("properties", {}) if isinstance(value, dict) else {}
    told = {name for name, part in parts.items() if "description" in part or "properties" in part}
    assert "description" in schema or told, f"{path} is not described"
    for name in value if told else ():
        yield from described(value[name], parts[name], f"{path}.{name}".lstrip("."))


@pytest.mark.parametrize("chart", OURS)
def test_each_value_is_described_in_the_schema_and_in_the_readme(chart: str) -> None:
    values = yaml.safe_load((CHARTS / chart / "values.yaml").read_text())
    schema = json.loads((CHARTS / chart / "values.schema.json").read_text())
    readme = (CHARTS / chart / "README.md").read_text()
    paths = list(described(values, schema))
    assert paths and not [path for path in paths if f"| `{path}` |" not in readme]


@pytest.mark.parametrize("chart", OURS)
def test_no_object_takes_a_field_that_it_does_not_name(chart: str) -> None:
    def check(schema: dict[str, Any], path: str) -> None:
        parts = schema.get("properties")
        if parts and path != "global":  # which Helm hands on to charts that know other values
            assert schema.get("additionalProperties") is False or path == "extraEnv[]", path
            assert schema.get("propertyNames", {}).get("enum") == sorted(parts) or path == "extraEnv[]", path
        for name, part in (parts or {}).items():
            check(part, f"{path}.{name}".lstrip("."))
        if isinstance(schema.get("items"), dict):
            check(schema["items"], f"{path}[]")

    check(json.loads((CHARTS / chart / "values.schema.json").read_text()), "")
