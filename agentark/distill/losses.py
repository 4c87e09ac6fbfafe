"""The one loss of the supervised methods: completion tokens, weighted by row.

R-SFT (paper, eq. 1) is weight 1 per trace: the sum over reasoning and answer tokens. DA (eq. 2) averages the k traces
of a question: weight 1/k each. Answer-only is R-SFT on a completion that is just the answer.

Shapes: ``B`` rows of a micro-batch, ``T`` tokens.
"""

from torch import Tensor

IGNORED = -100
"""Label of tokens that carry no loss: prompt and padding."""


def weighted_nll(log_probs: Tensor, weights: Tensor) -> Tensor:
    """Sum of ``w_i * -log p(y_it)`` over rows and tokens, in nats (paper, eq. 1 and 2).

    Divided by the sum of `weighted_tokens` over the global batch this is the loss of a step.

    Args:
        log_probs: Log-probability of each label, shape ``(B, T)``; 0 where a token carries no loss.
        weights: Weight of each row, shape ``(B,)``.

    Returns:
        A scalar in float32.
    """
    return -(log_probs.float() * weights.float().unsqueeze(1)).sum()


def weighted_tokens(labels: Tensor, weights: Tensor) -> Tensor:
    """Sum of ``w_i * n_i``, where ``n_i`` counts the tokens of row ``i`` that carry loss.

    Args:
        labels: Unshifted labels, shape ``(B, T)``; `IGNORED` carries no loss, nor does the first token, which nothing
            predicts.
        weights: Weight of each row, shape ``(B,)``.

    Returns:
        A scalar in float32.
    """
    return (labels[:, 1:].ne(IGNORED).sum(dim=1) * weights.float()).sum()
