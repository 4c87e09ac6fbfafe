"""PAD, process-aware distillation: policy-gradient training on verified answers and on scored steps.

Importing this package loads no torch; `agentark.distill.pad.training` does.
"""

from agentark.distill.pad.params import PadResult, PadStep, Scored, StepScorer

__all__ = ["PadResult", "PadStep", "Scored", "StepScorer"]
