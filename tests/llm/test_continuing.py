"""A last message of the assistant's is continued, by every engine."""

import json
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from agentark.errors import EngineError
from agentark.llm import Message, Sampling, ScriptedEngine
from agentark.llm.chat_template import render
from agentark.llm.connection import Connection
from agentark.llm.decoding import encode
from agentark.llm.http import HttpEngine
from agentark.llm.local import TransformersEngine
from agentark.llm.wire import request_body

ASK = Message("user", "Ann has 12 pens. She buys 9. She loses 4. How many pens now?")
GREEDY = Sampling(temperature=0.0, max_tokens=60)


def counts(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url.removesuffix("/v1") + "/counts") as response:
        found: dict[str, Any] = json.load(response)
        return found


async def test_a_continued_answer_is_the_rest_of_the_answer(engine: TransformersEngine) -> None:
    (whole,) = (await engine.chat([ASK], sampling=GREEDY, seed=0)).completions
    for cut in (whole.text.index("\n"), whole.text.rindex("\n")):
        beginning = Message("assistant", whole.text[:cut])
        (rest,) = (await engine.chat([ASK, beginning], sampling=GREEDY, seed=0)).completions
        assert beginning.content + rest.text == whole.text
        assert rest.completion_tokens < whole.completion_tokens


def test_the_prompt_ends_with_the_open_message(model_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model_path)
    beginning = Message("assistant", "Step 1: 12 + 9 = 21")
    assert render(tokenizer, [ASK, beginning]) == render(tokenizer, [ASK]) + beginning.content
    assert tokenizer.decode(encode(tokenizer, [ASK, beginning])).endswith("= 21")


@pytest.mark.parametrize("said", ["{{ message['content'] | upper }}", "...", "{{ raise_exception('never') }}"])
def test_a_template_that_does_not_show_the_message_is_an_error(model_path: Path, said: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model_path)
    tokenizer.chat_template = "{% for message in messages %}" + said + "{% endfor %}"
    with pytest.raises(EngineError, match="cannot"):
        render(tokenizer, [ASK, Message("assistant", "Step 1: twelve")])


def test_servers_are_told_to_continue_and_only_then() -> None:
    def sent(*messages: Message) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(request_body("m", messages, GREEDY, 1, 0))
        return body

    flags = {"add_generation_prompt": False, "continue_final_message": True}
    assert sent(ASK, Message("assistant", "Step 1")).items() >= flags.items()
    assert not sent(ASK).keys() & flags
    assert not sent(ASK, Message("assistant", "Step 1"), ASK).keys() & flags


async def test_a_server_that_cannot_continue_is_named_as_such(serve: Callable[..., Any]) -> None:
    url = serve("--strict").url
    engine = HttpEngine(Connection(url, "test"))
    await engine.chat([ASK], sampling=GREEDY, seed=0)
    with pytest.raises(EngineError, match=r"status 400.*continue_final_message.*serve the model with vLLM"):
        await engine.chat([ASK, Message("assistant", "Step 1")], sampling=GREEDY, seed=0)
    await engine.aclose()
    assert counts(url)["requests"] == 2  # A refusal is final.


async def test_a_script_sees_what_it_is_to_continue() -> None:
    def script(messages: Sequence[Message], *_: Any) -> str:
        return f"after {messages[-1].content}"

    (found,) = (
        await ScriptedEngine(script).chat([ASK, Message("assistant", "one")], sampling=GREEDY, seed=0)
    ).completions
    assert found.text == "after one"
