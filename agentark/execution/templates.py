"""Whether the chat templates of models write what their models are to read, tried in a process of its own.

Run as `python -m agentark.execution.templates` it reads `Trials` on standard input and writes a list with a fault for
each on standard output. transformers and torch, which it loads, leave memory with it; a template that never ends is
ended with it.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from agentark import pretrained
from agentark.curate.rows import single_pass_prompt
from agentark.debate import DebateProtocol
from agentark.debate.protocol import conversations
from agentark.errors import EngineError, InvalidInput
from agentark.llm import Message
from agentark.llm.chat_template import lost_role, render
from agentark.planning.rehearsing import Rehearsal

_SOLUTION = "### Solution\nStep 1: 1 + 1 = 2\nThe answer is \\boxed{2}."
_OWN_TEMPLATE = "put another chat_template.jinja into the model's folder, or take another model"
_NO_SYSTEM = "leave out system messages (protocol.prompts.system, and roles in protocol.team)"
_SHOWN = 300  # characters of what a loader or template says


class Trial(BaseModel):
    """A model to try."""

    model_config = ConfigDict(frozen=True)

    rehearsal: Rehearsal
    folder: Path
    """Holds at least its configuration and tokenizer."""
    protocol: DebateProtocol
    """Of the debate."""


class Trials(BaseModel):
    """The models of a run, and the question that they are to write."""

    model_config = ConfigDict(frozen=True)

    question: str
    trials: tuple[Trial, ...]


FAULTS = TypeAdapter(list[str])


def faults(trials: Trials) -> list[str]:
    """What is wrong with each model; empty where nothing is."""
    return [_fault(trial.rehearsal, trial.folder, trials.question, trial.protocol) for trial in trials.trials]


def _fault(rehearsal: Rehearsal, folder: Path, question: str, protocol: DebateProtocol) -> str:
    """What is wrong with a model; empty if nothing is."""
    what = "config.json"
    try:
        pretrained.read_config(folder)
        what = "tokenizer"
        tokenizer = pretrained.read_tokenizer(folder)
    except Exception as error:  # Loaders of many formats raise many things.
        return f"its {what} cannot be loaded: {_line(error)}"
    prompt = [Message(**message) for message in single_pass_prompt(protocol.prompts, question)]  # type: ignore[arg-type]
    if rehearsal.use == "RewardModel":
        return _reward_model_fault(tokenizer, prompt)
    if not tokenizer.chat_template:
        return (
            "it has no chat template, so it cannot be asked in turns; take a chat (instruct) model, or put a "
            "chat_template.jinja into its folder"
        )
    if rehearsal.use == "Student":
        return template_fault(tokenizer, [prompt]) or _student_fault(tokenizer, folder, prompt)
    if rehearsal.use == "Completer":
        return template_fault(tokenizer, [[*prompt, Message("assistant", _SOLUTION)]])
    asked = conversations(question, protocol, solution=_SOLUTION)
    return template_fault(tokenizer, [talk for engine, talk in asked if rehearsal.engine in (None, engine)])


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:_SHOWN]


def template_fault(tokenizer: Any, talks: Sequence[Sequence[Message]]) -> str:
    """What a chat template does wrong with some conversations, and what to do about it; empty if nothing."""
    for messages in talks:
        roles = ", ".join(message.role for message in messages)
        try:
            role = lost_role(render(tokenizer, messages), messages)
        except EngineError as error:
            without = [message for message in messages if message.role != "system"]
            if len(without) < len(messages) and not template_fault(tokenizer, [without]):
                return f"{error}; it has no system role: {_NO_SYSTEM}, or {_OWN_TEMPLATE}"
            return f"{error}; {_OWN_TEMPLATE}"
        if role:
            what = "question" if role == "user" else f"{role} message"
            mend = f"{_NO_SYSTEM}, or {_OWN_TEMPLATE}" if role == "system" else _OWN_TEMPLATE
            return f"its chat template loses the {what} of ({roles}): the prompt lacks it; {mend}"
    return ""


def _student_fault(tokenizer: Any, folder: Path, prompt: Sequence[Message]) -> str:
    from agentark.distill.encoding import encode
    from agentark.distill.rows import Row, Turn
    from agentark.distill.student import read_base

    text = render(tokenizer, prompt)
    opened = text[text.rfind(prompt[-1].content) :]
    if opened.rfind("<think>") > opened.rfind("</think>"):
        return (
            "its chat template opens <think> where the answer begins, so the student would be asked to think first, "
            "which the solutions that it learns from do not; take a variant that does not think, or put a "
            "chat_template.jinja without it into the model's folder"
        )
    try:
        base = read_base(folder)
    except InvalidInput as error:
        return str(error).removeprefix("student model: ")
    whole = [*prompt, Message("assistant", _SOLUTION)]
    *asked, answer = (Turn(role=message.role, content=message.content) for message in whole)
    row = Row(prompt=asked, completion=[answer])
    try:
        written = tokenizer.apply_chat_template([turn.model_dump() for turn in (*asked, answer)], tokenize=False)
        if role := lost_role(written, whole):
            lost = "answer" if role == "assistant" else f"{role} message"
            return f"its chat template loses the {lost} of a prompt with the answer to learn; {_OWN_TEMPLATE}"
        encode([row], tokenizer, base.ends)
    except InvalidInput as error:
        return str(error).removeprefix("student model: ")
    except Exception as error:  # Templates raise what they like.
        return f"its chat template refuses a prompt with its answer: {_line(error)}; {_OWN_TEMPLATE}"
    return ""


def _reward_model_fault(tokenizer: Any, prompt: Sequence[Message]) -> str:
    if not tokenizer.is_fast:
        return "its tokenizer is a slow one, which does not say which characters a token holds; take another model"
    # Without a template it reads plain paragraphs.
    return template_fault(tokenizer, [prompt]) if tokenizer.chat_template else ""


def main() -> int:
    """Try the models that standard input names."""
    # What libraries print goes to the log: only the list may stand on standard output.
    output = os.dup(1)
    os.dup2(2, 1)
    trials = Trials.model_validate_json(sys.stdin.buffer.read())
    with os.fdopen(output, "wb") as file:
        file.write(FAULTS.dump_json(faults(trials)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
