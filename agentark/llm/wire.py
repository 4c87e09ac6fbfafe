"""The OpenAI chat format: what is sent, and what comes back. Pure; knows no connection.

Servers differ in what they return, so replies are read leniently where a field is missing and strictly where a wrong
value would become data.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from agentark.llm.chat import Completion, FinishReason, Message, Sampling, split_reasoning
from agentark.llm.rendering import continues

_CHARACTERS_PER_TOKEN = 4  # Estimate for servers that report no usage.
_CUT = {"length", "max_tokens", "model_length"}
_FILTERED = {
    *("content_filter", "content_filtered", "content_policy_violation", "data_inspection_failed", "refusal"),
    *("safety", "recitation", "blocklist", "prohibited_content", "spii", "language", "guardrail_intervened"),
    *("image_safety", "image_prohibited_content", "image_recitation"),
}
_ABORTED = {"abort", "error", "insufficient_system_resource"}
"""Words of OpenAI's format, and those that gateways pass on from other vendors' formats."""


class Malformed(ValueError):
    """A body with status 200 that is not what was asked for."""


class Answer(NamedTuple):
    """A parsed chat completion."""

    completions: tuple[Completion, ...]
    prompt_tokens: int


def request_body(model: str, messages: Sequence[Message], sampling: Sampling, n: int, seed: int) -> bytes:
    """Write a chat request; fields at their neutral value are left out, as not every server knows them.

    A last message of the assistant's is to be continued, which vLLM must be told; llama.cpp does so by itself.
    """
    body: dict[str, object] = {
        "model": model,
        "messages": [{"role": message.role, "content": message.content} for message in messages],
        "temperature": sampling.temperature,
        "max_tokens": sampling.max_tokens,
        "seed": seed,
    }
    if n > 1:
        body["n"] = n
    if sampling.top_p < 1:
        body["top_p"] = sampling.top_p
    if sampling.top_k:
        body["top_k"] = sampling.top_k
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if continues(messages):
        body |= {"add_generation_prompt": False, "continue_final_message": True}
    return json.dumps(body).encode()


def parse_reply(body: bytes, messages: Sequence[Message]) -> Answer:
    """Read a chat completion.

    A server reports the tokens of all its choices together; they are spread over them by their length, which keeps the
    sum. A server that reports none is given one token for four characters.

    Raises:
        Malformed: If it is not JSON, holds no choices, or a choice has no text or was aborted by the server.
    """
    try:
        reply = json.loads(body)
        choices = sorted(reply["choices"], key=lambda choice: int(choice.get("index", 0)))
        usage: Mapping[str, Any] = reply.get("usage") or {}
        prompt_tokens = int(usage.get("prompt_tokens") or _estimate(sum(len(m.content) for m in messages)))
        reasons = [_reason(choice) for choice in choices]
        texts = [_text(_message(choice, reason)) for choice, reason in zip(choices, reasons, strict=True)]
        lengths = [len(text) + len(reasoning) for text, reasoning in texts]
        counts = _spread(int(usage.get("completion_tokens") or _estimate(sum(lengths))), lengths)
    except Malformed:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Malformed(f"the body is no chat completion ({type(error).__name__}: {error})") from error
    if not choices:
        raise Malformed("the chat completion holds no choices")
    return Answer(
        tuple(
            Completion(text, reasoning, reason, count)
            for (text, reasoning), reason, count in zip(texts, reasons, counts, strict=True)
        ),
        prompt_tokens,
    )


def filtered_reply(body: bytes, messages: Sequence[Message], n: int) -> Answer | None:
    """The empty completions that stand for a request whose prompt a content filter refused with status 400.

    Args:
        body: Of the refusal.
        messages: What was sent.
        n: Completions that were asked for.

    Returns:
        None if it was refused for something else.
    """
    try:
        code = json.loads(body)["error"]["code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if _word(code) not in _FILTERED:
        return None
    completions = (Completion("", "", "filtered", 0),) * n
    return Answer(completions, _estimate(sum(len(message.content) for message in messages)))


def _message(choice: Mapping[str, Any], reason: FinishReason) -> Mapping[str, Any]:
    """A choice's message; where a filter took it away, one without content."""
    message: Mapping[str, Any] = (choice.get("message") or {}) if reason == "filtered" else choice["message"]
    return message


def _text(message: Mapping[str, Any]) -> tuple[str, str]:
    """The visible text of a message, a refusal where there is nothing else, and its reasoning."""
    content = message.get("content") or message.get("refusal") or ""
    reported = message.get("reasoning_content") or message.get("reasoning") or ""
    if isinstance(content, list):
        thoughts = "\n".join(_texts([inner for part in content for inner in _listed(part.get("thinking"))]))
        content, reported = "".join(_texts(content)), reported or thoughts
    if not isinstance(content, str) or not isinstance(reported, str):
        raise Malformed("a choice's content is not a text")
    text, reasoning = split_reasoning(content)
    return text, "\n".join(part for part in (reported, reasoning) if part)


def _texts(parts: Sequence[Mapping[str, Any]]) -> list[str]:
    """The texts of a content that comes in parts, refusals among them."""
    texts = [part.get("text") or part.get("refusal") or "" for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise Malformed("a part of a choice's content is not a text")
    return texts


def _listed(thinking: object) -> list[dict[str, Any]]:
    return thinking if isinstance(thinking, list) else [{"text": thinking}] if thinking else []


def _refuses(message: Mapping[str, Any]) -> bool:
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    return bool(message.get("refusal")) or any(part.get("refusal") for part in parts)


def _reason(choice: Mapping[str, Any]) -> FinishReason:
    reason = _word(choice.get("finish_reason"))
    if reason in _ABORTED:
        raise Malformed(f"the server ended a choice with finish_reason {reason!r}")
    if reason in _FILTERED or _refuses(choice["message"]):
        return "filtered"
    return "length" if reason in _CUT else "stop"


def _word(reason: object) -> str:
    """The word that says why; some vendors add details after a colon."""
    return str(reason).partition(":")[0].strip().casefold()


def _spread(total: int, lengths: Sequence[int]) -> list[int]:
    """Split a number in proportion to lengths; the parts are whole and sum up to it."""
    whole = sum(lengths)
    shares = lengths if whole else [1] * len(lengths)
    whole = whole or len(lengths)
    counts, seen, assigned = [], 0, 0
    for length in shares:
        seen += length
        counts.append(round(total * seen / whole) - assigned)
        assigned += counts[-1]
    return counts


def _estimate(characters: int) -> int:
    return -(-characters // _CHARACTERS_PER_TOKEN)
