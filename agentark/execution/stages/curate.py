"""The `curate` stage: verified traces of a debate become rows to train on."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from agentark.api import Prompts
from agentark.curate import MethodCuration, curate
from agentark.debate import read_records
from agentark.execution.context import StageContext, StageResult
from agentark.execution.questions import stage_questions
from agentark.store import stage_path
from agentark.store.outputs import put_bytes
from agentark.tasks import policy_of

_SETTINGS = {field.alias or name for name, field in MethodCuration.model_fields.items()}


def run(context: StageContext) -> StageResult:
    """Select, filter, count, write."""
    params = context.stage.params
    debate = context.input_manifest("debate")
    total = debate.metrics["questions"]
    records = read_records(context.store, stage_path("debate", debate.key, "records"))
    curated = curate(
        _counted(context, records, total if isinstance(total, int) else 0),
        params=MethodCuration.model_validate({name: params[name] for name in _SETTINGS & params.keys()}),
        prompts=Prompts.model_validate(params["prompts"]),
        policy=policy_of(params),
        evaluation_questions=_evaluation_questions(context),
    )
    outputs = {
        "rows": put_bytes(
            context.store,
            context.output_path("rows.jsonl"),
            _lines(row.as_json() for row in curated.rows),
            rows=len(curated.rows),
        ),
        "card": put_bytes(context.store, context.output_path("card.json"), _pretty(curated.card.as_json())),
        "card.md": put_bytes(context.store, context.output_path("card.md"), curated.card.as_markdown().encode()),
    }
    if curated.held_out:
        held_out = _lines(row.as_json() for row in curated.held_out)
        outputs["held_out"] = put_bytes(
            context.store, context.output_path("held_out.jsonl"), held_out, rows=len(curated.held_out)
        )
    return StageResult(outputs, metrics={"rows": len(curated.rows), "held_out": len(curated.held_out)})


def _counted(context: StageContext, records: Iterator[Any], total: int) -> Iterator[Any]:
    for done, record in enumerate(records, 1):
        yield record
        context.progress.update(done=done, total=total)


def _evaluation_questions(context: StageContext) -> Iterator[str]:
    for name, suite in context.stage.params["suites"].items():
        pin = context.pin(context.stage.settings["suites"][name])
        for question in stage_questions(pin, task_name=suite["task"], limit=suite["limit"]):
            yield question.text


def _lines(rows: Iterable[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _pretty(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode()
