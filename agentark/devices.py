"""Where models run, and in which numbers: the one place that decides it. torch is imported when it is asked."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Purpose = Literal["training", "inference", "writing"]
"""What weights are loaded for: to be trained, to answer and to score, or to be merged and written."""

_DEVICE_FILES = Path("/dev")


@dataclass(frozen=True, slots=True)
class Placement:
    """Where weights are loaded to."""

    device: str
    """torch device: ``cpu`` or ``cuda:N``."""
    dtype: str
    """As `from_pretrained` takes it: ``float32``, or ``auto`` for what they are stored in."""


def placement(purpose: Purpose) -> Placement:
    """Decide where weights run in this process.

    On the GPU of this process's rank where torch sees one, otherwise on the CPU. Trainings hold 32 bits, and the
    trainer computes in the precision that it is told. What only answers or scores keeps the stored type on a GPU;
    many CPUs emulate 16-bit arithmetic, so there it gets 32 bits. Writing needs memory alone, and leaves the GPU's be.
    """
    if purpose == "writing":
        return Placement("cpu", "float32")
    device = _device()
    return Placement(device, "auto" if purpose == "inference" and device != "cpu" else "float32")


def has_gpu() -> bool:
    """Whether this machine shows an NVIDIA GPU, found out without torch; a container may show any of a node's."""
    return any(_DEVICE_FILES.glob("nvidia[0-9]*"))


def _device() -> str:
    import torch

    if not torch.cuda.is_available():
        return "cpu"
    # As accelerate chooses it: ranks may see all GPUs of the machine, or each its own alone.
    return f"cuda:{int(os.environ.get('LOCAL_RANK', '0')) % torch.cuda.device_count()}"
