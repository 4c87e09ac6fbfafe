"""What is selected from the debates, and in which form."""

from typing import Literal

from agentark.api import Curation, distilljob
from agentark.api.base import Seed

Method = Literal[distilljob.Method, "OwnAnswers"]
Form = Literal["Solution", "SelfCorrection", "Answer", "Question", "Pair"]


class MethodCuration(Curation):
    """The manifest's curation, for one method."""

    method: Method
    """RSFT: one trace a question, a corrective one first. DA: up to `max_traces` that differ most. DPO: one mended
    solution beside the first attempt that it mends. AnswerOnly: the gold answer without a trace. OwnAnswers: one right
    answer of round 0, the control without debate."""
    seed: Seed = 0
    """Decides between traces of equal rank, and which examples the data card shows."""
