"""`agentark runs`: what was run."""

from typing import Annotated, Any

import typer

from agentark.cli.options import JsonOption, StoreOption, store_of
from agentark.cli.output import say, say_json
from agentark.cli.tables import columns
from agentark.reports.overview import RunSummary, summarise_runs


def runs(
    store: StoreOption = "",
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Only of this namespace. [default: all]")] = "",
    as_json: JsonOption = False,
) -> None:
    """List the runs of a store, newest first.

    What cannot be read is listed as such, and said on standard error with what to do; the exit code stays 0, as the
    list is whole.
    """
    opened, _ = store_of(None, store)
    summaries = summarise_runs(opened, namespace=namespace or None)
    for error in (error for summary in summaries for error in summary.errors):
        say(f"warning: {error}", error=True)
    rows = [_row(summary) for summary in summaries]
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


def _row(summary: RunSummary) -> dict[str, Any]:
    complete = "complete" if summary.done == summary.stages else "incomplete"
    return {
        "run": summary.run,
        "name": summary.name,
        "namespace": summary.namespace,
        "created": summary.created_at[:19].replace("T", " ") or "-",
        "stages": f"{summary.done}/{summary.stages}" if summary.stages else "-",
        "state": "unreadable" if summary.errors else complete,
        "score": "-" if summary.accuracy is None else f"{summary.accuracy:.3f}",
        "error": "\n".join(summary.errors) or None,
    }
