"""`agentark stage`: run one stage of a plan; what children of `agentark run` and pods execute."""

import os
from pathlib import Path
from typing import Annotated

import typer

from agentark.errors import InvalidInput


def stage(
    kind: Annotated[str, typer.Argument(help="Kind of the stage.")],
    plan: Annotated[Path, typer.Option("--plan", help="The plan as JSON.")],
    key: Annotated[str, typer.Option("--key", help="Key of the stage in the plan.")],
    store: Annotated[str, typer.Option("--store", help="Where results are kept.")],
) -> None:
    """Run one stage and commit its result."""
    from agentark.execution.local import DIE_WITH_PARENT, die_with_parent
    from agentark.execution.running import run_stage
    from agentark.planning import Plan
    from agentark.store import open_store

    if os.environ.get(DIE_WITH_PARENT):
        die_with_parent()
    parsed = Plan.model_validate_json(plan.read_bytes())
    if not any(stage.key == key and stage.kind == kind for stage in parsed.stages):
        raise InvalidInput(f"{plan} has no stage {kind} {key}")
    source = parsed.manifest["spec"].get("store") or {}
    run_stage(parsed, key, open_store(store, endpoint=source.get("endpoint") or "", region=source.get("region", "")))
