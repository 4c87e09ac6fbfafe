"""`agentark crds`: the CustomResourceDefinitions of this version."""

from pathlib import Path
from typing import Annotated

import typer

from agentark.cli.output import say
from agentark.errors import AgentArkError


def crds(
    out: Annotated[Path | None, typer.Option("--out", help="Write one file per kind into this folder.")] = None,
    check: Annotated[Path | None, typer.Option("--check", help="Only see whether this folder is current.")] = None,
) -> None:
    """Print the CustomResourceDefinitions, for `kubectl apply --server-side -f -`."""
    from agentark.api.crds import render_crds

    files = render_crds()
    if check is not None:
        existing = {file.name: file.read_text() for file in check.glob("*.yaml")}
        stale = sorted(name for name in files.keys() | existing.keys() if files.get(name) != existing.get(name))
        if stale:
            raise AgentArkError(f"{check}: not current: {', '.join(stale)}; run: agentark crds --out {check}")
    elif out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (out / name).write_text(text)
    else:
        say("---\n".join(files.values()), end="")
