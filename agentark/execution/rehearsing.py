"""One question, written by the chat template of every model of a run before the first one is paid for."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentark import pretrained
from agentark.curate.rows import single_pass_prompt
from agentark.debate import DebateProtocol
from agentark.debate.protocol import conversations
from agentark.errors import EngineError, InvalidInput, StoreError
from agentark.execution.context import StageContext
from agentark.execution.protocols import protocol_from
from agentark.execution.weights import tokenizer_folder
from agentark.llm import Message
from agentark.llm.rendering import lost_role, render
from agentark.planning.rehearsing import Rehearsal
from agentark.tasks import Question

_log = logging.getLogger(__name__)
_SOLUTION = "### Solution\nStep 1: 1 + 1 = 2\nThe answer is \\boxed{2}."
_OWN_TEMPLATE = "put another chat_template.jinja into the model's folder, or take another model"
_NO_SYSTEM = "leave out system messages (protocol.prompts.system, and roles in protocol.team)"
_SHOWN = 300  # characters of what a loader or template says


def rehearse(context: StageContext, question: Question) -> None:
    """Try the models that live on the debates of a plan on a question; nothing is generated.

    Every stage that asks before a student is there does so: on a cluster, and with several jobs on a laptop, the
    evaluation of the base does not wait for the debate.

    Models that a server runs are not tried, since its template is its own. Of a model that is not here configuration
    and tokenizer are fetched, no weights; where the hub does not give them, the stage that needs the model finds out.

    Raises:
        InvalidInput: A chat template cannot write what its model is to read; all of them, each by its field.
        StoreError: A store that holds a model cannot be read.
    """
    wrong: dict[str, None] = {}
    for stage in context.plan.stages:
        for settings in stage.settings.get("rehearsals", ()):
            rehearsal = Rehearsal.model_validate(settings)
            if rehearsal.engine is not None and "model" not in stage.settings["models"][rehearsal.engine]:
                continue
            folder = _folder(context, rehearsal)
            fault = _fault(rehearsal, folder, question.text, protocol_from(stage.params["protocol"])) if folder else ""
            if fault:
                wrong[f"{rehearsal.field} ({rehearsal.uri}): {fault}"] = None
    if wrong:
        raise InvalidInput("\n".join(wrong))


def _folder(context: StageContext, rehearsal: Rehearsal) -> Path | None:
    try:
        return tokenizer_folder(context, rehearsal.uri)
    except (InvalidInput, StoreError):
        raise
    except Exception as error:  # The hub's client raises its own errors and those of its HTTP library.
        _log.warning("%s is not tried beforehand: the hub did not give it (%s)", rehearsal.field, error)
        return None


def _fault(rehearsal: Rehearsal, folder: Path, question: str, protocol: DebateProtocol) -> str:
    """What is wrong with a model; empty if nothing is."""
    try:
        tokenizer = pretrained.read_tokenizer(folder)
    except Exception as error:  # Loaders of many formats raise many things.
        return f"its tokenizer cannot be loaded: {_line(error)}"
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
    from transformers import GenerationConfig

    from agentark.distill.encoding import encode
    from agentark.distill.rows import Row, Turn

    text = render(tokenizer, prompt)
    opened = text[text.rfind(prompt[-1].content) :]
    if opened.rfind("<think>") > opened.rfind("</think>"):
        return (
            "its chat template opens <think> where the answer begins, so the student would be asked to think first, "
            "which the solutions that it learns from do not; take a variant that does not think, or put a "
            "chat_template.jinja without it into the model's folder"
        )
    try:
        generation = GenerationConfig.from_pretrained(folder) if (folder / "generation_config.json").is_file() else None
    except (OSError, ValueError, TypeError) as error:
        return f"its generation_config.json cannot be loaded: {_line(error)}"
    ends = generation.eos_token_id if generation is not None else None
    whole = [*prompt, Message("assistant", _SOLUTION)]
    *asked, answer = (Turn(role=message.role, content=message.content) for message in whole)
    row = Row(prompt=asked, completion=[answer])
    try:
        written = tokenizer.apply_chat_template([turn.model_dump() for turn in (*asked, answer)], tokenize=False)
        if role := lost_role(written, whole):
            lost = "answer" if role == "assistant" else f"{role} message"
            return f"its chat template loses the {lost} of a prompt with the answer to learn; {_OWN_TEMPLATE}"
        encode([row], tokenizer, ends if isinstance(ends, list) else [] if ends is None else [ends])
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
