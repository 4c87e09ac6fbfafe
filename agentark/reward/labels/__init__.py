"""Where step labels come from, and how far the sources agree."""

from agentark.reward.labels.discussions import Discussion, Turn
from agentark.reward.labels.merging import Labelled, LabelReport, label_discussions

__all__ = ["Discussion", "LabelReport", "Labelled", "Turn", "label_discussions"]
