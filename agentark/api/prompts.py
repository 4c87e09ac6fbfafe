"""The texts of a debate, and those that stand where a manifest gives none."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from agentark.api.base import Key, Rule, Spec

_SOLVE = """\
Solve the following problem.

Problem:
{question}

Write your solution under the heading "### Solution", in numbered steps ("Step 1: ...", "Step 2: ..."), one step per \
line, with every calculation written out. End with the final answer inside \\boxed{}; if the problem offers options, \
put the letter of the option there."""

_PEER = """\
--- Agent {number} ---
{solution}
"""

_REVIEW = """\
Other agents worked on the same problem. Their solutions:

{peers}
First, check your own solution and theirs. Where a final answer differs from yours, find the first step that is wrong, \
in theirs or in your own: name the agent and the step, and say what is wrong with it. Agreement proves nothing by \
itself; check the steps.

Then revise your solution, or defend it if it stands. Under the heading "### Solution", write it out completely, in \
numbered steps ("Step 1: ...", "Step 2: ..."), one step per line, so that it can be read on its own, without any \
mention of the other agents. End with the final answer inside \\boxed{}."""

_SUMMARISE = """\
Several agents worked on a problem and did not agree.

Problem:
{question}

Their solutions:

{peers}
Compare the solutions step by step, find out which steps are wrong, and decide which final answer is right. Then, \
under the heading "### Solution", write one complete and correct solution in numbered steps ("Step 1: ...", \
"Step 2: ..."). End with the final answer inside \\boxed{}."""

Text = Annotated[str, Field(max_length=65536)]
"""A text for a model, at most 65,536 characters."""

DEFAULTED = Key(unless_default=True)
"""The default texts count as code: a new one raises `planning.STAGE_VERSIONS`."""


class Prompts(Spec):
    """What the agents are told. Defaults suit instruction-tuned chat models; only the named placeholders are filled."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("!has(self.solve) || self.solve.contains('{question}')", "solve must hold {question}"),
        Rule("!has(self.peer) || self.peer.contains('{solution}')", "peer must hold {solution}"),
        Rule("!has(self.review) || self.review.contains('{peers}')", "review must hold {peers}"),
        Rule(
            "!has(self.summarise) || (self.summarise.contains('{question}') && self.summarise.contains('{peers}'))",
            "summarise must hold {question} and {peers}",
        ),
    )

    system: Annotated[Text, DEFAULTED] = ""
    """System message of every agent without a role; empty means none."""
    solve: Annotated[Text, DEFAULTED] = _SOLVE
    """First message; must hold {question}."""
    peer: Annotated[Text, DEFAULTED] = _PEER
    """How one peer's solution is shown; must hold {solution}, may hold {number}."""
    review: Annotated[Text, DEFAULTED] = _REVIEW
    """Message of the later rounds; must hold {peers}."""
    summarise: Annotated[Text, DEFAULTED] = _SUMMARISE
    """Message to the summariser; must hold {question} and {peers}."""
    solution_marker: Annotated[Text, DEFAULTED] = "### Solution"
    """Text that opens the solution inside a reply; what stands before it is the critique."""

    @model_validator(mode="after")
    def _placeholders(self) -> Self:
        needed = {"solve": ["question"], "peer": ["solution"], "review": ["peers"], "summarise": ["question", "peers"]}
        missing = [
            f"{name} lacks {{{placeholder}}}"
            for name, placeholders in needed.items()
            for placeholder in placeholders
            if f"{{{placeholder}}}" not in getattr(self, name)
        ]
        if missing:
            raise ValueError("; ".join(missing))
        return self
