"""Texts are filled literally, and replies are cut where the marker stands."""

import pytest

from agentark.api import Prompts
from agentark.debate import split_reply
from agentark.debate.prompts import review_text, solve_text, summarise_text
from agentark.errors import InvalidInput


def test_only_placeholders_of_the_template_are_replaced() -> None:
    prompts = Prompts(solve="\\frac{1}{2} {question} {other}", peer="{number}: {solution}", review="<{peers}>")
    assert solve_text(prompts, "{question} {peers}") == "\\frac{1}{2} {question} {peers} {other}"
    assert review_text(prompts, ["{number}", "{solution}"]) == "<1: {number}\n2: {solution}>"


def test_default_texts_ask_for_what_the_rest_relies_on() -> None:
    prompts = Prompts()
    for text in (prompts.solve, prompts.review, prompts.summarise):
        assert "\\boxed{}" in text
        assert prompts.solution_marker in text
    shown = summarise_text(prompts, "Q?", ["one", "two"])
    assert shown.index("Q?") < shown.index("Agent 1") < shown.index("one") < shown.index("Agent 2")


def test_an_empty_solution_is_named() -> None:
    assert "(no solution)" in review_text(Prompts(), [""])


@pytest.mark.parametrize(
    ("field", "text"), [("solve", "hello"), ("peer", "{number}"), ("review", "{question}"), ("summarise", "{peers}")]
)
def test_a_missing_placeholder_is_named(field: str, text: str) -> None:
    with pytest.raises(InvalidInput, match=rf"{field} lacks \{{"):
        Prompts(**{field: text})


@pytest.mark.parametrize(
    ("text", "marker", "critique", "solution"),
    [
        ("They err.\n## S\n1\n## S again", "## S", "They err.", "## S\n1\n## S again"),
        ("no marker ", "## S", "", "no marker"),
        ("## S at once", "## S", "", "## S at once"),
        ("anything", "", "", "anything"),
        ("", "## S", "", ""),
    ],
)
def test_a_reply_is_cut_in_front_of_the_first_marker(text: str, marker: str, critique: str, solution: str) -> None:
    assert split_reply(text, marker) == (critique, solution)
