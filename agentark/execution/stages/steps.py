"""The `steps` stage: the solutions of a debate, split into steps that are labelled."""

import json
from collections.abc import Iterator
from typing import Any

from agentark.api import Prompts
from agentark.curate import leading
from agentark.curate.rows import is_held_out, single_pass_prompt
from agentark.debate import Record, read_records
from agentark.debate.rounds import agent_rounds
from agentark.errors import InvalidInput
from agentark.execution.context import StageContext, StageResult
from agentark.execution.labelling import ask_labels
from agentark.llm.chat import Message
from agentark.reward.labels import Discussion, Turn, label_discussions
from agentark.reward.rows import write_rows
from agentark.reward.steps import SplitRule, choose_rule
from agentark.store import stage_path
from agentark.store.outputs import put_bytes
from agentark.tasks import Policy, grade, policy_of
from agentark.tasks.critiques import PeerNames


def run(context: StageContext) -> StageResult:
    """Label, count, write."""
    params = context.stage.params
    debate = context.input_manifest("debate")
    total = debate.metrics["questions"]
    records = read_records(context.store, stage_path("debate", debate.key, "records"))
    discussions = list(_discussions(context, records, total if isinstance(total, int) else 0))
    rule = _rule(params["steps"], discussions)
    further, asked = ask_labels(context, discussions, rule, policy_of(params))
    labelled = label_discussions(discussions, rule=rule, sources=params["labels"], further=further)
    if not labelled.rows:
        raise InvalidInput(
            f"no step could be labelled: {labelled.report.solutions} solutions of {len(discussions)} questions hold "
            f"{labelled.report.steps} steps; more questions or agents give more verified solutions to compare with"
        )
    report = {"rule": rule, **labelled.report.as_json(), "asked": asked}
    outputs = {
        "rows": put_bytes(
            context.store, context.output_path("rows.jsonl"), write_rows(labelled.rows), rows=len(labelled.rows)
        ),
        "report": put_bytes(context.store, context.output_path("report.json"), json.dumps(report, indent=1).encode()),
    }
    metrics: dict[str, Any] = {"rows": len(labelled.rows), "steps": labelled.report.steps, "rule": rule}
    metrics |= {"labelled": sum(labelled.report.used.values()), "good": labelled.report.good}
    failed = sum(one["failed"] for one in asked.values())
    metrics |= {"failed": failed} if failed else {}
    calls = float(sum(one["requests"] + one["reused"] for one in asked.values()))
    return StageResult(outputs, metrics=metrics, usage={"calls": calls} if asked else {})


def _discussions(context: StageContext, records: Iterator[Record], total: int) -> Iterator[Discussion]:
    params = context.stage.params
    prompts = Prompts.model_validate(params["prompts"])
    names = PeerNames(prompts.peer)
    policy = policy_of(params)
    for done, record in enumerate(records, 1):
        gold = _label(record, params, policy)
        asked = single_pass_prompt(prompts, record.question)
        yield Discussion(
            id=record.id,
            prompt=tuple(Message("system" if one["role"] == "system" else "user", one["content"]) for one in asked),
            gold=gold or None,
            turns=tuple(_turns(record, gold, names, policy)),
            held_out=is_held_out(record.id, float(params["heldOutFraction"])),
        )
        context.progress.update(done=done, total=total)


def _label(record: Record, params: dict[str, Any], policy: Policy) -> str:
    """The answer that counts as right: the gold one, or what enough agents agree on; empty for none."""
    if "consensusThreshold" in params:
        return leading(record, policy).label(float(params["consensusThreshold"]))
    return record.gold


def _turns(record: Record, gold: str, names: PeerNames, policy: Policy) -> Iterator[Turn]:
    for number, turns in enumerate(agent_rounds(record)):
        for turn in turns:
            right = turn.complete and grade(turn.solution, gold, policy).correct if gold else None
            yield Turn(
                agent=turn.agent,
                round=number,
                solution=turn.solution,
                critique=names.own_lines(turn.critique),
                correct=right,
                complete=turn.complete,
                answer=turn.vote,
            )


def _rule(wanted: str, discussions: list[Discussion]) -> SplitRule:
    if wanted == "Auto":
        return choose_rule(turn.solution for one in discussions for turn in one.turns if turn.complete)
    rule: SplitRule = wanted  # type: ignore[assignment]  # checked by the API
    return rule
