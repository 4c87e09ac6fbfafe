"""A debate whose shards several workers write: the size of a share, and the whole once all shards are there."""

import json

from agentark.debate.running import Summary
from agentark.debate.shards import SHARD_SIZE, Tally
from agentark.debate.transcript import shard_lines, shard_path
from agentark.store import Share, Store


def questions_of(share: Share, total: int) -> int:
    """How many of all questions are a worker's."""
    firsts = range(share.index * SHARD_SIZE, total, share.workers * SHARD_SIZE)
    return sum(min(SHARD_SIZE, total - first) for first in firsts)


def whole_summary(store: Store, prefix: str, *, total: int) -> Summary | None:
    """What all workers made together, whoever paid for it; None while a shard is missing.

    Args:
        store: Where the shards are.
        prefix: Folder of the debate, as `run_questions` takes it.
        total: Questions of the data set.

    Raises:
        StoreError: A shard cannot be read.
    """
    wanted = [shard_path(prefix, index) for index in range(-(-total // SHARD_SIZE))]
    if not {entry.path for entry in store.entries(f"{prefix}/shards")}.issuperset(wanted):
        return None
    tally = Tally()
    for path in wanted:
        for line in shard_lines(store.read(path), source=path):
            row = json.loads(line)
            tally.add(row["calls"], row["prompt_tokens"], row["completion_tokens"])
    return Summary(
        questions=tally.questions,
        failed=total - tally.questions,
        calls=tally.calls,
        prompt_tokens=tally.prompt_tokens,
        completion_tokens=tally.completion_tokens,
        shards=tuple(wanted),
        errors=(),
    )
