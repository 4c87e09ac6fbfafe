"""Accuracy with its uncertainty and its price."""

from agentark.evaluate.statistics import Interval, mcnemar_exact, mean_interval, paired_bootstrap, wilson

__all__ = ["Interval", "mcnemar_exact", "mean_interval", "paired_bootstrap", "wilson"]
