"""`agentark digest`: what a model's folder is, for those who name it by its content."""

import os
from pathlib import Path
from typing import Annotated

import typer

from agentark.cli.output import say
from agentark.errors import InvalidInput


def digest(
    folder: Annotated[Path, typer.Argument(help="Folder of a Hugging Face model.")],
    identity: Annotated[str, typer.Option("--identity", help="What it has to be: sha256:HEX. Else exit code 2.")] = "",
) -> None:
    """Print the digest of a model's folder, as `digest` fields of manifests and charts take it."""
    from agentark.execution.ending import leaving_word
    from agentark.execution.fetching import folder_identity

    with leaving_word(os.environ):
        actual = folder_identity(folder)
        if identity and actual != identity:
            raise InvalidInput(f"{folder}: is {actual}, {identity} was asked for; restore it, or correct the digest")
    say(actual)
