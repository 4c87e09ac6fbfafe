"""The pages that the quickstart's base model reads: drafts, reviews, sums and marked sums, without end."""

import enum
import random
from collections.abc import Set
from dataclasses import dataclass
from typing import NamedTuple

import world


class Kind(enum.Enum):
    """What a page holds."""

    DRAFT = "draft"
    REVIEW = "review"
    SUMS = "sums"
    CHECK = "check"


class Page(NamedTuple):
    """One training text: chat turns, the user's and the assistant's in turn."""

    kind: Kind
    turns: tuple[str, ...]


_DRAFT_SLIPS = world.Slips(hard=0.62, easy=0.06)


@dataclass(frozen=True, slots=True)
class Habits:
    """How the writers of the pages behave; every number is a probability."""

    draft: world.Slips = _DRAFT_SLIPS
    oversight: float = 0.06  # a reader passes over a right solution
    careful: float = 0.25  # a review is among writers who slip less often ...
    care: float = 0.3  # ... by this factor


class Corpus:
    """An endless source of pages.

    Args:
        seed: of the generator.
        habits: of the writers.
        held_out: sums that no draft and no review may be about (the shipped training and test questions).
    """

    def __init__(self, seed: int, habits: Habits, held_out: Set[world.Sums]) -> None:
        self._rng = random.Random(seed)
        self._habits = habits
        self._held_out = held_out

    def page(self, kind: Kind) -> Page:
        """Writes the next page of a kind."""
        if kind is Kind.SUMS:
            return Page(kind, ("Sums", world.sums_page(self._rng)))
        if kind is Kind.CHECK:
            return Page(kind, ("Check", world.check_page(self._rng)))
        problem = world.make_problem(self._rng)
        while problem.sums in self._held_out:
            problem = world.make_problem(self._rng)
        return self._review(problem) if kind is Kind.REVIEW else self._draft(problem)

    def _draft(self, problem: world.Problem) -> Page:
        draft = world.write_draft(problem.sums, self._habits.draft, self._rng)
        return Page(Kind.DRAFT, (problem.text, world.solution_text(draft)))

    def _review(self, problem: world.Problem) -> Page:
        rng, habits = self._rng, self._habits
        slips = habits.draft.scaled(habits.care) if rng.random() < habits.careful else habits.draft
        peers_count = rng.choice((0, 1, 2, 4, 4, 4))
        own, *peers = [world.write_draft(problem.sums, slips, rng) for _ in range(1 + peers_count)]
        last = world.revise(problem.sums, own, peers, habits.draft, habits.oversight, rng)
        request = world.review_request([world.solution_text(draft) for draft in peers])
        reply = "\n".join([*world.write_verdicts(own, peers), world.solution_text(last)])
        return Page(Kind.REVIEW, (problem.text, world.solution_text(own), request, reply))
