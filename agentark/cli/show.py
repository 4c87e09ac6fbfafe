"""`agentark show`: what a run found."""

import json
from typing import Annotated

import typer

from agentark.cli.curves import render_course
from agentark.cli.options import JsonOption, NamespaceOption, StoreOption, store_of
from agentark.cli.rounds import render_gates
from agentark.cli.tables import columns
from agentark.execution.curves import read_courses
from agentark.execution.results import debate_lines, places, read_decision, read_gates, read_results, read_table
from agentark.store import read_manifest, read_run


def show(
    run: Annotated[str, typer.Argument(help="Name or id of a run.")],
    store: StoreOption = "",
    namespace: NamespaceOption = "default",
    as_json: JsonOption = False,
) -> None:
    """Show a run: its stages, its results, and where everything lies."""
    opened, _ = store_of(None, store)
    record = read_run(opened, run, namespace=namespace)
    manifests = {stage.key: read_manifest(opened, stage.kind, stage.key) for stage in record.stages}
    if as_json:
        stages = [
            stage.model_dump() | {"manifest": found.model_dump() if (found := manifests[stage.key]) else None}
            for stage in record.stages
        ]
        courses = {course.name: course.history for course in read_courses(opened, record.stages)}
        document = record.model_dump() | {"stages": stages, "results": read_results(opened, record.stages)}
        document |= {"courses": courses, "gates": read_gates(opened, record.stages)}
        document["release"] = read_decision(opened, record.stages)
        typer.echo(json.dumps(document))
        return
    typer.echo(f"Run {record.run_id}, created {record.created_at}\n")
    rows = [("STAGE", "KEY", "STATE", "SECONDS", "TOKENS")]
    for stage in record.stages:
        found = manifests[stage.key]
        usage = found.usage if found else {}
        skipped = found is not None and "ended" in found.metrics and not found.outputs
        tokens = sum(value for name, value in usage.items() if name.endswith("_tokens"))
        rows.append(
            (
                stage.name,
                stage.key,
                ("skipped" if skipped else "done") if found else "not yet",
                f"{usage['seconds']:.1f}" if "seconds" in usage else "-",
                f"{tokens:,.0f}" if tokens else "-",
            )
        )
    typer.echo(columns(rows, right_from=3))
    for stage in record.stages:
        for line in debate_lines(found) if (found := manifests[stage.key]) else ():
            typer.echo(f"  {stage.name}: {line}")
    for course in read_courses(opened, record.stages):
        typer.echo(f"\n{render_course(course)}")
    if gates := read_gates(opened, record.stages):
        typer.echo(f"\n{render_gates(gates)}")
    typer.echo(f"\n{read_table(opened, record.stages)}")
    if decided := read_decision(opened, record.stages):
        typer.echo(f"Release {decided['decision']}\n")
    typer.echo(columns(places(opened, record.stages)))
