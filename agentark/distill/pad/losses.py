"""The formulas of PAD's loss, each alone.

TRL's trainer computes the same in one piece; these are what its figures are checked against, and what tools that
analyse a run use.

Shapes: ``B`` answers, ``T`` tokens; masks are 1 where a token counts.
"""

import torch
from torch import Tensor


def kl_k1(log_probs: Tensor, reference: Tensor, mask: Tensor) -> Tensor:
    """``log p - log p_ref``: unbiased, of either sign. Shape ``(B, T)``; 0 where masked."""
    return (log_probs - reference) * mask


def kl_k3(log_probs: Tensor, reference: Tensor, mask: Tensor) -> Tensor:
    """``p_ref / p - 1 - log(p_ref / p)``: never negative; what the loss takes. Shape ``(B, T)``; 0 where masked."""
    difference = reference - log_probs
    return (torch.exp(difference) - 1 - difference) * mask


def clipped_surrogate(log_probs: Tensor, old: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """``-min(ratio A, clamp(ratio, 1 - clip, 1 + clip) A)`` of each token (paper, section 6), shape ``(B, T)``."""
    ratio = torch.exp(log_probs - old)
    return -torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages)


def token_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over all tokens that count, a scalar; 0 where none does. Long answers weigh as much as they have tokens."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def sequence_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over answers of their means over tokens, a scalar: the published code's choice, not the trainer's."""
    return ((values * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)).mean()
