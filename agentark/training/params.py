"""How weights are optimised, whatever they learn; plain data, no torch."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from agentark.errors import InvalidInput

Check = tuple[str, bool, str]
"""A field, whether its value is in range, and what is accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimiserParams:
    """What every training is told; AdamW in all of them."""

    learning_rate: float
    """Peak learning rate, > 0."""
    lora_rank: int = 0
    """Rank of the adapters on all linear layers; 0 trains all weights."""
    lora_alpha: int = 0
    """The adapters' update is multiplied by lora_alpha / lora_rank; >= 1 where lora_rank is."""
    warmup_ratio: float = 0.0
    """Part of the steps over which the learning rate rises from 0, in [0, 1)."""
    scheduler: Literal["cosine", "linear", "constant"] = "cosine"
    """Course of the learning rate after the warm-up; cosine and linear fall to 0."""
    weight_decay: float = 0.0
    """Decoupled weight decay, >= 0; norms and biases are left out."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of forward and backward pass; weights and optimiser stay in 32 bits."""
    seed: int = 0
    """Seed of all that is drawn: the order of the data, the start of new weights, dropout, roll-outs."""
    save_steps: int = 100
    """Steps between checkpoints, >= 1; the result does not depend on it."""


def positive(value: float) -> bool:
    """Whether a value is a finite number above 0."""
    return math.isfinite(value) and value > 0


def weight(value: float) -> bool:
    """Whether a value is a finite number of 0 or more."""
    return math.isfinite(value) and value >= 0


def check(params: OptimiserParams, what: str, own: Iterable[Check]) -> None:
    """Check the fields that all trainings have, and the ones of this kind.

    Args:
        params: What to check.
        what: Begins the message.
        own: Checks of the fields that only this kind of training has.

    Raises:
        InvalidInput: If a value is out of its range; names the field, its value and what is accepted.
    """
    shared = (
        ("learning_rate", positive(params.learning_rate), "more than 0"),
        ("lora_rank", params.lora_rank >= 0, "0 (all weights) or more"),
        ("lora_alpha", params.lora_alpha >= (1 if params.lora_rank else 0), "1 or more where lora_rank is"),
        ("warmup_ratio", 0 <= params.warmup_ratio < 1, "at least 0 and less than 1"),
        ("scheduler", params.scheduler in ("cosine", "linear", "constant"), "cosine, linear, constant"),
        ("weight_decay", weight(params.weight_decay), "0 or more"),
        ("precision", params.precision in ("float32", "bfloat16"), "float32, bfloat16"),
        ("seed", 0 <= params.seed < 2**32, "0 to 2**32 - 1"),
        ("save_steps", params.save_steps >= 1, "1 or more"),
    )
    for name, good, accepted in (*own, *shared):
        if not good:
            raise InvalidInput(f"{what}: {name} is {getattr(params, name)!r}; accepted: {accepted}")
