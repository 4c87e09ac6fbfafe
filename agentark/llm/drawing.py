"""Choosing the next token of every row of a batch, each by its own rules and its own random numbers.

A row draws uniform numbers from a generator of its own, and each token from the cumulative distribution by one of them.
So its text does not depend on the other rows, and a step costs one number a row rather than one for each token of the
vocabulary (as Gumbel noise would).

Shapes: ``R`` rows, ``V`` vocabulary.
"""

import hashlib
from collections.abc import Sequence

import torch

from agentark.errors import EngineError
from agentark.llm.chat import Sampling


def uniforms(seed: int, index: int, count: int) -> torch.Tensor:
    """Draw the random numbers of one completion.

    Args:
        seed: Seed of the request.
        index: Index of the completion in the request.
        count: Tokens at most.

    Returns:
        Numbers in [0, 1), shape ``(count,)``; a longer draw begins with the same numbers.
    """
    # torch keeps 32 bits of a seed, so neighbours would share numbers were it not hashed.
    digest = hashlib.blake2b(f"{seed}/{index}".encode(), digest_size=8).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest) >> 1)
    return torch.rand(count, generator=generator)


class Rules:
    """The sampling of each row, as tensors.

    Args:
        sampling: One for each row.
        device: Where the logits are.
    """

    def __init__(self, sampling: Sequence[Sampling], device: torch.device) -> None:
        self._temperature = torch.tensor([[s.temperature or 1.0] for s in sampling], device=device)
        self._greedy = torch.tensor([s.temperature == 0 for s in sampling], device=device)
        self._top_k = torch.tensor([[s.top_k or 2**31] for s in sampling], device=device)
        self._top_p = torch.tensor([[s.top_p] for s in sampling], device=device)
        self._set_shortcuts()

    def keep(self, rows: torch.Tensor) -> None:
        """Keep only the rows with these indices, in this order."""
        rows = rows.to(self._greedy.device)
        self._temperature, self._greedy = self._temperature[rows], self._greedy[rows]
        self._top_k, self._top_p = self._top_k[rows], self._top_p[rows]
        self._set_shortcuts()

    def _set_shortcuts(self) -> None:
        self._all_greedy = bool(self._greedy.all())
        self._filtered = bool(((self._top_k < 2**31) | (self._top_p < 1)).any())

    def choose(self, logits: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        """Choose one token a row.

        Args:
            logits: Shape ``(R, V)``.
            uniform: One number in [0, 1) a row, shape ``(R,)``; rows with temperature 0 do not use it.

        Returns:
            Token ids, shape ``(R,)``.

        Raises:
            EngineError: If the logits of a row are not finite.
        """
        logits = logits.float()
        best = logits.argmax(-1)
        if not torch.isfinite(logits.gather(-1, best[:, None])).all():
            raise EngineError(
                "the model's logits are not finite: its weights are damaged, or its numbers overflow in the "
                "type it is stored in (store it in float32)"
            )
        if self._all_greedy:
            return best
        weights = torch.softmax(logits / self._temperature, dim=-1)
        if self._filtered:
            weights, order = weights.sort(dim=-1, descending=True, stable=True)
            rank = torch.arange(weights.shape[-1], device=weights.device)
            before = weights.cumsum(-1) - weights
            weights = weights.masked_fill((rank >= self._top_k) | ((before >= self._top_p) & (rank > 0)), 0.0)
            drawn = order.gather(-1, _invert(weights, uniform)[:, None])[:, 0]
        else:
            drawn = _invert(weights, uniform)
        return torch.where(self._greedy, best, drawn)


def _invert(weights: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Find the first index at which the cumulated weights (any positive total) exceed the share `uniform`."""
    cumulated = weights.cumsum(-1)
    total = cumulated[:, -1:]
    # Rounding may carry the product up to the total, which nothing exceeds.
    share = torch.minimum(uniform[:, None] * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cumulated, share, right=True)[:, 0]
