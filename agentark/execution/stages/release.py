"""The `release` stage: the student is published when it passes its gates; a refusal is a result as well."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from agentark.api import Gate, Release
from agentark.debate import read_records
from agentark.evaluate import Subject, score
from agentark.execution.context import StageContext, StageResult
from agentark.planning import Plan, Stage
from agentark.release import (
    Current,
    GateOutcome,
    Lineage,
    ReleasedModel,
    ReleasedScore,
    ReleasedVersion,
    UpstreamStage,
    VersionContent,
    hold,
    publish,
    refusal,
    subjects_of,
)
from agentark.release.gates import Answers
from agentark.release.registry import release_path
from agentark.store import Output, Store, stage_path
from agentark.store.stages import now
from agentark.tasks import policy_of


def run(context: StageContext) -> StageResult:
    """Hold the gates against the evaluation's answers, and publish the model when all are passed."""
    wanted = Release.model_validate_json(json.dumps(context.stage.params))
    outcomes = [hold(gate, _answers(context, gate)) for gate in wanted.gates]
    metrics: dict[str, Any] = {
        "name": wanted.name,
        "gates": [asdict(outcome) | {"failures": list(outcome.failures)} for outcome in outcomes],
    }
    refused = refusal(outcomes)
    if refused:
        decision = f"{wanted.name}: {refused}"
        return StageResult({}, metrics=metrics | {"released": False, "decision": decision})
    version, current = publish(context.store, _content(context, wanted.name, outcomes))
    metrics |= {"released": True, "version": version.version, "digest": version.digest}
    metrics["decision"] = decision_line(version, current)
    return StageResult({"record": _record(context.store, version)}, metrics=metrics)


def decision_line(version: ReleasedVersion, current: Current) -> str:
    """What was released, and whether it is served from now on."""
    passed = f", gates passed: {len(version.gates)}" if version.gates else ", no gates asked"
    line = f"{version.name}: released as version {version.version} ({version.digest[:19]}){passed}"
    if current.version == version.version:
        return line
    why = "which is pinned" if current.pinned else "which is newer"
    return f"{line}; the current version stays {current.version}, {why}"


def subject_of(role: str, subjects: Sequence[str]) -> str:
    """The subject of a suite that stands for a role: where both decodings are measured, the greedy one."""
    return role if role in subjects else f"{role}-sampled"


def _answers(context: StageContext, gate: Gate) -> dict[str, Answers]:
    """Subject -> its answers to the gate's suite, graded as the comparison grades them."""
    compare = context.plan.stage(context.stage.inputs["compare"])
    names: list[str] = compare.params["subjects"][gate.suite]
    policy = policy_of(compare.params["suites"][gate.suite])
    found: dict[str, Answers] = {}
    for role in subjects_of(gate):
        name = subject_of(role, names)
        evaluated = context.plan.stage(compare.inputs[f"{gate.suite}/{name}"])
        records = read_records(context.store, stage_path(evaluated.kind, evaluated.key, "records"))
        graded = score(Subject(name, name, records), policy).per_question
        found[role] = {question: value == 1 for question, value in graded.items()}
    return found


def _content(context: StageContext, name: str, outcomes: Sequence[GateOutcome]) -> VersionContent:
    model = context.input_manifest("model").outputs["model"]
    results = json.loads(context.input_output("compare", "results").read_bytes())
    return VersionContent(
        name=name,
        digest=f"sha256:{model.sha256}",
        model=ReleasedModel(path=model.path, uri=f"{context.store.uri}/{model.path}", bytes=model.bytes),
        scores=scores_of(results),
        gates=tuple(outcomes),
        lineage=lineage_of(context.plan, context.stage),
        created_at=now(),
    )


def _record(store: Store, version: ReleasedVersion) -> Output:
    path = release_path(version.name, f"{version.version}.json")
    data = store.read(path)
    return Output(path=path, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))


def scores_of(results: Mapping[str, Any]) -> tuple[ReleasedScore, ...]:
    """The accuracies of all subjects, as the comparison measured them."""
    return tuple(
        ReleasedScore(suite=suite, subject=row["name"], value=row["accuracy"], **row["interval"])
        for suite, table in results["suites"].items()
        for row in table["subjects"]
    )


def lineage_of(plan: Plan, stage: Stage) -> Lineage:
    """Where a model comes from: everything in the plan leads to the release."""
    return Lineage(
        run_id=plan.run_id,
        kind=plan.kind,
        namespace=plan.namespace,
        name=plan.name,
        stage_key=stage.key,
        stages=tuple(
            UpstreamStage(
                kind=one.kind, name=one.name, key=one.key, manifest=stage_path(one.kind, one.key, "manifest.json")
            )
            for one in plan.stages
            if one.key != stage.key
        ),
        pins={uri: pin.identity for uri, pin in plan.pins.items()},
    )
