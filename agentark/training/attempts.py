"""One attempt at a training: where it goes on from, and what its failures mean to a user."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import TrainingArguments

from agentark.errors import AgentArkError, Interrupted
from agentark.store import sha256_file, sha256_tree
from agentark.training.checkpoints import Checkpoint, Checkpoints

_log = logging.getLogger(__name__)


@contextmanager
def failures(arguments: TrainingArguments, longest: int) -> Iterator[None]:
    """Say what to do about a lack of memory or disk.

    Args:
        arguments: Of the trainer.
        longest: Most tokens of a row.

    Raises:
        AgentArkError: In place of what torch and the file system raise.
    """
    try:
        yield
    except (MemoryError, OSError, RuntimeError, SafetensorError) as error:
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            rows = arguments.per_device_train_batch_size
            raise AgentArkError(
                f"training: out of memory on {arguments.device} with {rows} rows of up to {longest} tokens at once; "
                "lower maxLengthTokens, train adapters (lora), use BFloat16, or take a larger device"
            ) from error
        # torch.save reports a write that failed as a RuntimeError of its zip writer.
        if isinstance(error, OSError | SafetensorError) or "inline_container" in str(error):
            raise AgentArkError(
                f"training: cannot write below {arguments.output_dir}: {error}; free space there and run it again"
            ) from error
        raise


def begin(should_stop: Callable[[], bool]) -> None:
    """Let a training meet its other processes, unless it was told to stop by now.

    Who waits for the others cannot be told any more, and they may be on their way out too: no longer there to be met.

    Raises:
        Interrupted: It was told to stop.
    """
    if should_stop():
        raise Interrupted("training: stopped before it had begun; run it again to go on")


def identity_of(sources: Mapping[str, Any]) -> str:
    """Digest of all that decides the course of a training; how often it is saved and on how many processes is not.

    Args:
        sources: Folders and files that it reads, by their content, and plain JSON data.
    """
    found = {name: _content(part) if isinstance(part, Path) else part for name, part in sources.items()}
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def _content(path: Path) -> str:
    return sha256_tree(path) if path.is_dir() else sha256_file(path)


def restore(checkpoints: Checkpoints, identity: str, folder: Path, arguments: TrainingArguments) -> Checkpoint | None:
    """Put the latest undamaged checkpoint of this training into `folder` on every machine; None if there is none.

    Raises:
        AgentArkError: If it is damaged while other machines read it.
    """
    found: list[Checkpoint | None] = [None]
    if arguments.process_index == 0:
        found = [checkpoints.restore_first(checkpoints.find(identity), folder)]
        if found[0] is not None:
            _log.info("going on from the checkpoint of step %d", found[0].step)
    if arguments.world_size > 1:
        torch.distributed.broadcast_object_list(found, src=0, device=arguments.device)
        elsewhere = arguments.local_process_index == 0 and arguments.process_index != 0
        if found[0] is not None and elsewhere and not checkpoints.restore(found[0], folder):
            raise AgentArkError(f"training: checkpoint {found[0].name} was damaged while it was read; run it again")
        torch.distributed.barrier()
    return found[0]
