"""Scores for the steps of solutions, all steps of a solution in one forward pass."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from agentark.devices import placement
from agentark.llm.chat import Message
from agentark.reward.encoding import Window, encode
from agentark.reward.model import Card, load_backbone, load_tokenizer, read_card, step_logits, window_tokens
from agentark.reward.steps import Step, split_steps

_BATCH_TOKENS = 16_384


class ScoredStep(NamedTuple):
    """A step and its score."""

    start: int
    """First character in the solution."""
    end: int
    """Character after its last one."""
    score: float
    """Sigmoid of the head, in (0, 1); orders steps, but is no probability before calibration."""


class PRM:
    """A process reward model in this process, on its device.

    Args:
        model: From `load_backbone`.
        tokenizer: Its own.
        card: How it splits solutions and how its scores are read.
    """

    def __init__(self, model: Any, tokenizer: Any, card: Card) -> None:
        self.card = card
        self._model = model.to(placement("inference").device).eval()
        self._tokenizer = tokenizer
        self._pad = next(int(one) for one in (tokenizer.pad_token_id, tokenizer.eos_token_id, 0) if one is not None)
        self._max_length = window_tokens(model.config, card.max_length)

    @classmethod
    def load(cls, folder: Path) -> "PRM":
        """Load a folder that a PRM training wrote.

        Raises:
            InvalidInput: If it is none.
        """
        card = read_card(folder)
        return cls(load_backbone(folder, "inference"), load_tokenizer(folder), card)

    def __call__(self, prompts: Sequence[Sequence[Message]], texts: Sequence[str]) -> list[list[ScoredStep]]:
        """Split and score solutions; what else is in the batch does not matter.

        Args:
            prompts: The conversation before each solution.
            texts: The solutions.

        Returns:
            Per solution its steps in order; none for a text without visible characters.

        Raises:
            InvalidInput: If a prompt is too long for the model.
        """
        return self.score(prompts, texts, [split_steps(text, self.card.rule) for text in texts])

    def score(
        self, prompts: Sequence[Sequence[Message]], texts: Sequence[str], steps: Sequence[Sequence[Step]]
    ) -> list[list[ScoredStep]]:
        """Score given steps of solutions; see `__call__`."""
        windows = windows_of(self._tokenizer, prompts, texts, steps, max_length=self._max_length)
        scores: list[dict[int, float]] = [{} for _ in texts]
        with torch.inference_mode():
            for batch in _batches(windows):
                logits, _ = step_logits(self._model, [window for _, window in batch], self._pad)
                values = iter(logits.sigmoid().tolist())
                for number, window in batch:
                    scores[number].update((step, next(values)) for step in window.steps)
        return scored_steps(steps, scores)


def windows_of(
    tokenizer: Any,
    prompts: Sequence[Sequence[Message]],
    texts: Sequence[str],
    steps: Sequence[Sequence[Step]],
    *,
    max_length: int,
) -> list[tuple[int, Window]]:
    """What a reward model reads to score solutions, each window with the number of its solution; see `encode`."""
    return [
        (number, window)
        for number, (prompt, text, spans) in enumerate(zip(prompts, texts, steps, strict=True))
        for window in encode(tokenizer, prompt, text, spans, max_length=max_length)
    ]


def scored_steps(steps: Sequence[Sequence[Step]], scores: Sequence[Mapping[int, float]]) -> list[list[ScoredStep]]:
    """Per solution its steps with the scores found for their numbers."""
    return [
        [ScoredStep(step.start, step.end, found[index]) for index, step in enumerate(spans)]
        for spans, found in zip(steps, scores, strict=True)
    ]


def _batches(windows: Sequence[tuple[int, Window]]) -> Iterator[list[tuple[int, Window]]]:
    """Windows of similar length together, as many as the token budget allows."""
    batch: list[tuple[int, Window]] = []
    for item in sorted(windows, key=lambda one: len(one[1].ids)):
        if batch and (len(batch) + 1) * len(item[1].ids) > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch
