"""`agentark doctor`: what is installed, what can run, what is missing and how to get it."""

from dataclasses import asdict

import typer

from agentark.cli.options import JsonOption, StoreOption, store_of
from agentark.cli.output import say, say_json
from agentark.cli.tables import columns
from agentark.reports.diagnosis import Finding, diagnose


def doctor(store: StoreOption = "", as_json: JsonOption = False) -> None:
    """Check this machine: packages, engines, devices, store, free space."""
    opened, _ = store_of(None, store)
    findings = diagnose(opened)
    if as_json:
        say_json([asdict(finding) for finding in findings])
    else:
        rows = [(_mark(finding), finding.what, finding.found) for finding in findings]
        say(columns([("", "WHAT", "FOUND"), *rows], indent=""))
        for finding in findings:
            if not finding.ok and finding.mend:
                say(f"\n{finding.what}: {finding.mend}")
    if any(finding.needed and not finding.ok for finding in findings):
        raise typer.Exit(1)


def _mark(finding: Finding) -> str:
    if finding.ok:
        return "ok"
    return "MISSING" if finding.needed else "-"
