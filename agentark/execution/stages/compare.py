"""The `compare` stage: all subjects of an evaluation on the same questions, side by side."""

import json
from dataclasses import asdict
from typing import Any

from agentark.debate import read_records
from agentark.evaluate import Subject, compare, render_rounds, render_text, score, score_rounds
from agentark.evaluate.abilities import Abilities, abilities, render_abilities
from agentark.evaluate.self_correction import SelfCorrection, render_corrections, self_correction
from agentark.execution.context import StageContext, StageResult
from agentark.store import StageManifest, stage_path
from agentark.store.outputs import put_bytes
from agentark.tasks import policy_of

_LABELS = {
    "base": "base, single pass",
    "base-sampled": "base, single pass, sampled",
    "debate": "debate",
    "self-review": "own solution shown as the peers'",
    "student": "STUDENT, single pass",
    "student-sampled": "STUDENT, single pass, sampled",
    "own-answers": "trained without debate",
    "answer-only": "trained on answers only",
    "outcome-only": "trained without step rewards",
}

_TOLD = ("base", "student")  # of whose single passes the text tells; the JSON has all


def run(context: StageContext) -> StageResult:
    """Grade, compare, write the table as JSON and as text."""
    params = context.stage.params
    suites: dict[str, Any] = {}
    texts = []
    subjects = sum(len(names) for names in params["subjects"].values())
    done = 0
    for suite, names in params["subjects"].items():
        policy = policy_of(params["suites"][suite])
        scores = []
        rounds: dict[str, Any] = {}
        corrections: dict[str, SelfCorrection] = {}
        shown: dict[str, Abilities] = {}
        for name in names:
            manifest = context.input_manifest(f"{suite}/{name}")
            prefix = stage_path(manifest.kind, manifest.key, "records")
            records = read_records(context.store, prefix)
            scored = score(Subject(name, label(name, manifest), records, wall_s=manifest.usage["seconds"]), policy)
            scores.append(scored)
            if name in ("debate", "self-review"):
                rounds[name] = score_rounds(read_records(context.store, prefix), policy)
                corrections[name] = self_correction(read_records(context.store, prefix), policy)
            elif manifest.metrics["agents"] == 1:
                shown[name] = abilities(record.turns[0].text for record in read_records(context.store, prefix))
            done += 1
            context.progress.update(done=done, total=subjects)
        table = compare(scores, names[0], debate="debate" if "debate" in names else "", seed=params["seed"])
        suites[suite] = table.as_json() | {
            "rounds": {name: [asdict(found) for found in tallied] for name, tallied in rounds.items()},
            "self_correction": {name: measured.as_json() for name, measured in corrections.items()},
            "abilities": {name: measured.as_json() for name, measured in shown.items()},
        }
        text = f"Suite {suite}: {table.questions:,} questions\n\n{render_text(table)}"
        if "debate" in rounds:
            text += f"\nThe debate, round by round\n{render_rounds(rounds['debate'])}"
            text += f"\nWhat agents did after reading their peers\n{render_corrections(corrections['debate'])}"
        told = {name: shown[name] for name in _TOLD if name in shown}
        if told:
            text += f"\nWhat the single passes show\n{render_abilities(told)}"
        texts.append(text)
    results = json.dumps({"suites": suites}, indent=1, ensure_ascii=False).encode()
    outputs = {
        "results": put_bytes(context.store, context.output_path("results.json"), results),
        "table": put_bytes(context.store, context.output_path("table.txt"), "\n".join(texts).encode()),
    }
    return StageResult(outputs, metrics=_headline(suites))


def label(name: str, manifest: StageManifest) -> str:
    """What a reader of the table sees for a subject."""
    if name == "self-consistency":
        return f"vote of {manifest.metrics['agents']} samples of the base"
    return _LABELS.get(name, name)


def _headline(suites: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{suite}/{subject['name']}": subject["accuracy"]
        for suite, table in suites.items()
        for subject in table["subjects"]
    }
