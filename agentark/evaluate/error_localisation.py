"""Error localisation: a model is shown a solution with one planted wrong step and asked to review it.

The error is planted in a right solution: the result of one calculation is changed, and what follows is calculated on
from it, so that this step alone is wrong and the answer with it. The solution stands both as the model's own and as its
peer's, in the prompts of a debate: no better solution lies beside it to compare with.
"""

import asyncio
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from agentark.api import Prompts
from agentark.debate.prompts import review_text, solve_text, split_reply
from agentark.evaluate.calculations import Calculation, calculations, evaluate
from agentark.evaluate.self_correction import Rate, rate
from agentark.llm import Engine, Message, Sampling
from agentark.tasks.critiques import names_fault

Outcome = Literal["Named", "OtherStep", "NoStep", "NoFault", "NoReview"]
"""Named: the review calls the planted step wrong, first of all. OtherStep: another one. NoStep: something is wrong,
but no step is named. NoFault: nothing is. NoReview: there is no text before the new solution."""

_STEP = re.compile(r"\b(?:step|line)\W{0,3}(\d{1,3})\b", re.I)
_LABEL = re.compile(r"^\W*(?:step\W{0,3})?(\d{1,3})[.:)]", re.I)
_NUMBER = re.compile(r"(?<![\w.])\d+(?![\w]|\.\d)")


@dataclass(frozen=True, slots=True)
class Case:
    """A question with a solution to review."""

    id: str
    question: str
    solution: str
    step: int
    """Number of the wrong step as the text labels it, else of its line, from 1; 0: the solution is right."""
    left: str
    """The wrong calculation's left side; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Localisation:
    """How a model reviews solutions with one wrong step, and right ones."""

    planted: int
    named: Rate
    """Of solutions with a planted error: the planted step was called wrong."""
    noticed: Rate
    """Of the same: anything was called wrong."""
    false_alarms: Rate
    """Of right solutions: something was called wrong."""
    unreviewed: int
    """Replies without a review; they count as not noticed."""

    def as_json(self) -> dict[str, Any]:
        """Return the measures as JSON values."""
        rates = {name: getattr(self, name).as_json() for name in ("named", "noticed", "false_alarms")}
        return {"planted": self.planted, **rates, "unreviewed": self.unreviewed}


def plant(id: str, question: str, solution: str, rng: random.Random) -> Case | None:
    """Make one step of a right solution wrong.

    Args:
        id: Of the question.
        question: Its text.
        solution: A right solution whose calculations are whole numbers above 0.
        rng: Draws step and error.

    Returns:
        The case; None if the solution has no such step, holds an error already, or cannot be calculated on.
    """
    steps = calculations(solution)
    if not steps or not all(step.right for step in steps):
        return None
    for index in rng.sample(range(len(steps)), len(steps)):
        for error in rng.sample((-10, -2, -1, 1, 2, 10), 6):
            changed = _spread(solution, steps, index, error)
            if changed is not None:
                step = steps[index]
                return Case(id, question, changed, _step_number(solution, step.start), step.left)
    return None


def whole(id: str, question: str, solution: str) -> Case:
    """A control: the solution as it is."""
    return Case(id, question, solution, 0, "")


def outcome(case: Case, critique: str) -> Outcome:
    """Read a review: what does the first line that finds a fault name?"""
    if not critique.strip():
        return "NoReview"
    faults = [line for line in critique.splitlines() if names_fault(line)]
    if not faults:
        return "NoFault"
    named = _STEP.search(faults[0])
    if named:
        return "Named" if int(named[1]) == case.step else "OtherStep"
    lefts = {step.left for step in calculations(faults[0])}
    if lefts:
        return "Named" if case.left in lefts else "OtherStep"
    return "NoStep"


async def localise(
    cases: Sequence[Case], engine: Engine, *, prompts: Prompts, sampling: Sampling, seed: int = 0, concurrency: int = 64
) -> Localisation:
    """Ask a model to review each case and count what it names.

    Raises:
        EngineError: If a request fails.
    """
    free = asyncio.Semaphore(concurrency)

    async def ask(case: Case) -> Outcome:
        messages = [Message("system", prompts.system)] if prompts.system else []
        messages += [
            Message("user", solve_text(prompts, case.question)),
            Message("assistant", case.solution),
            Message("user", review_text(prompts, [case.solution])),
        ]
        async with free:
            reply = await engine.chat(messages, sampling=sampling, seed=seed)
        return outcome(case, split_reply(reply.completions[0].text, prompts.solution_marker).critique)

    return tally(cases, await asyncio.gather(*map(ask, cases)))


def tally(cases: Sequence[Case], outcomes: Sequence[Outcome]) -> Localisation:
    """Count the outcomes of some cases."""
    pairs = list(zip(cases, outcomes, strict=True))
    planted = [finding for case, finding in pairs if case.step]
    alarms = [finding for case, finding in pairs if not case.step]
    fault = ("Named", "OtherStep", "NoStep")
    return Localisation(
        planted=len(planted),
        named=rate([(finding == "Named", 1) for finding in planted]),
        noticed=rate([(finding in fault, 1) for finding in planted]),
        false_alarms=rate([(finding in fault, 1) for finding in alarms]),
        unreviewed=[finding for _, finding in pairs].count("NoReview"),
    )


def _spread(text: str, steps: Sequence[Calculation], index: int, error: int) -> str | None:
    """Change one result and calculate on; None where a value would not be a whole number above 0."""
    now = {steps[index].claimed.value: steps[index].claimed.value + error}
    edits = {(steps[index].claimed.start, steps[index].claimed.end): now[steps[index].claimed.value]}
    for step in steps[index + 1 :]:
        values = [now.get(operand.value, operand.value) for operand in step.operands]
        edits |= {
            (operand.start, operand.end): value
            for operand, value in zip(step.operands, values, strict=True)
            if value != operand.value
        }
        result = evaluate(values, step.signs)
        if result is None:
            return None
        if result != step.claimed.value:
            edits[step.claimed.start, step.claimed.end] = now[step.claimed.value] = result
    last = steps[-1]
    if last.claimed.value not in now:
        return None  # the error would not reach the answer
    for number in _NUMBER.finditer(text, last.end):
        if Fraction(number[0]) == last.claimed.value:
            edits[number.start(), number.end()] = now[last.claimed.value]
    if any(value <= 0 or value.denominator != 1 for value in edits.values()):
        return None
    for (start, end), value in sorted(edits.items(), reverse=True):
        text = text[:start] + str(value) + text[end:]
    return text


def _step_number(text: str, position: int) -> int:
    """The label of the step at a character, else the number of its line among those that are not empty."""
    start = text.rfind("\n", 0, position) + 1
    label = _LABEL.match(text[start:])
    if label and start + label.end() <= position:
        return int(label[1])
    return sum(bool(line.strip()) for line in text[:start].splitlines()) + 1
