"""Solutions as token ids, with the positions at which a reward model's scores are read."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from agentark.errors import InvalidInput
from agentark.llm.chat import Message
from agentark.reward.steps import Step, last_tokens


class Window(NamedTuple):
    """What the model reads in one sequence."""

    ids: list[int]
    positions: list[int]
    """Token position of the last token of each step that is scored here."""
    steps: list[int]
    """Which steps of the solution these are."""


def encode(
    tokenizer: Any, prompt: Sequence[Message], solution: str, steps: Sequence[Step], *, max_length: int
) -> list[Window]:
    """Tokenise a solution under its prompt.

    A solution that does not fit is read in windows that each begin with the prompt and overlap by half; a step is
    scored in the first window that holds all of it, where most of what precedes it can be seen.

    Args:
        tokenizer: The reward model's own, fast one; whatever wrote the solution used another.
        prompt: The conversation up to the solution.
        solution: Its text.
        steps: Steps to score.
        max_length: Tokens of a window, prompt included.

    Returns:
        Windows in order; none for no steps.

    Raises:
        InvalidInput: If the prompt leaves less than half of the window.
    """
    if not steps:
        return []
    head = prompt_ids(tokenizer, prompt)
    room = max_length - len(head)
    encoded = tokenizer(solution, add_special_tokens=False, return_offsets_mapping=True)
    body = list(encoded["input_ids"])
    ends = last_tokens([(int(start), int(end)) for start, end in encoded["offset_mapping"]], steps)
    if len(body) > room and 2 * room < max_length:
        raise InvalidInput(
            f"a prompt has {len(head)} tokens, more than half of the {max_length} that the reward model reads at once "
            f"(it begins {prompt[0].content[:60]!r}); raise maxLengthTokens or take a model with a longer context"
        )
    windows = []
    begin, done = 0, 0
    while done < len(ends):
        inside = [number for number in range(done, len(ends)) if ends[number] < begin + room]
        if inside:
            ids = head + body[begin : ends[inside[-1]] + 1]
            windows.append(Window(ids, [len(head) + ends[number] - begin for number in inside], inside))
            done = inside[-1] + 1
        begin += max(1, room // 2)
    return windows


def prompt_ids(tokenizer: Any, prompt: Sequence[Message]) -> list[int]:
    """The conversation as the tokenizer's chat template writes it, or as plain paragraphs where it has none."""
    if tokenizer.chat_template:
        messages = [{"role": message.role, "content": message.content} for message in prompt]
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    else:
        text = "".join(f"{message.content}\n\n" for message in prompt)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])
