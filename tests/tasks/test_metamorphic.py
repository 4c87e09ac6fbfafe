"""What an answer is does not depend on its dress, and two different answers are never the same."""

import json
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Final

import pytest

from agentark.tasks import CHOICE, MATH, NUMBER, Policy, equal, grade

Dressing = Callable[[str], str]
WORK: Final = "We have 3 boxes with 12 apples each, so 3 * 12 = 36 at first.\nThen 7 of 36 are eaten.\n"

# fmt: off
DRESSINGS: Final[dict[str, Dressing]] = {
    "bare": lambda a: a,
    "box": lambda a: f"\\boxed{{{a}}}",
    "box in a sentence": lambda a: f"So we get \\boxed{{{a}}}.",
    "box in inline maths": lambda a: f"Hence $\\boxed{{{a}}}$ is what was asked for.",
    "box in a display": lambda a: f"Therefore\n\\[\n\\boxed{{{a}}}\n\\]",
    "fbox": lambda a: f"\\fbox{{{a}}}",
    "work before a box": lambda a: f"{WORK}\\boxed{{{a}}}",
    "numbers after a box": lambda a: f"\\boxed{{{a}}}\n\nI checked it 3 times in 20 minutes.",
    "a sentence after a box": lambda a: f"\\boxed{{{a}}}. I hope it is correct.",
    "marker": lambda a: f"The answer is {a}",
    "marker and full stop": lambda a: f"The answer is {a}.",
    "marker after work": lambda a: f"{WORK}The final answer is {a}.",
    "marker before more": lambda a: f"The answer is {a}.\n\nThis follows from step 2 and the 5 rules above.",
    "colon": lambda a: f"Answer: {a}",
    "colon, next line": lambda a: f"Answer:\n{a}",
    "colon, blank line": lambda a: f"{WORK}Final answer:\n\n{a}\n",
    "heading": lambda a: f"{WORK}### Final Answer\n\n{a}",
    "list item": lambda a: f"Answer:\n- {a}",
    "hashes": lambda a: f"{WORK}#### {a}",
    "tag": lambda a: f"{WORK}<answer>{a}</answer>",
    "tag over lines": lambda a: f"<answer>\n{a}\n</answer>",
    "bold answer": lambda a: f"The answer is **{a}**.",
    "bold line": lambda a: f"**Answer: {a}**",
    "bold label": lambda a: f"**Final Answer:** {a}",
    "bold colon": lambda a: f"Answer: **{a}**",
    "italic answer": lambda a: f"The answer is *{a}*.",
    "underlined": lambda a: f"The answer is __{a}__.",
    "code": lambda a: f"The answer is `{a}`.",
    "code block": lambda a: f"Final answer:\n```\n{a}\n```",
    "HTML": lambda a: f"The answer is <b>{a}</b>",
    "CRLF": lambda a: f"Step 1: 3 + 4 = 7\r\nAnswer: {a}\r\n",
    "full-width colon": lambda a: f"Answer： {a}",
    "no-break space": lambda a: f"Answer:\u00a0{a}",
    "thinking before": lambda a: f"<think>maybe \\boxed{{99}}, or 98</think>The answer is {a}.",
    "end of turn": lambda a: f"The answer is {a}<|im_end|>",
    "end of turn and another turn": lambda a: f"The answer is {a}</s>\nUser: what is 5 + 6?\nThe answer is 11",
    "next question": lambda a: f"The answer is {a}.\n\nQuestion: What is 5 + 6?\nAnswer: 11",
    "inline maths": lambda a: f"The answer is ${a}$.",
    "brackets of LaTeX": lambda a: f"The answer is \\({a}\\).",
    "display": lambda a: f"The answer is:\n$$\n{a}\n$$",
    "display in brackets": lambda a: f"The answer is \\[ {a} \\]",
    "aligned display": lambda a: f"Final answer:\n\\begin{{align*}}\n{a}\n\\end{{align*}}",
    "therefore": lambda a: f"The answer is therefore {a}.",
    "should be": lambda a: f"So the answer should be {a}.",
    "of the question": lambda a: f"The answer to the question is {a}.",
    "German": lambda a: f"{WORK}Die Antwort ist {a}.",
    "French": lambda a: f"{WORK}La réponse est : {a}",
    "Spanish": lambda a: f"{WORK}La respuesta correcta es {a}.",
    "Russian": lambda a: f"{WORK}Ответ: {a}",
    "Chinese": lambda a: f"{WORK}所以答案是 {a}。",
    "Japanese": lambda a: f"{WORK}答えは {a}",
    "Korean": lambda a: f"{WORK}정답은 {a}",
}
# fmt: on
MATHS_ONLY: Final = frozenset(
    ("inline maths", "brackets of LaTeX", "display", "display in brackets", "aligned display", "box in inline maths")
)

POOLS: Final = json.loads(
    (Path(__file__).parent.parent / "data" / "grading" / "pools.json").read_text(encoding="utf-8")
)
NUMBERS, LETTERS, DIFFERENT = POOLS["numbers"], POOLS["letters"], POOLS["different"]
ANSWERS: Final = NUMBERS + POOLS["answers"]


def test_there_are_thirty_dressings() -> None:
    assert len(DRESSINGS) >= 30


@pytest.mark.parametrize("dressing", DRESSINGS)
@pytest.mark.parametrize(
    ("policy", "answers"), [(NUMBER, NUMBERS), (MATH, ANSWERS), (CHOICE, LETTERS)], ids=["number", "math", "choice"]
)
def test_a_right_answer_is_right_in_every_dress(policy: Policy, answers: list[list[str]], dressing: str) -> None:
    if policy.kind != "math" and dressing in MATHS_ONLY:
        answers = [(a, gold) for a, gold in answers if a.isascii() and "$" not in a and " " not in a]
    if policy.kind == "math" and ("box" in dressing or dressing in MATHS_ONLY):
        answers = answers + POOLS["only_in_maths"]
    missed = {}
    for answer, gold in answers:
        text = DRESSINGS[dressing](answer)
        result = grade(text, gold, policy)
        if not result.correct:
            missed[text] = result
    assert missed == {}


def test_no_two_of_two_hundred_different_answers_are_equal() -> None:
    assert len(DIFFERENT) == len(set(DIFFERENT)) >= 200
    same = [(a, b) for a, b in combinations(DIFFERENT, 2) if equal(a, b, MATH) or equal(b, a, MATH)]
    assert same == []


def test_each_of_them_equals_itself_in_a_box() -> None:
    assert [a for a in DIFFERENT if not grade(f"\\boxed{{{a}}}", a, MATH).correct] == []
