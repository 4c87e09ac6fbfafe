"""How a reply ended, as servers of many vendors say it, and contents that are no plain text."""

import json
from typing import Any

import pytest

from agentark.llm import Message
from agentark.llm.chat import Completion
from agentark.llm.wire import Malformed, filtered_reply, parse_reply

RIGHT = "The answer is \\boxed{7}."


def read(message: dict[str, Any], reason: object = "stop") -> Completion:
    body = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": reason}]}).encode()
    (completion,) = parse_reply(body, [Message("user", "3 + 4?")]).completions
    return completion


@pytest.mark.parametrize(
    ("reason", "ending"),
    [
        *((reason, "stop") for reason in ("stop", None, "eos", "end_turn", "tool_calls", 7)),
        *((reason, "length") for reason in ("length", "LENGTH", "max_tokens", "MAX_TOKENS", "model_length")),
        *((reason, "filtered") for reason in ("content_filter", "refusal", "SAFETY", "RECITATION", "blocklist")),
        *((reason, "filtered") for reason in ("content_filter: hate", " Content_Filter ", "IMAGE_SAFETY", "LANGUAGE")),
        *((reason, "filtered") for reason in ("guardrail_intervened", "PROHIBITED_CONTENT: x", "spii")),
        *((reason, "length") for reason in ("max_tokens: 8", " LENGTH")),
    ],
)
def test_endings_have_many_names(reason: object, ending: str) -> None:
    completion = read({"content": RIGHT}, reason)
    assert (completion.finish_reason, completion.text) == (ending, RIGHT)


@pytest.mark.parametrize("choice", [{"message": None}, {}, {"message": {}}, {"message": {"content": None}}])
def test_what_a_filter_took_away_is_an_empty_text(choice: dict[str, Any]) -> None:
    body = json.dumps({"choices": [{"index": 0, "finish_reason": "content_filter", **choice}]}).encode()
    assert parse_reply(body, []).completions == (Completion("", "", "filtered", 0),)


@pytest.mark.parametrize("choice", [{"message": None}, {}, {"message": None, "finish_reason": "stop"}])
def test_no_message_without_a_filter_is_malformed(choice: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        parse_reply(json.dumps({"choices": [{"index": 0, **choice}]}).encode(), [])


@pytest.mark.parametrize("code", ["content_filter", "Content_Filter", "content_policy_violation"])
def test_a_refusal_by_a_filter_stands_for_all_completions(code: str) -> None:
    answer = filtered_reply(json.dumps({"error": {"code": code}}).encode(), [Message("user", "12345678")], 3)
    assert answer is not None
    assert (answer.completions, answer.prompt_tokens) == ((Completion("", "", "filtered", 0),) * 3, 2)


@pytest.mark.parametrize(
    "body", ["", "{", "[]", '{"error": "content_filter"}', '{"error": {"code": 7}}', '{"error": {"code": null}}',
             '{"error": {"code": "context_length_exceeded"}}', "[" * 50000],
)  # fmt: skip
def test_other_refusals_are_none_of_a_filter(body: str) -> None:
    assert filtered_reply(body.encode(), [], 1) is None


@pytest.mark.parametrize("reason", ["abort", "error", "insufficient_system_resource"])
def test_what_the_server_gave_up_is_no_reply(reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        read({"content": RIGHT}, reason)


@pytest.mark.parametrize(
    "message",
    [
        {"content": None, "refusal": "I cannot."},
        {"content": "", "refusal": "I cannot."},
        {"content": [{"type": "refusal", "refusal": "I cannot."}]},
    ],
)
def test_a_refusal_is_filtered_and_kept_to_be_read(message: dict[str, Any]) -> None:
    completion = read(message)
    assert (completion.text, completion.finish_reason) == ("I cannot.", "filtered")


def test_an_answer_beside_a_refusal_does_not_count() -> None:
    assert read({"content": RIGHT, "refusal": "I cannot."}).finish_reason == "filtered"


@pytest.mark.parametrize("message", [{}, {"content": None}, {"content": []}, {"content": None, "tool_calls": [{}]}])
def test_no_content_is_an_empty_text(message: dict[str, Any]) -> None:
    assert read(message).text == ""


def test_what_was_only_thought_is_no_answer() -> None:
    completion = read({"content": None, "reasoning": RIGHT})
    assert (completion.text, completion.reasoning) == ("", RIGHT)


@pytest.mark.parametrize(
    ("content", "reasoning"),
    [
        ([{"type": "text", "text": "The answer is "}, {"type": "text", "text": "\\boxed{7}."}], ""),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": RIGHT}], "hm"),
        ([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": RIGHT}], "hm"),
    ],
)
def test_contents_in_parts_are_read(content: list[Any], reasoning: str) -> None:
    completion = read({"content": content})
    assert (completion.text, completion.reasoning) == (RIGHT, reasoning)


@pytest.mark.parametrize("content", [[1], [{"text": {}}, {"text": 7}], {"text": RIGHT}, 7, [None], [{"thinking": [1]}]])
def test_parts_that_are_no_texts_are_malformed(content: object) -> None:
    with pytest.raises(Malformed):
        read({"content": content})
