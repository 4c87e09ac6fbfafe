"""The processes of one training: how they part."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def leaving_process_group() -> Iterator[None]:
    """Leave, at the end of the block, the process group of torch that was joined inside it.

    A process that exits while it is still a member races with the threads of its own group: now and then the C++
    runtime then ends it with SIGABRT, after all its work was done. Loads no torch where nothing else has.
    """
    joined_before = _joined()
    try:
        yield
    finally:
        if _joined() and not joined_before:
            from accelerate.state import AcceleratorState

            sys.modules["torch"].distributed.destroy_process_group()
            # Accelerate remembers the group for the whole process; the next training here has to join anew.
            AcceleratorState._reset_state(reset_partial_state=True)


def _joined() -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized()
