"""Losses of a process reward model."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, normalize, softplus


def info_nce(logits: Tensor, labels: Tensor, weights: Tensor, *, temperature: float) -> Tensor:
    r"""Contrast the right steps of one question with its wrong ones (paper eq. 7).

    ``sum_p w_p -log[exp(s_p / tau) / (exp(s_p / tau) + sum_n w_n exp(s_n / tau))]`` with ``s = sigmoid(logit)``.

    Args:
        logits: Raw scores of the labelled steps of one question, shape ``(n,)``.
        labels: In [0, 1]; above 0.5 a step is a positive, else a negative.
        weights: How much each step counts, >= 0; 1 throughout gives the paper's sum.
        temperature: tau, > 0.

    Returns:
        A scalar; exactly 0, with gradient 0, where there is no positive or no negative.
    """
    positive = (labels > 0.5) & (weights > 0)
    negative = (labels <= 0.5) & (weights > 0)
    if not (positive.any() and negative.any()):
        return logits.sum() * 0.0
    scores = logits.sigmoid() / temperature
    against = torch.logsumexp(scores[negative] + weights[negative].log(), dim=0)
    loss: Tensor = (weights[positive] * softplus(against - scores[positive])).sum()
    return loss


def cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Binary cross-entropy with soft labels, summed.

    Args:
        logits: Raw scores, shape ``(n,)``.
        labels: Probability that each step is right, in [0, 1].
        weights: How much each step counts.

    Returns:
        ``sum_i w_i BCE_i`` in nats; 0 for no steps.
    """
    loss: Tensor = binary_cross_entropy_with_logits(logits, labels, weight=weights, reduction="sum")
    return loss


def supervised_contrastive(embeddings: Tensor, labels: Tensor, *, temperature: float) -> Tensor:
    """Draw the representations of steps with the same label together (Khosla et al. 2020, as in the published code).

    Mean over the anchors that have a positive of the mean over their positives of
    ``-log softmax_j(cos(z_i, z_j) / tau)``, j over all others.

    Args:
        embeddings: Shape ``(n, d)``.
        labels: Shape ``(n,)``; above 0.5 is right.
        temperature: tau, > 0.

    Returns:
        A scalar; 0 with gradient 0 where no two steps share a label.
    """
    right = labels > 0.5
    itself = torch.eye(len(labels), dtype=torch.bool, device=embeddings.device)
    same = (right[:, None] == right[None, :]) & ~itself
    anchors = same.any(dim=1)
    if not anchors.any():
        return embeddings.sum() * 0.0
    unit = normalize(embeddings, dim=1)
    similarity = (unit @ unit.T / temperature).masked_fill(itself, float("-inf"))
    log_share = torch.log_softmax(similarity[anchors], dim=1)
    positives = same[anchors]
    per_anchor = -(log_share.masked_fill(~positives, 0.0)).sum(dim=1) / positives.sum(dim=1)
    return per_anchor.mean()
