"""The words every engine speaks: messages, sampling, completions, replies.

This module knows no server, no model and no debate; engines and their callers meet here and nowhere else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from agentark.errors import InvalidInput

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "filtered"]

_THINK_OPEN, _THINK_CLOSE = "<think>", "</think>"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation as a chat model reads it."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next turn is drawn.

    Raises:
        InvalidInput: If a value is out of its range.
    """

    temperature: float = 0.7
    """Divides the logits, >= 0; 0 takes the most likely token each time."""
    top_p: float = 1.0
    """Smallest set of tokens holding this probability, in (0, 1]; 1 keeps all."""
    top_k: int = 0
    """Number of most likely tokens kept, >= 0; 0 keeps all."""
    max_tokens: int = 1024
    """Longest completion, in tokens, >= 1; a completion that reaches it is marked as truncated."""
    stop: tuple[str, ...] = ()
    """Texts that end a completion; they are not part of it."""

    def __post_init__(self) -> None:
        for name, good, accepted in (
            ("temperature", self.temperature >= 0, "0 or more"),
            ("top_p", 0 < self.top_p <= 1, "more than 0 and at most 1"),
            ("top_k", self.top_k >= 0, "0 (keep all) or more"),
            ("max_tokens", self.max_tokens >= 1, "1 or more"),
            ("stop", "" not in self.stop, "texts that are not empty"),
        ):
            if not good:
                raise InvalidInput(f"sampling.{name} is {getattr(self, name)!r}; accepted: {accepted}")


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled turn."""

    text: str
    """The visible answer, without reasoning and stop text."""
    reasoning: str
    """Hidden thinking: what the server reports as such, or the ``<think>`` block; empty where there is none."""
    finish_reason: FinishReason
    """``length`` means truncated: the text ends where `Sampling.max_tokens` cut it. ``filtered``: the server's content
    filter ended it, or the model refused; the text is what is left, or the refusal."""
    completion_tokens: int
    """Tokens generated, reasoning included."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What one request gave: as many completions as were asked for, in the order of their sample index."""

    completions: tuple[Completion, ...]
    prompt_tokens: int
    """Tokens of the prompt, counted once however many completions were sampled from it."""
    latency_s: float
    """Seconds from the request to the last completion, waiting for a free slot not included."""
    model: str


class Engine(Protocol):
    """Anything that answers chat requests; requests may run at the same time in any number."""

    @property
    def model(self) -> str:
        """Name of the model that answers, as it is written into transcripts."""
        ...

    async def chat(self, messages: Sequence[Message], *, sampling: Sampling, n: int = 1, seed: int) -> Reply:
        """Sample `n` next turns of the conversation.

        Where the last message is the assistant's, it is continued: completions hold what follows it and nothing of it.
        Give it without white space at its end, which templates cut off.

        The same arguments give the same texts, whatever else the engine works on meanwhile (up to floating point).

        Raises:
            EngineError: If no usable reply came; only this request has failed.
        """
        ...

    async def aclose(self) -> None:
        """Release connections, threads and memory."""
        ...


class SplitText(NamedTuple):
    """A model's raw text, taken apart."""

    text: str
    reasoning: str


def split_reasoning(raw: str) -> SplitText:
    """Cut a leading ``<think>...</think>`` block out of a raw completion.

    Some chat templates open the block themselves, so a text that only closes it is reasoning up to there. A block that
    is never closed is reasoning to its end: such a completion holds no answer.

    Returns:
        The answer and the reasoning, each without the white space around them; a text without a block comes back as is.
    """
    head, opened, tail = raw.partition(_THINK_OPEN)
    if opened and not head.strip():
        reasoning, _, text = tail.partition(_THINK_CLOSE)
        return SplitText(text.strip(), reasoning.strip())
    if not opened and _THINK_CLOSE in raw:
        reasoning, _, text = raw.partition(_THINK_CLOSE)
        return SplitText(text.strip(), reasoning.strip())
    if opened:
        reasoning, _, after = tail.partition(_THINK_CLOSE)
        return SplitText((head + after).strip(), reasoning.strip())
    return SplitText(raw, "")
