"""Batched generation with a transformers model.

`Batch` decodes rows of different lengths, sampling and seeds together; `decode` cuts any number of prompts into such
batches, for roll-outs, and `generate` does so for conversations, for in-training evaluation. The engine in
`agentark.llm.local` fills its batches with requests as they come.

Shapes: ``R`` rows (completions), ``P`` prompts, ``T`` tokens of the longest prompt.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from agentark.errors import EngineError, InvalidInput
from agentark.llm.chat import Completion, FinishReason, Message, Sampling, split_reasoning
from agentark.llm.chat_template import render
from agentark.llm.drawing import Rules, uniforms
from agentark.llm.kvcache import RowCache

_BATCH_TOKENS = 65_536
_PREFILL_TOKENS = 4096  # A forward pass over more no longer fits the processor's caches and is slower per token.
_FINISHED_SHARE = 0.15  # Rows that finish stay until this share has: dropping copies what the others have cached.


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request in tokens."""

    ids: tuple[int, ...]
    sampling: Sampling
    n: int
    seed: int
    first: int = 0
    """Index of the first completion; another request may draw the ones before it, with the same seed."""

    @property
    def tokens(self) -> int:
        """Tokens that the request may come to hold."""
        return self.n * (len(self.ids) + self.sampling.max_tokens)


class Finished(NamedTuple):
    """A prompt whose completions are all there."""

    prompt: int
    completions: tuple[Completion, ...]
    tokens: tuple[tuple[int, ...], ...]
    """What was sampled for each, the token that ended it included."""


@dataclass(slots=True)
class _Row:
    """One completion in the making."""

    prompt: int
    index: int
    tokens: list[int]


def encode(tokenizer: Any, messages: Sequence[Message]) -> tuple[int, ...]:
    """Render a conversation up to where the assistant speaks on, as token ids.

    Raises:
        EngineError: If the chat template refuses the conversation.
    """
    return tuple(tokenizer(render(tokenizer, messages), add_special_tokens=False)["input_ids"])


def check_context(model: Any, prompt: Prompt) -> None:
    """Refuse what the model cannot hold.

    Raises:
        EngineError: If the prompt with its completion is longer than the model's context.
    """
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if limit is not None and len(prompt.ids) + prompt.sampling.max_tokens > limit:
        raise EngineError(
            f"the prompt has {len(prompt.ids)} tokens and sampling.max_tokens is {prompt.sampling.max_tokens}; "
            f"together they exceed the model's context of {limit} tokens; lower max_tokens or shorten the prompt"
        )


class Batch:
    """Prompts that are decoded together.

    Args:
        model: A causal language model in eval mode.
        tokenizer: Its tokenizer.
        prompts: At least one, each checked by `check_context`.
    """

    def __init__(self, model: Any, tokenizer: Any, prompts: Sequence[Prompt]) -> None:
        self._model, self._tokenizer, self._prompts = model, tokenizer, prompts
        self._device = model.device
        self._ends = end_tokens(model, tokenizer)
        # Prompts of similar length fill the cache together, so that little of the work is padding.
        order = sorted(range(len(prompts)), key=lambda index: len(prompts[index].ids))
        self._rows = [_Row(prompt, index, []) for prompt in order for index in range(prompts[prompt].n)]
        self._live: list[int] = list(range(len(self._rows)))
        self._done: dict[int, dict[int, tuple[Completion, tuple[int, ...]]]] = {prompt: {} for prompt in order}
        self._rules = Rules([prompts[row.prompt].sampling for row in self._rows], self._device)
        self._uniform = _numbers(self._rows, prompts)
        self._step = 0
        lengths = torch.tensor([len(prompts[row.prompt].ids) for row in self._rows])
        width = int(lengths.max())
        self._cache = RowCache(model.config, len(self._rows), width)
        self._mask = (torch.arange(width)[None, :] >= width - lengths[:, None]).to(self._device)
        self._lengths = lengths.to(self._device)
        self._logits = self._prefill(order)

    def _prefill(self, order: Sequence[int]) -> torch.Tensor:
        """Fill the cache prompt group by prompt group; the logits after each row's prompt, shape ``(R, V)``."""
        logits, row = [], 0
        for group in _groups(order, self._prompts):
            prompts = [self._prompts[index] for index in group]
            width = max(len(prompt.ids) for prompt in prompts)
            ids = torch.tensor([(0,) * (width - len(p.ids)) + p.ids for p in prompts], device=self._device)
            mask = torch.tensor([[0] * (width - len(p.ids)) + [1] * len(p.ids) for p in prompts], device=self._device)
            repeats = torch.tensor([prompt.n for prompt in prompts], device=self._device)
            self._cache.fill(row, repeats)
            last = self._forward(ids, mask, (mask.cumsum(1) - 1).clamp(min=0))
            logits.append(last.repeat_interleave(repeats, dim=0))
            row += sum(prompt.n for prompt in prompts)
        return torch.cat(logits)

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():  # Not inference_mode: buffers that a model makes here may serve its training later.
            output = self._model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=self._cache.past,
                use_cache=True,
                logits_to_keep=1,
            )
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    def finished(self) -> Iterator[Finished]:
        """Decode to the end, giving each prompt as soon as it is complete.

        Raises:
            EngineError: If the model's numbers are not finite.
        """
        while self._live:
            yield from self._decode_token()

    def _decode_token(self) -> list[Finished]:
        """Decode one token of every row; return the prompts that are now complete."""
        chosen = self._rules.choose(self._logits, self._uniform[:, self._step].to(self._device))
        self._step += 1
        tokens = chosen.tolist()
        finished: list[Finished] = []
        live: list[int] = []
        for position in self._live:
            row = self._rows[position]
            row.tokens.append(tokens[position])
            completion = self._completion(row, tokens[position])
            if completion is None:
                live.append(position)
                continue
            done = self._done[row.prompt]
            done[row.index] = (completion, tuple(row.tokens))
            if len(done) == self._prompts[row.prompt].n:
                completions, sampled = zip(*(done[index] for index in range(len(done))), strict=True)
                finished.append(Finished(row.prompt, completions, sampled))
        self._live = live
        if live:
            self._advance(chosen)
        return finished

    def _advance(self, chosen: torch.Tensor) -> None:
        if len(self._live) <= (1 - _FINISHED_SHARE) * len(self._rows):
            chosen = chosen[self._drop_finished()]
        self._cache.extend()
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(self._rows), 1)], dim=1)
        positions = (self._lengths + self._step - 1)[:, None]
        self._logits = self._forward(chosen[:, None], self._mask, positions)

    def _drop_finished(self) -> torch.Tensor:
        keep = torch.tensor(self._live, device=self._device)
        self._lengths = self._lengths[keep]
        drop = self._cache.used - int(self._lengths.max()) - self._step + 1
        self._mask = self._mask[keep, drop:]
        self._uniform = self._uniform[keep.cpu()]
        self._rules.keep(keep)
        self._cache.keep(keep, drop)
        self._rows = [self._rows[position] for position in self._live]
        self._live = list(range(len(self._rows)))
        return keep

    def _completion(self, row: _Row, token: int) -> Completion | None:
        """Say how a row ends, if it ends with this token."""
        sampling = self._prompts[row.prompt].sampling
        if token in self._ends:
            return self._finish(row, "stop", row.tokens[:-1])
        if sampling.stop and (text := self._stopped(row, sampling.stop)) is not None:
            return _complete(text, "stop", len(row.tokens))
        if len(row.tokens) == sampling.max_tokens:
            return self._finish(row, "length", row.tokens)
        return None

    def _finish(self, row: _Row, reason: FinishReason, tokens: list[int]) -> Completion:
        return _complete(self._text(tokens), reason, len(row.tokens))

    def _stopped(self, row: _Row, stop: Sequence[str]) -> str | None:
        """Cut the text at the first stop text, if there is one."""
        # A token is at least one byte, so these hold the longest stop text with some to spare on either side.
        tail = self._text(row.tokens[-max(len(text.encode()) for text in stop) - 4 :])
        if not any(text in tail for text in stop):
            return None
        whole = self._text(row.tokens)
        starts = [start for text in stop if (start := whole.find(text)) >= 0]
        return whole[: min(starts)] if starts else None

    def _text(self, tokens: list[int]) -> str:
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text


def generate(
    model: Any,
    tokenizer: Any,
    conversations: Iterable[Sequence[Message]],
    *,
    sampling: Sampling,
    seeds: Sequence[int],
    max_batch_tokens: int = _BATCH_TOKENS,
) -> list[Completion]:
    """Complete conversations with a model in memory, for example one in training.

    Args:
        model: As `decode`'s.
        tokenizer: Its tokenizer, with a chat template.
        conversations: Messages up to the user's last.
        sampling: One for all.
        seeds: One for each conversation; the text depends on it, on the conversation and the model only.
        max_batch_tokens: As `decode`'s.

    Returns:
        One completion for each conversation, in their order.

    Raises:
        EngineError, InvalidInput: As `decode`.
    """
    prompts = [
        Prompt(encode(tokenizer, messages), sampling, 1, seed)
        for messages, seed in zip(conversations, seeds, strict=True)
    ]
    finished = decode(model, tokenizer, prompts, max_batch_tokens=max_batch_tokens)
    return [prompt.completions[0] for prompt in finished]


def decode(
    model: Any, tokenizer: Any, prompts: Sequence[Prompt], *, max_batch_tokens: int = _BATCH_TOKENS
) -> list[Finished]:
    """Complete prompts, the largest first, as many together as fit.

    Args:
        model: A causal language model; its train or eval mode is the same afterwards.
        tokenizer: Its tokenizer.
        prompts: What to complete.
        max_batch_tokens: Tokens (prompts and completions at their longest) decoded together; bounds the memory.

    Returns:
        One for each prompt, in their order; `prompt` is its place in a batch.

    Raises:
        EngineError: If a prompt does not fit the model's context, or the model's numbers are not finite.
        InvalidInput: If the model's architecture cannot be batched.
    """
    for prompt in prompts:
        check_context(model, prompt)
    finished: dict[int, Finished] = {}
    was_training = model.training
    model.eval()
    try:
        waiting = sorted(range(len(prompts)), key=lambda index: prompts[index].tokens, reverse=True)
        while waiting:
            size = max(1, max_batch_tokens // prompts[waiting[0]].tokens)
            taken, waiting = waiting[:size], waiting[size:]
            batch = Batch(model, tokenizer, [prompts[index] for index in taken])
            finished |= {taken[done.prompt]: done for done in batch.finished()}
    finally:
        model.train(was_training)
    return [finished[index] for index in range(len(prompts))]


def end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Collect the ids that end a completion, from the tokenizer and the model's generation settings.

    Raises:
        InvalidInput: If neither names one.
    """
    generation = getattr(model, "generation_config", None)
    configured = getattr(generation, "eos_token_id", None)
    ids = {tokenizer.eos_token_id, *(configured if isinstance(configured, list | tuple) else [configured])} - {None}
    if not ids:
        raise InvalidInput("the tokenizer has no eos_token and the model no eos_token_id: a completion would never end")
    return frozenset(ids)


def _groups(order: Sequence[int], prompts: Sequence[Prompt]) -> list[list[int]]:
    """Cut prompts, sorted by length, into groups that are filled together."""
    groups: list[list[int]] = []
    for index in order:
        if groups and (len(groups[-1]) + 1) * len(prompts[index].ids) <= _PREFILL_TOKENS:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def _numbers(rows: Sequence[_Row], prompts: Sequence[Prompt]) -> torch.Tensor:
    """Draw every row's random numbers, shape ``(R, longest)``; rows that draw none keep zeros."""
    table = torch.zeros(len(rows), max(prompts[row.prompt].sampling.max_tokens for row in rows))
    for position, row in enumerate(rows):
        prompt = prompts[row.prompt]
        if prompt.sampling.temperature:
            table[position, : prompt.sampling.max_tokens] = uniforms(
                prompt.seed, prompt.first + row.index, prompt.sampling.max_tokens
            )
    return table


def _complete(raw: str, reason: FinishReason, tokens: int) -> Completion:
    text, reasoning = split_reasoning(raw)
    return Completion(text, reasoning, reason, tokens)
