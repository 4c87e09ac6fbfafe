"""The questions of a stage, streamed from wherever its data set lies."""

from collections.abc import Iterator
from pathlib import Path

from agentark.errors import InvalidInput
from agentark.planning import Pin
from agentark.store import sha256_file
from agentark.tasks import Question, read_questions, task
from agentark.tasks.sources import StoreOptions, open_lines


def stage_questions(pin: Pin, *, task_name: str, limit: int | None, needs_gold: bool = True) -> Iterator[Question]:
    """Read the questions at a pinned address.

    Raises:
        InvalidInput: A row is wrong (one without a gold answer is, where it is needed), or the file changed since the
            run was planned.
    """
    address = pin.path or pin.uri
    if pin.path and (found := f"sha256:{sha256_file(Path(pin.path))}") != pin.identity:
        raise InvalidInput(f"{pin.uri} changed since the run was planned ({pin.identity} -> {found}); run again")
    lines = open_lines(address, base=Path("/"), store=StoreOptions(pin.endpoint, pin.region))
    return read_questions(task(task_name), lines, source=pin.uri, limit=limit, needs_gold=needs_gold)
