"""In-training evaluation: greedy answers to held-out questions, graded by the project's grader."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from agentark.distill.rows import HeldOut
from agentark.errors import InvalidInput
from agentark.llm.chat import Message, Sampling
from agentark.llm.decoding import encode, generate
from agentark.tasks import Policy, grade


class Measure:
    """Verified accuracy of a student on held-out questions; leaves no trace in the training.

    Args:
        questions: At least one.
        tokenizer: The student's.
        policy: What counts as the same answer.
        max_new_tokens: Longest answer.
        context: Tokens the student can read at all; answers end there.

    Raises:
        InvalidInput: If a question leaves no room for an answer.
    """

    def __init__(
        self, questions: Sequence[HeldOut], *, tokenizer: Any, policy: Policy, max_new_tokens: int, context: int
    ) -> None:
        self._conversations = [[Message(turn.role, turn.content) for turn in one.prompt] for one in questions]
        self._golds = [one.gold for one in questions]
        self._tokenizer = tokenizer
        self._policy = policy
        longest = max(len(encode(tokenizer, conversation)) for conversation in self._conversations)
        if longest >= context:
            raise InvalidInput(
                f"held-out questions: the longest prompt has {longest} tokens, but the student model reads {context}"
            )
        self._sampling = Sampling(temperature=0.0, max_tokens=min(max_new_tokens, context - longest))

    def __call__(self, model: Any) -> tuple[float, int]:
        """Return accuracy in [0, 1] and the number of questions; under torchrun the processes share the questions."""
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        rank, world = (torch.distributed.get_rank(), torch.distributed.get_world_size()) if distributed else (0, 1)
        mine = slice(rank, None, world)
        conversations, golds = self._conversations[mine], self._golds[mine]
        with _undisturbed(model):
            answers = generate(
                model, self._tokenizer, conversations, sampling=self._sampling, seeds=[0] * len(conversations)
            )
        # An answer cut at its longest length is none, whatever number it happens to end in.
        right = sum(
            answer.finish_reason == "stop" and grade(answer.text, gold, self._policy).correct
            for answer, gold in zip(answers, golds, strict=True)
        )
        if distributed:
            total = torch.tensor(float(right), device=next(model.parameters()).device)
            torch.distributed.all_reduce(total)
            right = round(total.item())
        return right / len(self._golds), len(self._golds)


@contextmanager
def _undisturbed(model: Any) -> Iterator[None]:
    """Put random states and the model's mode back as they were."""
    python, numpy, training = random.getstate(), np.random.get_state(), model.training
    with torch.random.fork_rng():
        model.eval()
        try:
            yield
        finally:
            model.train(training)
            random.setstate(python)
            np.random.set_state(numpy)
