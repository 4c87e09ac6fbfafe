"""`agentark runs`: what was run."""

from typing import Annotated, Any

import typer

from agentark.cli.options import JsonOption, StoreOption, store_of
from agentark.cli.output import say, say_json
from agentark.cli.tables import columns
from agentark.execution.results import read_results
from agentark.store import RunRecord, Store, list_runs, read_manifest


def runs(
    store: StoreOption = "",
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Only of this namespace. [default: all]")] = "",
    as_json: JsonOption = False,
) -> None:
    """List the runs of a store, newest first."""
    opened, _ = store_of(None, store)
    rows = [_row(opened, record) for record in list_runs(opened, namespace=namespace or None)]
    if as_json:
        say_json(rows)
        return
    if not rows:
        where = f"{opened.uri}, namespace {namespace}" if namespace else opened.uri
        say(f"no runs in {where}; start one with: agentark run -f MANIFEST")
        return
    headings = ["run", "created", "stages", "state", "score"]
    if any(row["namespace"] != "default" for row in rows):
        headings.insert(0, "namespace")
    table = [
        tuple(heading.upper() for heading in headings),
        *(tuple(str(row[name]) for name in headings) for row in rows),
    ]
    say(columns(table, indent=""))


def _row(store: Store, record: RunRecord) -> dict[str, Any]:
    done = sum(read_manifest(store, stage.kind, stage.key) is not None for stage in record.stages)
    results = read_results(store, record.stages) or {"suites": {}}
    score = "-"
    for table in results["suites"].values():
        student = next((row for row in table["subjects"] if row["name"] == "student"), None)
        if student is not None:
            score = f"{student['accuracy']:.3f}"
            break
    return {
        "run": record.run_id,
        "name": record.name,
        "namespace": record.namespace,
        "created": record.created_at[:19].replace("T", " "),
        "stages": f"{done}/{len(record.stages)}",
        "state": "complete" if done == len(record.stages) else "incomplete",
        "score": score,
    }
