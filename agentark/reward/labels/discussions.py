"""A debate as step labelling sees it, and the solutions in it that are to be labelled."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from agentark.llm.chat import Message
from agentark.reward.steps import SplitRule, Step, split_steps
from agentark.tasks.critiques import CHECK_WORDS, MEND_WORDS, names_fault


@dataclass(frozen=True, slots=True)
class Turn:
    """One reply of one agent."""

    agent: int
    round: int
    solution: str
    """The solution alone."""
    critique: str
    """What the agent says of its own solution of the round before, above its new one; empty in the first round."""
    correct: bool | None
    """Whether the final answer is right by the label in use (gold or consensus); None where there is none."""
    complete: bool
    """Whether the model ended the reply by itself: neither a token limit nor a filter did."""
    answer: str = ""
    """The final answer as the grader reads it."""


@dataclass(frozen=True, slots=True)
class Discussion:
    """All agents' replies to one question."""

    id: str
    prompt: tuple[Message, ...]
    """The conversation that asks the question to one agent alone."""
    gold: str | None
    """The right answer, where one is known."""
    turns: tuple[Turn, ...]
    held_out: bool = False


@dataclass(frozen=True)
class Candidate:
    """A text whose steps are to be labelled: a solution, or an attempt, its critique and the next solution in one."""

    question: str
    prompt: tuple[Message, ...]
    text: str
    correct: bool | None
    rule: SplitRule
    attempt_end: int = 0
    """Where the attempt ends, 0 for a plain solution."""
    critique_end: int = 0
    """Where the critique ends and the last solution begins, 0 for a plain solution."""
    attempt_correct: bool | None = None
    answer: str = ""
    held_out: bool = field(default=False)

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """Its steps; of a text in parts, those of each part, the critique's lines each a step."""
        if not self.critique_end:
            return split_steps(self.text, self.rule)
        parts = ((0, self.attempt_end, self.rule), (self.attempt_end, self.critique_end, "Newline"))
        found = []
        for start, end, rule in (*parts, (self.critique_end, len(self.text), self.rule)):
            split = split_steps(self.text[start:end], rule)  # type: ignore[arg-type]
            found += [Step(start + step.start, start + step.end) for step in split]
        return tuple(found)

    def words(self, step: Step) -> str:
        """The text of a step."""
        return self.text[step.start : step.end]

    def part(self, step: Step) -> int:
        """0 in the attempt of a text in parts, 1 in its critique, 2 in the last or only solution."""
        return 2 if step.start >= self.critique_end else int(step.start >= self.attempt_end)


def candidates(discussion: Discussion, *, rule: SplitRule, corrections: bool) -> list[Candidate]:
    """List the texts of a discussion that are worth labelling, each once.

    Args:
        discussion: Replies that were cut off or filtered, and empty ones, are left out.
        rule: How its solutions are split.
        corrections: Also the monologues of an attempt, what the agent then said of it, and its next solution.
    """
    plain = (
        Candidate(
            discussion.id,
            discussion.prompt,
            turn.solution,
            turn.correct,
            rule,
            answer=turn.answer,
            held_out=discussion.held_out,
        )
        for turn in discussion.turns
        if _readable(turn)
    )
    spoken = _monologues(discussion, rule) if corrections else ()
    return list({candidate.text: candidate for candidate in (*plain, *spoken)}.values())


def _monologues(discussion: Discussion, rule: SplitRule) -> Iterator[Candidate]:
    """Attempt, critique and next solution in the words of the self-corrections that a student learns."""
    for before, after in _followed(discussion.turns):
        if not after.critique.strip() or not _readable(before) or not _readable(after):
            continue
        head = f"{before.solution.strip()}\n\n"
        said = f"{CHECK_WORDS}\n{after.critique.strip()}\n\n"
        if names_fault(after.critique):
            said += f"{MEND_WORDS}\n"
        yield Candidate(
            discussion.id,
            discussion.prompt,
            head + said + after.solution,
            after.correct,
            rule,
            attempt_end=len(head),
            critique_end=len(head) + len(said),
            attempt_correct=before.correct,
            answer=after.answer,
            held_out=discussion.held_out,
        )


def _readable(turn: Turn) -> bool:
    return turn.complete and bool(turn.solution.strip())


def _followed(turns: Iterable[Turn]) -> Iterator[tuple[Turn, Turn]]:
    by_place = {(turn.agent, turn.round): turn for turn in turns}
    for (agent, number), turn in by_place.items():
        after = by_place.get((agent, number + 1))
        if after is not None:
            yield turn, after
