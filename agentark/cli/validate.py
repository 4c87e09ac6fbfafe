"""`agentark validate`: every error of every document, at once."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from agentark.api import InvalidManifest, check_manifest
from agentark.cli.options import JsonOption
from agentark.cli.output import say, say_json


def validate(
    file: Annotated[list[Path], typer.Option("--file", "-f", help="Manifest; may be given several times.")],
    as_json: JsonOption = False,
) -> None:
    """Check manifests: list all errors with line, field, what was found and what is accepted."""
    resources, issues = [], []
    for path in file:
        documents, wrong = check_manifest(path)
        resources += documents
        issues += wrong
    if as_json:
        names = [{"kind": resource.kind, "name": resource.metadata.name} for resource in resources]
        say_json({"valid": not issues, "resources": names, "issues": [asdict(issue) for issue in issues]})
        if issues:
            raise typer.Exit(2)
        return
    if issues:
        raise InvalidManifest(issues)
    for resource in resources:
        say(f"{resource.kind} {resource.metadata.name}: valid")
