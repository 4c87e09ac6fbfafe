"""What sampled answers are worth: verified outcome, format, scored steps; a batch's advantages and statistics.

No torch: answers come as token ids and go as plain numbers, which travel between processes.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from agentark.api import PAD
from agentark.distill.pad.advantages import (
    Array,
    credit,
    group_advantages,
    leave_one_out,
    mean_rewards,
    soft_min_rewards,
    step_advantages,
    step_rewards,
)
from agentark.distill.pad.guards import BatchStatistics
from agentark.distill.pad.params import TRUNCATION_PENALTY, PadStep, StepScorer
from agentark.distill.pad.tokens import TokenEnds, last_token
from agentark.llm.chat import Message, split_reasoning
from agentark.tasks import Policy, extract, grade

_Turns = Sequence[Mapping[str, str]]


class Assessed(NamedTuple):
    """One answer."""

    tokens: int
    truncated: bool
    answer: str | None
    """Final answer that was read from it; none from a truncated one."""
    right: bool | None
    """None if there is no gold answer."""
    scores: tuple[float, ...]
    """One per step, in [0, 1]; empty without a scorer."""
    ends: tuple[int, ...]
    """Token that holds each step's last character."""

    @property
    def outcome(self) -> float:
        """Outcome reward: 1 if right, else 0; truncated answers, with or without gold, lose `TRUNCATION_PENALTY`."""
        return float(self.right is True) - TRUNCATION_PENALTY * self.truncated


class Assessor:
    """Decodes, grades and scores answers.

    Args:
        tokenizer: The student's.
        ends: Token ids that end an answer.
        policy: What counts as the right answer.
        scorer: Scores steps; None: outcomes alone.
    """

    def __init__(self, tokenizer: Any, ends: Collection[int], policy: Policy, scorer: StepScorer | None) -> None:
        self._decode = TokenEnds(tokenizer)
        self._ends = frozenset(ends)
        self._policy = policy
        self._scorer = scorer

    def __call__(
        self, prompts: Sequence[_Turns], ids: Sequence[Sequence[int]], golds: Sequence[str | None]
    ) -> list[Assessed]:
        """Assess each answer, given as token ids with the token that ended it."""
        decoded = [self._decode(one) for one in ids]
        conversations = [tuple(Message(turn["role"], turn["content"]) for turn in one) for one in prompts]  # type: ignore[arg-type]
        # A trained student repeats itself: of equal answers to one question only the first is graded and scored.
        firsts = {(conversation, text): None for conversation, (text, _) in zip(conversations, decoded, strict=True)}
        scored = self._score(list(firsts))
        grades: dict[tuple[str, str | None], tuple[str | None, bool | None]] = {}
        assessed = []
        for conversation, one, gold, (text, token_ends) in zip(conversations, ids, golds, decoded, strict=True):
            truncated = not one or one[-1] not in self._ends
            if (text, gold) not in grades:
                grades[text, gold] = self._grade(text, gold)
            answer, right = grades[text, gold]
            if truncated:
                # Not finished: whatever number it breaks off at is no answer.
                answer, right = None, None if gold is None else False
            scores, ends = _on_tokens(scored[conversation, text], text, token_ends, truncated)
            assessed.append(Assessed(len(one), truncated, answer, right, scores, ends))
        return assessed

    def _grade(self, text: str, gold: str | None) -> tuple[str | None, bool | None]:
        visible, _ = split_reasoning(text)
        if gold is None:
            return extract(visible, self._policy), None
        found = grade(visible, gold, self._policy)
        return found.answer, found.correct

    def _score(
        self, asked: Sequence[tuple[tuple[Message, ...], str]]
    ) -> dict[tuple[tuple[Message, ...], str], list[tuple[int, float]] | None]:
        """Ends (in characters) and scores of the steps of each answer; None without a scorer."""
        if self._scorer is None:
            return dict.fromkeys(asked)
        found = self._scorer([prompt for prompt, _ in asked], [text for _, text in asked])
        return {key: [(step.end, float(step.score)) for step in steps] for key, steps in zip(asked, found, strict=True)}


def _on_tokens(
    steps: list[tuple[int, float]] | None, text: str, token_ends: Sequence[int], truncated: bool
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Scores and last tokens of an answer's steps."""
    if steps is None or not token_ends:
        return (), ()
    if not steps:
        # Nothing in it is a step: as bad as one wrong step, or silence would be a way around the scorer.
        return (0.0,), (len(token_ends) - 1,)
    scores = [score for _, score in steps]
    if truncated and steps[-1][0] >= len(text.rstrip()):
        scores[-1] = 0.0  # The step in which it breaks off was not finished.
    return tuple(scores), tuple(last_token(token_ends, end) for end, _ in steps)


def process_rewards(everyone: Sequence[Assessed], pad: PAD) -> list[Array]:
    """Aggregated step rewards of each answer, shape ``(K,)``; their sum is its process reward."""
    rewards = [step_rewards(one.scores) for one in everyone]
    if pad.aggregation == "Min":
        return [soft_min_rewards(one, pad.min_temperature) for one in rewards]
    return [mean_rewards(one) for one in rewards]


def advantages(
    everyone: Sequence[Assessed], process: Sequence[Array], pad: PAD, mine: slice = slice(None)
) -> list[Array]:
    """One advantage per token, shape ``(T,)`` per answer.

    Args:
        everyone: The batch over all processes, group after group.
        process: As `process_rewards` gives them.
        pad: Weights and baseline.
        mine: The answers of this process; results are for those alone.
    """

    def compare(rewards: list[float]) -> Array:
        array = np.array(rewards, dtype=np.float64)
        grouped = pad.baseline == "Group"
        return group_advantages(array, pad.group) if grouped else leave_one_out(array, pad.group)

    whole = pad.outcome_weight * compare([one.outcome for one in everyone])
    if pad.format_weight:
        whole = whole + pad.format_weight * compare([float(one.answer is not None) for one in everyone])
    steps = step_advantages(process, pad.group, pad.baseline)
    return [
        each + pad.process_weight * credit(values, one.ends, one.tokens)
        for one, each, values in zip(everyone[mine], whole[mine], steps[mine], strict=True)
    ]


def batch_statistics(everyone: Sequence[Assessed], process: Sequence[Array], group: int) -> BatchStatistics:
    """What the guards look at."""
    totals = [float(one.sum()) if len(one) else None for one in process]
    pairs, discordant, spreads = 0, 0.0, []
    for start in range(0, len(everyone), group):
        members = [
            (one, total)
            for one, total in zip(everyone[start : start + group], totals[start : start + group], strict=True)
            if total is not None
        ]
        right = [total for one, total in members if one.right is True]
        wrong = [total for one, total in members if one.right is False]
        pairs += len(right) * len(wrong)
        discordant += sum(float(bad > good) + 0.5 * (bad == good) for bad in wrong for good in right)
        verdicts = Counter(one.answer if one.right is None else one.right for one, _ in members)
        if len(verdicts) > 1:
            spreads.append(float(np.std([total for _, total in members])))
    counted = [len(one.scores) for one in everyone if one.scores]
    return BatchStatistics(
        length=float(np.mean([one.tokens for one in everyone])),
        step_count=float(np.mean(counted)) if counted else None,
        pairs=pairs,
        discordant=discordant,
        contested=len(spreads),
        spread=float(np.mean(spreads)) if spreads else None,
    )


def summary(step: int, everyone: Sequence[Assessed], process: Sequence[Array], found: BatchStatistics) -> PadStep:
    """The batch's point on the curves."""
    known = [one.right for one in everyone if one.right is not None]
    totals = [float(one.sum()) for one in process if len(one)]
    return PadStep(
        step=step,
        reward=float(np.mean([one.outcome for one in everyone])),
        process_reward=float(np.mean(totals)) if totals else None,
        accuracy=float(np.mean(known)) if known else None,
        kl=found.kl,
        length=found.length,
        step_count=found.step_count,
        disagreement=found.discordant / found.pairs if found.pairs else None,
        truncated=float(np.mean([one.truncated for one in everyone])),
    )
