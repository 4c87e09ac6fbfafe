"""Find one question's record among a run's transcripts."""

import logging
from collections.abc import Iterator
from functools import partial

from agentark.debate import Record, read_shard
from agentark.errors import InvalidInput, StoreError
from agentark.store import RunRecord, Store, readable, stage_path

_log = logging.getLogger(__name__)


def find_record(store: Store, run: RunRecord, *, stage_name: str, question: str) -> Record | None:
    """The record of a question; without an id the first that began in disagreement and ended in agreement.

    Shards that cannot be read are passed over with a warning.

    Raises:
        InvalidInput: The run has no such stage.
        StoreError: The question is in no shard that can be read, and some cannot be.
    """
    stage = next((stage for stage in run.stages if stage.name == stage_name), None)
    if stage is None or stage.kind not in ("debate", "evaluate"):
        names = ", ".join(stage.name for stage in run.stages if stage.kind in ("debate", "evaluate"))
        raise InvalidInput(f"run {run.run_id} has no transcripts of {stage_name!r}; there are: {names}")
    first: Record | None = None
    unreadable = []
    for entry in store.entries(stage_path(stage.kind, stage.key, "records", "shards")):
        records = _records(store, entry.path)
        while (record := readable(partial(_next, records))) is not None:
            if isinstance(record, StoreError):
                _log.warning("passed over: %s", record)
                unreadable.append(record)
                break
            first = first or record
            if record.id == question or (not question and record.consensus and record.rounds > 1):
                return record
    if unreadable and (question or first is None):
        what = f"question {question!r} is" if question else "there are questions"
        raise StoreError(f"{what} in no shard that can be read: " + "\n".join(map(str, unreadable)))
    return first if not question else None


def _next(records: Iterator[Record]) -> Record | None:
    return next(records, None)


def _records(store: Store, path: str) -> Iterator[Record]:
    yield from read_shard(store.read(path), source=path)
