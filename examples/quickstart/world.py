"""A small world of English word problems, worked by writers who slip and read by writers who review.

A problem is a few gains, losses and doublings of a number of things. A *draft* works it step by step; its writer
forgets a carry or a borrow when the second number is big, and seldom makes another mistake. In a *review* a writer
sees his own and other solutions of one problem, says of each whether it is right, and writes a solution again. No
module of AgentArk knows any of this: the world is the quickstart's own data, and the model learns it from text alone.

All functions are deterministic given the random generator that they take.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

_PRONOUNS = {
    **dict.fromkeys(("Ann", "Dee", "Fay", "Ivy", "Kim", "Mia", "Pam", "Rae", "Tia", "Zoe"), "She"),
    **dict.fromkeys(("Ben", "Cal", "Eli", "Gus", "Hal", "Jon", "Leo", "Ned", "Oli", "Sam"), "He"),
}
_NAMES = sorted(_PRONOUNS)
_ITEMS = ("pens", "cups", "eggs", "toys", "nuts", "hats", "keys", "pins", "cans", "bags")
_GAINS = ("finds {amount}", "buys {amount}", "gets {amount} from {other}")
_LOSSES = ("loses {amount}", "sells {amount}", "gives {amount} to {other}")
_SIGNS = "+++---*"  # as often as they are drawn

LARGEST_START, LARGEST_VALUE, LARGEST_WRITTEN = 40, 60, 99  # start of a problem, any true value, any value in a draft

SOLUTION_MARKER = "Step 1:"  # opens the solution in a reply that begins with verdicts
REVIEW_REQUEST = "Review these solutions and solve again."
_STEP = re.compile(r"^Step (\d+): (\d+) ([-+*]) (\d+) = (\d+)$", re.MULTILINE)
_ANSWER = re.compile(r"\\boxed\{(\d+)\}")


class Operation(NamedTuple):
    """One change of the number of things: `sign` is one of "+", "-" and "*", `amount` 2 to 9 (2 for "*")."""

    sign: str
    amount: int


class Step(NamedTuple):
    """One written line "left sign right = result", true or not."""

    left: int
    sign: str
    right: int
    result: int


Draft = tuple[Step, ...]


class Sums(NamedTuple):
    """What a problem asks to be calculated, without the names and things around it."""

    start: int
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem as it is read (`text`), what there is to calculate (`sums`), and the true answer (1 to 60)."""

    text: str
    sums: Sums
    answer: int


@dataclass(frozen=True, slots=True)
class Slips:
    """Probabilities of going wrong in a step: `hard` where a carry or borrow is easy to forget, `easy` anywhere."""

    hard: float
    easy: float

    def scaled(self, factor: float) -> "Slips":
        """The same habits of a writer who is more (factor < 1) or less careful."""
        return Slips(self.hard * factor, self.easy * factor)


NO_SLIPS = Slips(0.0, 0.0)


def make_problem(rng: random.Random, operations: tuple[int, int] = (2, 4)) -> Problem:
    """Draws a problem of so many operations, least and most, whose values all stay within 1 to 60."""
    start = rng.randint(3, LARGEST_START)
    name, item = rng.choice(_NAMES), rng.choice(_ITEMS)
    sentences, drawn, value = [f"{name} has {start} {item}."], list[Operation](), start
    for _ in range(rng.randint(*operations)):
        operation, value = _next_operation(value, rng)
        drawn.append(operation)
        phrase = rng.choice(_GAINS if operation.sign == "+" else _LOSSES)
        other = rng.choice([another for another in _NAMES if another != name])
        act = "doubles them" if operation.sign == "*" else phrase.format(amount=operation.amount, other=other)
        sentences.append(f"{_PRONOUNS[name]} {act}.")
    sentences.append(f"How many {item} now?")
    return Problem(" ".join(sentences), Sums(start, tuple(drawn)), value)


def _next_operation(value: int, rng: random.Random) -> tuple[Operation, int]:
    while True:
        sign = rng.choice(_SIGNS)
        operation = Operation(sign, 2 if sign == "*" else rng.randint(2, 9))
        result = calculate(value, *operation)
        if 0 < result <= LARGEST_VALUE:
            return operation, result


def calculate(left: int, sign: str, right: int) -> int:
    """The true value of "left sign right"."""
    return left + right if sign == "+" else left - right if sign == "-" else left * right


def invites_slip(left: int, sign: str, right: int) -> bool:
    """Whether the sum has a carry or a borrow with a second number ending in 7, 8 or 9: where writers forget it."""
    units = right % 10
    if sign == "+":
        return units >= 7 and left % 10 + units >= 10
    return sign == "-" and units >= 7 and left % 10 < units


def written_result(left: int, sign: str, right: int, slips: Slips, rng: random.Random) -> int:
    """What a writer with these habits puts behind the "=": 0 to 99, true or not."""
    result = calculate(left, sign, right)
    if invites_slip(left, sign, right) and rng.random() < slips.hard:
        result += -10 if sign == "+" else 10
    elif rng.random() < slips.easy:
        result += rng.choice((-10, -2, -1, 1, 2, 10))
    return max(0, min(LARGEST_WRITTEN, result))


def write_draft(sums: Sums, slips: Slips, rng: random.Random, *, other_route: float = 0.3) -> Draft:
    """Works the sums step by step; a slip carries on into the steps after it.

    Args:
        sums: what to calculate.
        slips: the writer's habits.
        rng: the source of chance.
        other_route: the probability of adding up two neighbouring gains (or losses) first, where there are such.
    """
    steps: list[Step] = []
    value, index = sums.start, 0
    while index < len(sums.operations):
        sign, amount = sums.operations[index]
        following = sums.operations[index + 1] if index + 1 < len(sums.operations) else None
        if following is not None and sign != "*" and following.sign == sign and rng.random() < other_route:
            together = written_result(amount, "+", following.amount, slips, rng)
            steps.append(Step(amount, "+", following.amount, together))
            amount, index = together, index + 1
        result = written_result(value, sign, amount, slips, rng)
        steps.append(Step(value, sign, amount, result))
        value, index = result, index + 1
    return tuple(steps)


def write_exact(sums: Sums) -> Draft:
    """The plain route without a slip."""
    return write_draft(sums, NO_SLIPS, random.Random(0), other_route=0.0)


def solution_text(draft: Draft) -> str:
    r"""A draft as text: "Step 1: 7 + 5 = 12" and so on, last line "The answer is \boxed{12}"."""
    lines = [f"Step {number}: {' '.join(map(str, step[:3]))} = {step.result}" for number, step in enumerate(draft, 1)]
    return "\n".join([*lines, f"The answer is \\boxed{{{draft[-1].result}}}"])


def read_steps(text: str) -> Draft:
    """The steps of a solution that a writer or a model wrote; lines of another form are left out."""
    return tuple(Step(int(m[2]), m[3], int(m[4]), int(m[5])) for m in _STEP.finditer(text))


def read_answer(text: str) -> int | None:
    r"""The number in the last \boxed{} of a text, None where there is none."""
    answers = _ANSWER.findall(text)
    return int(answers[-1]) if answers else None


def first_wrong(draft: Draft) -> int | None:
    """Index of the first step whose result is not the true value of its left side, None when all are."""
    for index, (left, sign, right, result) in enumerate(draft):
        if calculate(left, sign, right) != result:
            return index
    return None


def review_request(solutions: Sequence[str]) -> str:
    """What a reader is shown: the other agents' solutions, numbered from 1, and what to do with them."""
    peers = "\n".join(f"Agent {number}:\n{solution}" for number, solution in enumerate(solutions, 1))
    return f"{peers}\n{REVIEW_REQUEST}"


def write_verdicts(own: Draft, peers: Sequence[Draft]) -> list[str]:
    """What a careful reader says of each solution, his own first: one line each, naming the first wrong step."""
    names = ["Mine", *(f"Agent {number}" for number in range(1, len(peers) + 1))]
    lines = []
    for name, draft in zip(names, [own, *peers], strict=True):
        index = first_wrong(draft)
        if index is None:
            lines.append(f"{name}: right")
        else:
            left, sign, right, result = draft[index]
            true = calculate(left, sign, right)
            lines.append(f"{name}: step {index + 1} is wrong, {left} {sign} {right} = {true} not {result}")
    return lines


def revise(sums: Sums, own: Draft, peers: Sequence[Draft], slips: Slips, oversight: float, rng: random.Random) -> Draft:
    """The solution that a reader writes after his verdicts.

    Where all solutions give one answer nobody looks again and his own stands, right or wrong. Otherwise he copies the
    first right one, his own first; where none is right he writes a new draft, as prone to slips as any. So a review
    without a right peer is no better than a draft: what a debate gains, it gains from the others' solutions.

    Args:
        sums: what there is to calculate.
        own: the reader's last solution.
        peers: the others' solutions.
        slips: habits of the reader for a new draft.
        oversight: probability of passing over a right solution.
        rng: the source of chance.
    """
    solutions = [own, *peers]
    if len({draft[-1].result for draft in solutions}) == 1:
        return own
    answer = write_exact(sums)[-1].result
    for draft in solutions:
        if first_wrong(draft) is None and draft[-1].result == answer and rng.random() >= oversight:
            return draft
    return write_draft(sums, slips, rng)


def sums_page(rng: random.Random, count: int = 16) -> str:
    """A page of true sums, one a line."""
    lines = []
    for _ in range(count):
        left, sign, right = _sum(rng, largest_loss=18)
        lines.append(f"{left} {sign} {right} = {calculate(left, sign, right)}")
    return "\n".join(lines)


def check_page(rng: random.Random, count: int = 12) -> str:
    """A page of sums with their marks: each result true or slipped, then "right" or "not right"."""
    lines = []
    for _ in range(count):
        left, sign, right = _sum(rng, largest_loss=9)
        result = written_result(left, sign, right, Slips(0.6, 0.3), rng)
        mark = "right" if result == calculate(left, sign, right) else "not right"
        lines.append(f"{left} {sign} {right} = {result} {mark}")
    return "\n".join(lines)


def _sum(rng: random.Random, largest_loss: int) -> tuple[int, str, int]:
    sign = rng.choice(_SIGNS)
    if sign == "*":
        return rng.randint(1, 30), sign, 2
    left, right = rng.randint(2, LARGEST_VALUE), rng.randint(2, largest_loss if sign == "-" else 9)
    return (right, sign, left) if sign == "-" and left < right else (left, sign, right)
