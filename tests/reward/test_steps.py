"""Steps are pieces of the text itself, whatever the text."""

import time
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from agentark.reward import SplitRule, Step, choose_rule, last_tokens, split_steps

RULES: tuple[SplitRule, ...] = get_args(SplitRule)
QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart" / "base"
PIECES = [
    "Step 1: ",
    "2. ",
    "\n",
    "\r\n",
    "\n\n",
    ". ",
    "!",
    "。",
    "```",
    "$$",
    r"\[",
    r"\]",
    "3.5",
    "e.g. ",
    "é",
    "🙂",
    " ",
]
TEXTS = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=5)), max_size=40).map("".join)


def words(text: str, rule: SplitRule) -> list[str]:
    return [text[step.start : step.end] for step in split_steps(text, rule)]


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.sampled_from(RULES))
def test_steps_are_ordered_disjoint_and_hold_all_that_can_be_seen(text: str, rule: SplitRule) -> None:
    steps = split_steps(text, rule)
    assert all(0 <= step.start < step.end <= len(text) for step in steps)
    assert all(before.end <= after.start for before, after in pairwise(steps))
    held = {place for step in steps for place in range(step.start, step.end)}
    assert {place for place, character in enumerate(text) if not character.isspace()} <= held
    for step in steps:
        assert text[step.start : step.end] == text[step.start : step.end].strip()


def test_numbered_steps_keep_their_lines_and_the_answer_stands_alone() -> None:
    text = "Let us see.\nStep 1: 3 + 4 = 7,\nas 3.5 is half.\n**Step 2:** 7 * 2 = 14\nThe answer is \\boxed{14}"
    assert words(text, "Numbered") == [
        "Let us see.\nStep 1: 3 + 4 = 7,\nas 3.5 is half.",
        "**Step 2:** 7 * 2 = 14",
        "The answer is \\boxed{14}",
    ]
    assert words("1. one\r\n2) two\r\n3.5 apples", "Numbered") == ["1. one", "2) two\r\n3.5 apples"]


def test_blank_lines_and_newlines() -> None:
    assert words("a\nb\r\n \t\r\nc\n\n\n", "BlankLine") == ["a\nb", "c"]
    assert words("a\r\nb\n\n  c", "Newline") == ["a", "b", "c"]
    assert split_steps(" \r\n\n", "Newline") == split_steps("", "Sentence") == ()


def test_sentences_end_at_marks_but_not_at_abbreviations_or_numbers() -> None:
    text = 'He pays $3.50, i.e. 7 coins. "Is it 8?" Mr. Fox says no! Then 7 * 2'
    assert words(text, "Sentence") == [
        "He pays $3.50, i.e. 7 coins.",
        '"Is it 8?"',
        "Mr. Fox says no!",
        "Then 7 * 2",
    ]
    assert words("三加四等于七。所以答案是七！", "Sentence") == ["三加四等于七。", "所以答案是七！"]


@pytest.mark.parametrize("rule", ["Sentence", "Newline", "BlankLine"])
@pytest.mark.parametrize(
    "whole",
    [
        "```python\nx = 1. + 2\n\n\ny = x. real\n```",
        "$$\na = 1.\n\nb = 2\n$$",
        "\\[\na. b\n\nc\n\\]",
        "\\begin{align}\na. b\n\nc\n\\end{",
    ],
)
def test_code_and_displayed_formulas_are_never_torn(whole: str, rule: SplitRule) -> None:
    found = words(f"First.\n\n{whole}\n\nLast.", rule)
    assert sum(whole in step for step in found) == 1
    assert len(found) >= 2


def test_what_is_not_finished_protects_nothing() -> None:
    assert words("```\na\nb", "Newline") == ["```", "a", "b"]
    assert words("$$ x\ny", "Newline") == ["$$ x", "y"]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "piece", [".", "?\"'", "\n ", "1. ", "$$", "\\begin{", "```\n", "step ", "\r\n", "#", "*", " ", "e.g. ", "Answer\n"]
)
def test_long_hostile_texts_take_bounded_time(piece: str, rule: SplitRule) -> None:
    text = piece * (100_000 // len(piece)) + "x"
    started = time.process_time()
    split_steps(text, rule)
    assert time.process_time() - started < 5  # a quadratic search takes minutes


def test_the_rule_is_the_first_that_splits_most_texts() -> None:
    assert choose_rule(["Step 1: a\nStep 2: b", "1. a\n2. b", "a"]) == "Numbered"
    assert choose_rule(["a\n\nb", "c\nd\n\ne"]) == "BlankLine"
    assert choose_rule(["a\nb", "c\nd\n\ne"]) == "Newline"
    assert choose_rule(["It is so. And so."]) == "Sentence"
    assert choose_rule([]) == choose_rule(["one"]) == "Newline"
    # An answer set off by a blank line is not yet a solution in paragraphs.
    assert choose_rule(["a = 1\nb = 2\n\nThe answer is 2"]) == "Newline"


def test_last_tokens_hold_each_steps_last_character() -> None:
    tokenizer = AutoTokenizer.from_pretrained(QUICKSTART)
    text = "Step 1: 3 + 4 = 7\nStep 2: so 🙂\r\n\nThe answer is \\boxed{7}"
    steps = split_steps(text, "Newline")
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    for step, index in zip(steps, last_tokens(offsets, steps), strict=True):
        assert offsets[index][0] < step.end <= offsets[index][1]
        assert all(start >= step.end for start, _ in offsets[index + 1 :])


def test_last_tokens_pass_over_special_tokens_and_take_the_last_of_several() -> None:
    offsets = [(0, 0), (0, 2), (2, 3), (2, 3), (2, 3), (3, 6), (0, 0)]
    assert last_tokens(offsets, [Step(0, 3), Step(4, 5)]) == [4, 5]
    with pytest.raises(ValueError, match="no token holds character 6"):
        last_tokens(offsets, [Step(4, 7)])
