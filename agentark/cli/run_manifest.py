"""`agentark run`: execute a manifest on this machine."""

import os
import signal
from typing import Annotated, Any

import typer

from agentark.cli.curves import render_course
from agentark.cli.display import Display
from agentark.cli.options import JsonOption, ManifestOption, StoreOption, plans_of
from agentark.cli.output import say, say_json
from agentark.cli.rounds import render_gates
from agentark.cli.tables import columns
from agentark.devices import has_gpu
from agentark.errors import AgentArkError, Interrupted, InvalidInput, Unavailable
from agentark.execution.local import StageStatus, run_plan
from agentark.planning import Plan, run_record
from agentark.reports.curves import read_courses
from agentark.reports.results import (
    places,
    plan_stages,
    read_decision,
    read_gates,
    read_results,
    read_table,
    student_stage,
)
from agentark.store import Store, write_run


def run(
    file: ManifestOption,
    store: StoreOption = "",
    jobs: Annotated[
        int, typer.Option("--jobs", min=0, help="Stages side by side; 0: one with a GPU, else one per core up to two.")
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Run a manifest stage by stage; what is already in the store is not run again.

    Ctrl-C stops at a point from which the same command goes on; a second Ctrl-C stops at once.
    """
    side_by_side = jobs or (1 if has_gpu() else min(2, os.cpu_count() or 1))
    documents = []
    for plan, opened in plans_of(file, store):
        statuses = _run_one(plan, opened, side_by_side, as_json)
        if as_json:
            documents.append(_document(plan, opened, statuses))
        else:
            _show(plan, opened)
    if as_json:
        say_json(documents if len(documents) != 1 else documents[0])


def _run_one(plan: Plan, store: Store, jobs: int, as_json: bool) -> dict[str, StageStatus]:
    signals: list[int] = []

    def remember(signum: int, frame: object) -> None:
        signals.append(signum)
        if len(signals) > 1:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    write_run(store, run_record(plan))
    try:
        with Display(plan, quiet=as_json) as display:
            statuses = run_plan(plan, store, jobs=jobs, observe=display.update, should_stop=lambda: bool(signals))
    except KeyboardInterrupt:
        raise Interrupted("stopped at once; run the same command again to go on from here") from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if signals:
        raise Interrupted("interrupted; run the same command again to go on from here")
    failed = [status for status in statuses.values() if status.state in ("Failed", "Interrupted")]
    if failed:
        # Stages that nothing else had to come before may be refused for one and the same.
        stages: dict[str, list[str]] = {}
        for status in failed:
            stages.setdefault(status.message, []).append(status.stage.name)
        text = "\n".join(f"stage {', '.join(names)}: {message}" for message, names in stages.items())
        # Of one kind if all are: whoever started this needs to know whether to change something, to wait, or to look.
        codes = {status.exit_code for status in failed}
        kind = next((error for error in (InvalidInput, Unavailable) if codes == {error.exit_code}), AgentArkError)
        raise kind(text)
    return statuses


def _show(plan: Plan, store: Store) -> None:
    stages = plan_stages(plan)
    for course in read_courses(store, stages):
        say(f"\n{render_course(course)}")
    if gates := read_gates(store, stages):
        say(f"\n{render_gates(gates)}")
    say(f"\n{read_table(store, stages)}")
    if decided := read_decision(store, stages):
        say(f"Release {decided.decision}\n")
    say(columns(places(store, stages)))
    run = plan.name if plan.namespace == "default" else f"{plan.name} -n {plan.namespace}"
    say(f"\n  agentark show {run}              the table again\n  agentark transcript {run}        a debate to read")
    if any(stage.kind == "prm" for stage in stages):
        say(f"  agentark prm show {run}          solutions with scored steps")
    if student_stage(stages) is not None:
        say(f'  agentark ask {run} "QUESTION"   ask the student')


def _document(plan: Plan, store: Store, statuses: dict[str, StageStatus]) -> dict[str, Any]:
    decided = read_decision(store, plan_stages(plan))
    return {
        "run_id": plan.run_id,
        "name": plan.name,
        "store": store.uri,
        "stages": [
            {
                "name": status.stage.name,
                "kind": status.stage.kind,
                "key": key,
                "state": status.state,
                "seconds": status.seconds,
                "outcome": list(status.outcome),
            }
            for key, status in statuses.items()
        ],
        "results": read_results(store, plan_stages(plan)),
        "release": decided.model_dump() if decided else None,
    }
