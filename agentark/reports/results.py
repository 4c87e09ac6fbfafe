"""What a run leaves for people: its record, its table, and where everything lies."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from agentark.api import DistillJobSpec
from agentark.errors import InvalidInput, StoreError
from agentark.planning import Plan, run_record
from agentark.store import RunRecord, RunStage, StageManifest, Store, read_manifest, stage_path

_Model = TypeVar("_Model", bound=BaseModel)


def stage_manifest(store: Store, stages: tuple[RunStage, ...], name: str) -> StageManifest | None:
    """The manifest of the stage of a run that has a name; None when there is none or it has not finished."""
    stage = next((stage for stage in stages if stage.name == name), None)
    return read_manifest(store, stage.kind, stage.key) if stage else None


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


class _Debate(BaseModel):
    """The metrics of a debate that was added up, its usage among them."""

    questions: int
    failed: int = 0
    with_gold: int
    agents_right: float | None = None
    vote_right: float | None = None
    agreement: float
    replies: int
    cut: int
    empty: int
    filtered: int
    warning: str = ""
    prompt_tokens: float
    completion_tokens: float


def debate_lines(store: Store, manifest: StageManifest) -> tuple[str, ...]:
    """What a debate came to, a line, and a second one that warns where many of its replies could not count.

    Empty for other stages, and for debates of versions that did not add it up.

    Raises:
        StoreError: The manifest's metrics are not those of a debate.
    """
    if manifest.kind != "debate" or "replies" not in manifest.metrics:
        return ()
    debate = _metrics(store, manifest, _Debate, {**manifest.metrics, **manifest.usage})
    parts = [f"{debate.questions:,} questions" + (f", {debate.failed:,} failed" if debate.failed else "")]
    if debate.agents_right is not None and debate.vote_right is not None:
        parts.append(f"agents right {debate.agents_right:.1%}, vote right {debate.vote_right:.1%}")
    parts.append(f"all agree {debate.agreement:.1%}")
    ends = f"{debate.cut:,} cut, {debate.empty:,} empty, {debate.filtered:,} filtered"
    parts.append(f"{debate.replies:,} replies, of them {ends}")
    lines = ("; ".join([*parts, f"{debate.prompt_tokens + debate.completion_tokens:,.0f} tokens"]),)
    return (*lines, f"WARNING: {debate.warning}") if debate.warning else lines


def student_stage(stages: tuple[RunStage, ...]) -> RunStage | None:
    """The stage whose model is the run's result: the last gate, or the last one of the chain of methods."""
    return next((stage for stage in reversed(stages) if stage.name.startswith(("distill/", "gate/"))), None)


class Gate(BaseModel):
    """What a gate of an evolution decided, as `agentark.execution.stages.gate` writes it."""

    model_config = ConfigDict(frozen=True, extra="allow")

    round: int
    accepted: bool | None = None
    """None where it was not run, since an earlier one had turned its student away."""
    questions: int = 0
    before: float = 0.0
    """Share of the held-out questions that the earlier student answers right, 0 to 1."""
    after: float = 0.0
    lost: int = 0
    gained: int = 0
    p: float = 1.0


class Decision(BaseModel):
    """What a release stage decided: the gates' figures beside it."""

    model_config = ConfigDict(frozen=True, extra="allow")

    released: bool
    decision: str
    """A line for a person."""


def read_gates(store: Store, stages: tuple[RunStage, ...]) -> list[Gate]:
    """What the finished gates of a run decided, round by round.

    Raises:
        StoreError: A manifest's metrics are not those of a gate.
    """
    manifests = [read_manifest(store, "gate", stage.key) for stage in stages if stage.kind == "gate"]
    return [_metrics(store, manifest, Gate, manifest.metrics) for manifest in manifests if manifest]


def read_decision(store: Store, stages: tuple[RunStage, ...]) -> Decision | None:
    """What the release stage of a run decided.

    None for a run that releases nothing, or one that has not got there.

    Raises:
        StoreError: The manifest's metrics are not those of a release.
    """
    manifest = stage_manifest(store, stages, "release")
    return _metrics(store, manifest, Decision, manifest.metrics) if manifest else None


def _metrics(store: Store, manifest: StageManifest, model: type[_Model], metrics: Mapping[str, Any]) -> _Model:
    try:
        return model.model_validate(metrics)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        folder = stage_path(manifest.kind, manifest.key)
        raise StoreError(
            f"store {store.uri}: the metrics of {folder}/manifest.json cannot be read "
            f"({'.'.join(map(str, first['loc']))}: {first['msg']}); delete {folder} to run it again"
        ) from None


def places(store: Store, stages: tuple[RunStage, ...]) -> list[tuple[str, str]]:
    """(label, address) of everything that a person may want to open next."""
    base = store.uri.removeprefix("file:").rstrip("/")
    debate = _first(stages, kind="debate")
    curation = next((stage for stage in stages if stage.name.startswith("curate/")), None)
    addresses = []
    if debate is not None and read_manifest(store, "debate", debate.key):
        addresses.append(("transcripts", f"{base}/{stage_path('debate', debate.key, 'records', 'shards')}"))
    outputs: list[tuple[str, RunStage | None, str]] = [
        ("training data", curation, "rows"),
        ("data card", curation, "card.md"),
        ("reward model", _first(stages, kind="prm"), "model"),
        ("student", student_stage(stages), "model"),
        ("results", _first(stages, kind="compare"), "results"),
        ("release", _first(stages, kind="release"), "record"),
    ]
    for label, stage, name in outputs:
        manifest = read_manifest(store, stage.kind, stage.key) if stage else None
        if manifest is not None and name in manifest.outputs:
            addresses.append((label, f"{base}/{manifest.outputs[name].path}"))
    return addresses


def _first(stages: tuple[RunStage, ...], *, kind: str) -> RunStage | None:
    return next((stage for stage in stages if stage.kind == kind), None)


def plan_stages(plan: Plan) -> tuple[RunStage, ...]:
    """A plan's stages as a run record holds them."""
    return run_record(plan).stages
