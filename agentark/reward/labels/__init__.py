"""Where step labels come from, and how far the sources agree."""

from agentark.reward.labels.discussions import Discussion, Turn
from agentark.reward.labels.judging import JudgeParams, StepsJudged, judge_steps
from agentark.reward.labels.merging import Labelled, LabelReport, Labels, label_discussions
from agentark.reward.labels.rollouts import RolledOut, RolloutParams, roll_out

__all__ = [
    "Discussion",
    "JudgeParams",
    "LabelReport",
    "Labelled",
    "Labels",
    "RolledOut",
    "RolloutParams",
    "StepsJudged",
    "Turn",
    "judge_steps",
    "label_discussions",
    "roll_out",
]
