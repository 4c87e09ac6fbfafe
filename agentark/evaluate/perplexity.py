"""Perplexity of reasoning: how surprised a model is by the reasoning of gold solutions (the paper's E.1).

``exp(-(1/|R|) sum over t in R of log p(x_t | x_<t))`` with the gold solution forced on the model; R are the tokens of
the reasoning: neither the question nor the final answer. Computed per solution, then averaged. torch is imported when a
model is measured, not before.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentark.errors import InvalidInput
from agentark.llm import Message
from agentark.pretrained import load_weights, read_tokenizer
from agentark.statistics import Interval, paired_bootstrap

_ANSWER = re.compile(
    r"####|\\(?:boxed|fbox)\b|^[ \t>*_]*A[*_]*[ \t]*:|\b(?:the|final)\s+answer\b|\banswer\s*(?:is\b|:)", re.I | re.M
)
_SENTENCE_END = re.compile(r"[.!?](?:\s+|$)|\n+")


@dataclass(frozen=True, slots=True)
class Trace:
    """A gold solution and the conversation that asks for it."""

    prompt: tuple[Message, ...]
    text: str
    reasoning_end: int
    """Characters of the text that are reasoning; what follows gives the answer."""


@dataclass(frozen=True, slots=True)
class Perplexity:
    """A model on a set of gold solutions."""

    n: int
    """Solutions measured."""
    mean: float
    """Mean of the solutions' perplexities, >= 1."""
    interval: Interval
    """95 % bootstrap interval of the mean, over the solutions."""
    pooled: float
    """``exp`` of the mean over all reasoning tokens: long solutions count for more."""
    tokens: int
    """Reasoning tokens."""
    without_reasoning: int
    """Solutions left out: nothing stands before their final answer."""
    too_long: int
    """Solutions left out: with their question they are longer than the model reads."""
    per_solution: tuple[float, ...]
    """In the order given."""

    def as_json(self) -> dict[str, Any]:
        """Return the measures as JSON values, without those of single solutions."""
        names = ("n", "mean", "pooled", "tokens", "without_reasoning", "too_long")
        return {**{name: getattr(self, name) for name in names}, "interval": self.interval._asdict()}


def reasoning_end(text: str) -> int:
    r"""Find where a solution stops to reason and gives its answer.

    That is the start of the sentence or line with the last ``####``, ``\boxed``, ``A:`` or "the answer is".

    Returns:
        A number of characters; the whole length where no answer is marked.
    """
    last = None
    for last in _ANSWER.finditer(text):  # noqa: B007 (the last match is wanted)
        pass
    if last is None:
        return len(text)
    before = [end.end() for end in _SENTENCE_END.finditer(text, 0, last.start())]
    start = before[-1] if before else 0
    return start if not last[0].startswith("#") else last.start()


def from_log_probabilities(
    solutions: Sequence[Sequence[float]], *, without_reasoning: int = 0, too_long: int = 0
) -> Perplexity:
    """Compute the measures.

    Args:
        solutions: ``log p`` (natural) of each reasoning token, at least one, by solution.
        without_reasoning: Solutions that were left out.
        too_long: The same.

    Raises:
        InvalidInput: If no solution is left.
    """
    if not solutions:
        raise InvalidInput(
            f"perplexity: no solution to measure: {without_reasoning} have no reasoning before their answer, "
            f"{too_long} are longer than the model reads"
        )
    each = tuple(math.exp(-math.fsum(values) / len(values)) for values in solutions)
    tokens = sum(map(len, solutions))
    return Perplexity(
        n=len(each),
        mean=math.fsum(each) / len(each),
        interval=paired_bootstrap(each, [0.0] * len(each)),
        pooled=math.exp(-math.fsum(map(math.fsum, solutions)) / tokens),
        tokens=tokens,
        without_reasoning=without_reasoning,
        too_long=too_long,
        per_solution=each,
    )


def measure(model: Path, traces: Sequence[Trace], *, batch_tokens: int = 8192) -> Perplexity:
    """Measure a model.

    Args:
        model: Folder of a causal language model with a chat template.
        traces: What it is measured on.
        batch_tokens: Tokens per forward pass, padding included; changes speed and memory only.

    Raises:
        InvalidInput: If the folder is no such model, or no trace can be measured.
    """
    from transformers import AutoModelForCausalLM

    if not (model / "config.json").is_file():
        raise InvalidInput(f"perplexity: {model} holds no config.json, so it is not a model folder")
    try:
        tokenizer = read_tokenizer(model)
        network = load_weights(AutoModelForCausalLM, model, "inference").eval()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise InvalidInput(f"perplexity: {model} cannot be loaded: {error}") from error
    if tokenizer.chat_template is None or not tokenizer.is_fast:
        raise InvalidInput(f"perplexity: the tokenizer of {model} has no chat template or is no fast tokenizer")
    encoded = [_encode(tokenizer, trace) for trace in traces]
    reads = int(network.config.get_text_config().max_position_embeddings)
    fitting = [(ids, positions) for ids, positions in encoded if len(ids) <= reads]
    measured = [(ids, positions) for ids, positions in fitting if positions]
    losses: list[list[float]] = [[] for _ in measured]
    for batch in _batches([len(ids) for ids, _ in measured], batch_tokens):
        for index, values in zip(batch, _log_probabilities(network, [measured[i] for i in batch]), strict=True):
            losses[index] = values
    return from_log_probabilities(
        losses, without_reasoning=len(fitting) - len(measured), too_long=len(encoded) - len(fitting)
    )


def _encode(tokenizer: Any, trace: Trace) -> tuple[list[int], list[int]]:
    """Token ids, and the positions of the reasoning tokens: those that lie in the reasoning with all characters."""
    messages = [{"role": message.role, "content": message.content} for message in trace.prompt]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    both = tokenizer(prompt + trace.text, add_special_tokens=False, return_offsets_mapping=True)
    first, last = len(prompt), len(prompt) + trace.reasoning_end
    places = enumerate(both["offset_mapping"])
    return both["input_ids"], [i for i, (start, end) in places if i and first <= start < end <= last]


def _batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Group texts of like length so that rows times longest row keeps within the budget."""
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if groups and (len(groups[-1]) + 1) * lengths[index] <= budget:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def _log_probabilities(network: Any, rows: Sequence[tuple[list[int], list[int]]]) -> list[list[float]]:
    import torch

    longest = max(len(ids) for ids, _ in rows)
    # Padded at the end: a causal model does not see it from where it is measured.
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row, _ in rows], device=network.device)
    mask = torch.tensor([[*[1] * len(row), *[0] * (longest - len(row))] for row, _ in rows], device=network.device)
    with torch.inference_mode():
        logits = network(input_ids=ids, attention_mask=mask).logits
    out = []
    for index, (_, positions) in enumerate(rows):
        places = torch.tensor(positions, device=network.device)
        scores = torch.log_softmax(logits[index, places - 1].float(), dim=-1)
        out.append(scores.gather(1, ids[index, places].unsqueeze(1)).squeeze(1).tolist())
    return out
