"""Find one question's record among a run's transcripts."""

from agentark.debate import Record, format_record, read_records
from agentark.errors import InvalidInput
from agentark.store import RunRecord, Store, stage_path


def find_record(store: Store, run: RunRecord, *, stage_name: str, question: str) -> Record | None:
    """The record of a question; without an id the first that began in disagreement and ended in agreement.

    Raises:
        InvalidInput: The run has no such stage.
    """
    stage = next((stage for stage in run.stages if stage.name == stage_name), None)
    if stage is None or stage.kind not in ("debate", "evaluate"):
        names = ", ".join(stage.name for stage in run.stages if stage.kind in ("debate", "evaluate"))
        raise InvalidInput(f"run {run.run_id} has no transcripts of {stage_name!r}; there are: {names}")
    first = None
    for record in read_records(store, stage_path(stage.kind, stage.key, "records")):
        first = first or record
        if record.id == question or (not question and record.consensus and record.rounds > 1):
            return record
    return first if not question else None


__all__ = ["find_record", "format_record"]
