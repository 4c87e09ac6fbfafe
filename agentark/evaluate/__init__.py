"""Accuracy with its uncertainty and its price: subjects on the same questions, side by side."""

from agentark.debate.rounds import RoundScore, RoundTally, render_rounds, score_rounds
from agentark.evaluate.comparing import Difference, SubjectRow, Table, compare, difference, render_text
from agentark.evaluate.subjects import Subject, SubjectScore, score, split_samples
from agentark.statistics import Interval, mcnemar_exact, mean_interval, paired_bootstrap, wilson

__all__ = [
    "Difference",
    "Interval",
    "RoundScore",
    "RoundTally",
    "Subject",
    "SubjectRow",
    "SubjectScore",
    "Table",
    "compare",
    "difference",
    "mcnemar_exact",
    "mean_interval",
    "paired_bootstrap",
    "render_rounds",
    "render_text",
    "score",
    "score_rounds",
    "split_samples",
    "wilson",
]
