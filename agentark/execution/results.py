"""What a run leaves for people: its record, its table, and where everything lies."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from agentark.api import DistillJobSpec
from agentark.errors import InvalidInput, StoreError
from agentark.planning import Plan, run_record
from agentark.store import Output, RunRecord, RunStage, StageManifest, Store, read_manifest, stage_path


def stage_manifest(store: Store, stages: tuple[RunStage, ...], name: str) -> StageManifest | None:
    """The manifest of the stage of a run that has a name; None when there is none or it has not finished."""
    found = next((stage for stage in stages if stage.name == name), None)
    return read_manifest(store, found.kind, found.key) if found else None


def distill_spec(run: RunRecord) -> DistillJobSpec:
    """The specification of the DistillJob that was run.

    Raises:
        InvalidInput: The run is of another kind, or its record holds no specification that this version reads.
    """
    kind = run.manifest.get("kind", "DistillJob")
    if kind != "DistillJob":
        raise InvalidInput(f"run {run.run_id} is one of a {kind}; name one of a DistillJob, see: agentark runs")
    try:
        return DistillJobSpec.model_validate_json(json.dumps(run.manifest.get("spec")))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(("spec", *map(str, first["loc"])))
        raise InvalidInput(
            f"run {run.run_id}: its record holds no DistillJob that this version reads ({field}: {first['msg']}); run "
            "its manifest again, what is cached is not run twice"
        ) from None


def read_results(store: Store, stages: tuple[RunStage, ...]) -> dict[str, Any] | None:
    """The comparison as JSON data; None for a run without one, or one that has not got there.

    Raises:
        StoreError: What lies there is no comparison.
    """
    manifest = stage_manifest(store, stages, "compare")
    return read_document(store, manifest, "results") if manifest else None


def read_table(store: Store, stages: tuple[RunStage, ...]) -> str:
    """The comparison as text; empty for a run without one, or one that has not got there.

    Raises:
        StoreError: What lies there is no text.
    """
    manifest = stage_manifest(store, stages, "compare")
    if manifest is None:
        return ""
    try:
        return _content(store, manifest, "table").decode()
    except UnicodeDecodeError as error:
        raise _damaged(store, manifest, "table", str(error)) from None


def student_accuracy(store: Store, stages: tuple[RunStage, ...]) -> float | None:
    """Accuracy of the student on the first suite that has it, 0 to 1; None where nothing is compared yet.

    Raises:
        StoreError: What lies there is no comparison.
    """
    manifest = stage_manifest(store, stages, "compare")
    if manifest is None:
        return None
    try:
        results = _Results.model_validate_json(_content(store, manifest, "results"))
    except ValidationError as error:
        raise _damaged(store, manifest, "results", error.errors(include_url=False)[0]["msg"]) from None
    subjects = (subject for suite in results.suites.values() for subject in suite.subjects)
    return next((subject.accuracy for subject in subjects if subject.name == "student"), None)


def read_document(store: Store, manifest: StageManifest, output: str) -> dict[str, Any]:
    """An output of a stage that is a JSON object.

    Raises:
        StoreError: The stage has no such output, or it is none.
    """
    try:
        document = json.loads(_content(store, manifest, output))
    except (ValueError, RecursionError) as error:
        raise _damaged(store, manifest, output, str(error)) from None
    if not isinstance(document, dict):
        raise _damaged(store, manifest, output, "is no object")
    return document


class _Subject(BaseModel):
    name: str
    accuracy: float


class _Suite(BaseModel):
    subjects: tuple[_Subject, ...]


class _Results(BaseModel):
    suites: dict[str, _Suite]


def _content(store: Store, manifest: StageManifest, output: str) -> bytes:
    if output not in manifest.outputs:
        raise _damaged(store, manifest, output, "its manifest does not name it")
    return store.read(manifest.outputs[output].path)


def _damaged(store: Store, manifest: StageManifest, output: str, why: str) -> StoreError:
    folder = stage_path(manifest.kind, manifest.key)
    return StoreError(
        f"store {store.uri}: output {output!r} of {folder} cannot be read ({why}); delete {folder} to run it again"
    )


def debate_lines(manifest: StageManifest) -> tuple[str, ...]:
    """What a debate came to, a line, and a second one that warns where many of its replies could not count.

    Empty for other stages, and for debates of versions that did not add it up.
    """
    found: Mapping[str, Any] = manifest.metrics
    if "replies" not in found:
        return ()
    parts = [f"{found['questions']:,} questions"]
    if found["with_gold"]:
        parts.append(f"agents right {found['agents_right']:.1%}, vote right {found['vote_right']:.1%}")
    parts.append(f"all agree {found['agreement']:.1%}")
    ends = ", ".join(f"{found[end]:,} {end}" for end in ("cut", "empty", "filtered"))
    parts.append(f"{found['replies']:,} replies, of them {ends}")
    tokens = manifest.usage["prompt_tokens"] + manifest.usage["completion_tokens"]
    lines = ["; ".join([*parts, f"{tokens:,.0f} tokens"])]
    return (*lines, f"WARNING: {found['warning']}") if "warning" in found else tuple(lines)


def student_stage(stages: tuple[RunStage, ...]) -> RunStage | None:
    """The stage whose model is the run's result: the last gate, or the last one of the chain of methods."""
    return next((stage for stage in reversed(stages) if stage.name.startswith(("distill/", "gate/"))), None)


def read_gates(store: Store, stages: tuple[RunStage, ...]) -> list[dict[str, Any]]:
    """What the finished gates of a run decided, round by round, as `agentark.execution.stages.gate` wrote it."""
    manifests = [read_manifest(store, "gate", stage.key) for stage in stages if stage.kind == "gate"]
    return [dict(manifest.metrics) for manifest in manifests if manifest]


def read_decision(store: Store, stages: tuple[RunStage, ...]) -> dict[str, Any] | None:
    """What the release stage of a run decided: `released`, `decision` (a line for a person) and the gates' figures.

    None for a run that releases nothing, or one that has not got there.
    """
    manifest = stage_manifest(store, stages, "release")
    return dict(manifest.metrics) if manifest else None


def places(store: Store, stages: tuple[RunStage, ...]) -> list[tuple[str, str]]:
    """(what, where) of everything that a person may want to open next."""
    base = store.uri.removeprefix("file:").rstrip("/")
    found = []
    debate = next((stage for stage in stages if stage.kind == "debate"), None)
    if debate is not None and read_manifest(store, "debate", debate.key):
        found.append(("transcripts", f"{base}/{stage_path('debate', debate.key, 'records', 'shards')}"))
    student = student_stage(stages)
    wanted: list[tuple[str, RunStage | None, str]] = [
        ("training data", next((stage for stage in stages if stage.name.startswith("curate/")), None), "rows"),
        ("data card", next((stage for stage in stages if stage.name.startswith("curate/")), None), "card.md"),
        ("reward model", next((stage for stage in stages if stage.kind == "prm"), None), "model"),
        ("student", student, "model"),
        ("results", next((stage for stage in stages if stage.kind == "compare"), None), "results"),
        ("release", next((stage for stage in stages if stage.kind == "release"), None), "record"),
    ]
    for what, stage, name in wanted:
        manifest = read_manifest(store, stage.kind, stage.key) if stage else None
        if manifest is not None and name in manifest.outputs:
            output: Output = manifest.outputs[name]
            found.append((what, f"{base}/{output.path}"))
    return found


def plan_stages(plan: Plan) -> tuple[RunStage, ...]:
    """A plan's stages as a run record holds them."""
    return run_record(plan).stages
