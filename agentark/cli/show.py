"""`agentark show`: what a run found."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, TypeVar

import typer

from agentark.cli.curves import render_course
from agentark.cli.options import JsonOption, NamespaceOption, StoreOption, store_of
from agentark.cli.output import say, say_json
from agentark.cli.rounds import render_gates
from agentark.cli.tables import columns
from agentark.errors import StoreError
from agentark.reports.curves import Course, read_courses
from agentark.reports.results import Gate, debate_lines, places, read_decision, read_gates, read_results, read_table
from agentark.store import RunRecord, RunStage, StageManifest, Store, read_manifest, read_run, readable
from agentark.terminal import printable_line

_Read = TypeVar("_Read")
_Manifests = dict[str, StageManifest | StoreError | None]
"""By key; None where a stage has not finished."""


def show(
    run: Annotated[str, typer.Argument(help="Name or id of a run.")],
    store: StoreOption = "",
    namespace: NamespaceOption = "default",
    as_json: JsonOption = False,
) -> None:
    """Show a run: its stages, its results, and where everything lies.

    What of it cannot be read is said on standard error with what to do; the rest is shown.
    """
    opened, _ = store_of(None, store)
    record = read_run(opened, run, namespace=namespace)
    manifests: _Manifests = {
        stage.key: readable(partial(read_manifest, opened, stage.kind, stage.key)) for stage in record.stages
    }
    for error in (error for error in manifests.values() if isinstance(error, StoreError)):
        say(f"warning: {error}", error=True)
    stages = tuple(stage for stage in record.stages if not isinstance(manifests[stage.key], StoreError))
    if as_json:
        say_json(_document(opened, record, manifests, stages))
        return
    say(f"Run {record.run_id}, created {record.created_at}\n")
    say(columns([("STAGE", "KEY", "STATE", "SECONDS", "TOKENS"), *_rows(record, manifests)], right_from=3))
    for stage in stages:
        manifest = manifests[stage.key]
        if isinstance(manifest, StageManifest):
            nothing: tuple[str, ...] = ()
            for line in _or_warn(partial(debate_lines, opened, manifest), nothing):
                say(printable_line(f"  {stage.name}: {line}"))
    for course in _courses(opened, stages):
        say(f"\n{render_course(course)}")
    if gates := _gates(opened, stages):
        say(f"\n{render_gates(gates)}")
    say(f"\n{_or_warn(partial(read_table, opened, stages), '')}")
    if decided := _or_warn(partial(read_decision, opened, stages), None):
        say(f"Release {decided.decision}\n")
    say(columns(places(opened, stages)))


def _document(store: Store, record: RunRecord, manifests: _Manifests, stages: tuple[RunStage, ...]) -> dict[str, Any]:
    decided = _or_warn(partial(read_decision, store, stages), None)
    return record.model_dump() | {
        "stages": [stage.model_dump() | _manifest_fields(manifests[stage.key]) for stage in record.stages],
        "results": _or_warn(partial(read_results, store, stages), None),
        "courses": {course.name: course.history for course in _courses(store, stages)},
        "gates": [gate.model_dump(exclude_unset=True) for gate in _gates(store, stages)],
        "release": decided.model_dump() if decided else None,
    }


def _manifest_fields(manifest: StageManifest | StoreError | None) -> dict[str, Any]:
    if isinstance(manifest, StoreError):
        return {"manifest": None, "error": str(manifest)}
    return {"manifest": manifest.model_dump() if manifest else None, "error": None}


def _rows(record: RunRecord, manifests: _Manifests) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for stage in record.stages:
        manifest = manifests[stage.key]
        if manifest is None or isinstance(manifest, StoreError):
            rows.append((stage.name, stage.key, "not yet" if manifest is None else "unreadable", "-", "-"))
            continue
        usage = manifest.usage
        skipped = "ended" in manifest.metrics and not manifest.outputs
        tokens = sum(value for name, value in usage.items() if name.endswith("_tokens"))
        rows.append(
            (
                stage.name,
                stage.key,
                "skipped" if skipped else "done",
                f"{usage['seconds']:.1f}" if "seconds" in usage else "-",
                f"{tokens:,.0f}" if tokens else "-",
            )
        )
    return rows


def _courses(store: Store, stages: tuple[RunStage, ...]) -> list[Course]:
    nothing: list[Course] = []
    return [course for stage in stages for course in _or_warn(partial(read_courses, store, (stage,)), nothing)]


def _gates(store: Store, stages: tuple[RunStage, ...]) -> list[Gate]:
    nothing: list[Gate] = []
    return [gate for stage in stages for gate in _or_warn(partial(read_gates, store, (stage,)), nothing)]


def _or_warn(read: Callable[[], _Read], otherwise: _Read) -> _Read:
    """What a read gives; where that cannot be used, a warning says so and what to do."""
    content = readable(read)
    if isinstance(content, StoreError):
        say(f"warning: {content}", error=True)
        return otherwise
    return content
