"""`agentark stage`: run one stage of a plan; what children of `agentark run` and pods execute."""

import os
from pathlib import Path
from typing import Annotated

import typer

from agentark.cli.output import say
from agentark.errors import InvalidInput
from agentark.planning import Plan, parsed_plan, read_plan
from agentark.store import Store, open_store

IN_STORE = "store:"


def stage(
    kind: Annotated[str, typer.Argument(help="Kind of the stage.")],
    plan: Annotated[str, typer.Option("--plan", help="The plan as JSON: a file, or store:PATH in the store.")],
    key: Annotated[str, typer.Option("--key", help="Key of the stage in the plan.")],
    store: Annotated[str, typer.Option("--store", help="Where results are kept.")],
) -> None:
    """Run one stage and commit its result."""
    from agentark.execution.ending import leaving_word
    from agentark.execution.launching import DIE_WITH_PARENT, die_with_parent, group_variables, launch, needs_launch
    from agentark.execution.running import run_stage
    from agentark.execution.shares import share_of

    if os.environ.get(DIE_WITH_PARENT):
        die_with_parent()
    with leaving_word(os.environ):
        for name in group_variables(os.environ):
            del os.environ[name]
        parsed, opened = _opened(plan, store)
        planned = next(
            (candidate for candidate in parsed.stages if (candidate.kind, candidate.key) == (kind, key)), None
        )
        if planned is None:
            raise InvalidInput(f"{plan} has no stage {kind} {key}; it has {_named(parsed)}")
        if needs_launch(planned, os.environ):
            launch(planned, ["stage", kind, "--plan", plan, "--key", key, "--store", store], os.environ)
            return
        share = share_of(kind, os.environ)
        if run_stage(parsed, key, opened, share) is None and not share.is_all:
            say(f"worker {share.index} of {share.workers} is done; the last one commits stage {planned.name}")


def _opened(plan: str, store: str) -> tuple[Plan, Store]:
    """The plan and its store; one that lies in the store cannot say where that is, so the environment does."""
    if plan.startswith(IN_STORE):
        opened = open_store(store)
        return read_plan(opened, plan.removeprefix(IN_STORE)), opened
    try:
        content = Path(plan).read_bytes()
    except OSError as error:
        raise InvalidInput(f"--plan {plan}: cannot be read: {error.strerror}; give a file, or store:PATH") from None
    parsed = parsed_plan(content, f"--plan {plan}")
    source = parsed.manifest["spec"].get("store") or {}
    return parsed, open_store(store, endpoint=source.get("endpoint") or "", region=source.get("region", ""))


def _named(plan: Plan) -> str:
    return ", ".join(f"{stage.kind} {stage.key}" for stage in plan.stages)
