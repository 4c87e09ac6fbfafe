"""Which steps of a solution are right: steps, their labels, and a model that learns to score them."""

from agentark.reward.rows import LabelledStep, PRMRow, Source, read_rows
from agentark.reward.steps import SplitRule, Step, choose_rule, last_tokens, split_steps

__all__ = [
    "LabelledStep",
    "PRMRow",
    "Source",
    "SplitRule",
    "Step",
    "choose_rule",
    "last_tokens",
    "read_rows",
    "split_steps",
]
