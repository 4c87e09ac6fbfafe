"""The texts of a debate, and how they become the messages of a request.

Only the named placeholders are replaced, all in one pass over the template: braces anywhere else, and placeholders that
stand inside a question or a solution, are left alone.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from agentark.errors import InvalidInput

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

_NEEDED = {"solve": ("question",), "peer": ("solution",), "review": ("peers",), "summarise": ("question", "peers")}
_PLACEHOLDER = re.compile(r"\{(question|peers|number|solution)\}")
_NO_SOLUTION = "(no solution)"


@dataclass(frozen=True, slots=True)
class Prompts:
    """The texts of a debate; the defaults suit instruction-tuned chat models.

    Raises:
        InvalidInput: If a text lacks a placeholder that it needs.
    """

    system: str = ""
    """System message of every agent without a role of its own, and of the summariser; empty for none."""
    solve: str = _SOLVE
    """First message of every agent; holds ``{question}``."""
    peer: str = _PEER
    """One peer's solution inside a review; holds ``{solution}`` and may hold ``{number}``."""
    review: str = _REVIEW
    """Message of the later rounds; holds ``{peers}``, the filled `peer` texts joined by line breaks."""
    summarise: str = _SUMMARISE
    """Message to the summariser; holds ``{question}`` and ``{peers}``."""
    solution_marker: str = "### Solution"
    """Text that opens the solution inside a reply; what stands before it is the critique. Empty for none."""

    def __post_init__(self) -> None:
        for name, needed in _NEEDED.items():
            for placeholder in needed:
                if f"{{{placeholder}}}" not in getattr(self, name):
                    raise InvalidInput(f"prompts.{name} lacks {{{placeholder}}}; put it where that text shall stand")


class ReplyParts(NamedTuple):
    """A reply of a debater, taken apart."""

    critique: str
    solution: str


def split_reply(text: str, marker: str) -> ReplyParts:
    """Cut a reply in front of the first `marker`; without one the whole text is the solution.

    The marker stays with the solution: it opens it. White space around the two parts is dropped.
    """
    start = text.find(marker) if marker else 0
    return ReplyParts(text[: max(start, 0)].strip(), text[max(start, 0) :].strip())


def solve_text(prompts: Prompts, question: str) -> str:
    """Fill the first message."""
    return _filled(prompts.solve, question=question)


def review_text(prompts: Prompts, solutions: Sequence[str]) -> str:
    """Fill the message of a later round with the peers' last solutions, numbered from 1 in the order given."""
    return _filled(prompts.review, peers=_peers(prompts, solutions))


def summarise_text(prompts: Prompts, question: str, solutions: Sequence[str]) -> str:
    """Fill the message to the summariser with all agents' last solutions, numbered from 1."""
    return _filled(prompts.summarise, question=question, peers=_peers(prompts, solutions))


def shown_solution(solution: str) -> str:
    """Return a solution as messages show it: chat servers refuse empty messages, so an empty one is named."""
    return solution or _NO_SOLUTION


def _peers(prompts: Prompts, solutions: Sequence[str]) -> str:
    return "\n".join(
        _filled(prompts.peer, number=str(number), solution=shown_solution(solution))
        for number, solution in enumerate(solutions, 1)
    )


def _filled(template: str, **values: str) -> str:
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), template)
