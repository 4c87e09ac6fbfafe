"""How the texts of a debate become the messages of a request.

Only the named placeholders are replaced, all in one pass over the template: braces anywhere else, and placeholders that
stand inside a question or a solution, are left alone.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from agentark.api import Prompts

_PLACEHOLDER = re.compile(r"\{(question|peers|number|solution)\}")
_NO_SOLUTION = "(no solution)"


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
