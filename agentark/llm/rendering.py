"""A conversation as the text that a model reads, by its tokenizer's chat template."""

from collections.abc import Sequence
from typing import Any

from agentark.errors import EngineError
from agentark.llm.chat import Message

_SHOWN = 300  # characters of a template's complaint


def continues(messages: Sequence[Message]) -> bool:
    """Say whether a conversation asks for the rest of its last message instead of a new one."""
    return bool(messages) and messages[-1].role == "assistant"


def render(tokenizer: Any, messages: Sequence[Message]) -> str:
    """Write a conversation up to where the assistant speaks on.

    Args:
        tokenizer: A transformers tokenizer with a chat template.
        messages: If the last one is the assistant's, the text ends with it, open to be continued.

    Raises:
        EngineError: If the chat template refuses the conversation, or does not show its last message as it is.
    """
    turns = [{"role": message.role, "content": message.content} for message in messages]
    goes_on = continues(messages)
    try:
        text: str = tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=not goes_on, continue_final_message=goes_on
        )
    except Exception as error:  # Templates raise what they like.
        roles = ", ".join(message.role for message in messages)
        asked = "cannot continue the last message" if goes_on else "refuses a conversation"
        raise EngineError(f"the model's chat template {asked} of ({roles}): {str(error)[:_SHOWN]}") from error
    if goes_on and not text.endswith(messages[-1].content.rstrip()):
        raise EngineError(
            "the model's chat template changes an assistant message, so it cannot be continued; it ends with "
            f"{text[-40:]!r}, the message with {messages[-1].content[-40:]!r}"
        )
    return text


def lost_role(text: str, messages: Sequence[Message]) -> str:
    """Name the role of the first message that a rendered conversation does not show; empty if it shows all.

    White space does not count, nor where a system message stands: some templates write it into a user's turn. One that
    expects content in parts renders without an error and shows nothing.
    """
    whole, begin = " ".join(text.split()), 0
    for message in messages:
        content = " ".join(message.content.split())
        position = whole.find(content, 0 if message.role == "system" else begin)
        if position < 0:
            return message.role
        if message.role != "system":
            begin = position + len(content)
    return ""
