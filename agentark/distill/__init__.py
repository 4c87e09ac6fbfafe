"""Training a student on curated rows: R-SFT, DA, answer-only; one trainer, rows with weights.

Importing this package loads no torch; `agentark.distill.training` does.
"""

from agentark.distill.params import TrainResult
from agentark.training.checkpoints import Checkpoint, Checkpoints

__all__ = ["Checkpoint", "Checkpoints", "TrainResult"]
