"""The grader says what a careful person says."""

import json
import os
from fractions import Fraction
from itertools import permutations
from pathlib import Path

import pytest

from agentark.errors import InvalidInput
from agentark.tasks import (
    CHOICE,
    MATH,
    NUMBER,
    TEXT,
    Policy,
    equal,
    extract,
    grade,
    grade_rows,
    partition,
    reference,
    task,
)

VECTORS = json.loads((Path(__file__).parent.parent / "data" / "graders.json").read_text(encoding="utf-8"))
GRADING = Path(__file__).parent.parent / "data" / "grading"
ROWS = [
    json.loads(line)
    for name in ("given.jsonl", "neighbours.jsonl")
    for line in (GRADING / name).read_text(encoding="utf-8").splitlines()
]
DATA = Path(os.environ.get("AGENTARK_DATA", "../shared/data"))
RECORDED = DATA / "gsm8k" / "example_model_solutions.jsonl"


@pytest.mark.parametrize("row", VECTORS["math_graders"], ids=lambda row: f"{row['pred']} vs {row['gold']}")
def test_agrees_with_a_strict_human_grader(row: dict[str, str]) -> None:
    for text in (row["pred"], f"so \\boxed{{{row['pred']}}}."):
        assert grade(text, row["gold"], MATH).correct == row["human"]


def test_reads_answers_as_models_write_them() -> None:
    wrong = [
        row for row in ROWS if grade(row["prediction"], row["gold"], task(row["task"]).policy).correct != row["correct"]
    ]
    assert len(ROWS) > 600
    assert wrong == []


@pytest.mark.parametrize("answers", json.loads((GRADING / "votes.json").read_text(encoding="utf-8"))["answers"])
def test_votes_group_by_an_equivalence(answers: list[str]) -> None:
    groups = {frozenset(map(frozenset, partition(order, MATH))) for order in permutations(answers)}
    assert len(groups) == 1
    assert len(next(iter(groups))) > 1


@pytest.mark.parametrize(
    ("answers", "groups"),
    [
        (["50\\%", "0.5", "50"], [{"50\\%", "0.5"}, {"50"}]),
        (["50%", "50", "50"], [{"50%", "50"}]),
        (["18", "18 cm", "18 cm"], [{"18", "18 cm"}]),
        (["18", "18", "18 cm", "18 m"], [{"18"}, {"18 cm"}, {"18 m"}]),
        (["9:30", "9:30 a.m.", "9:30 p.m."], [{"9:30"}, {"9:30 a.m."}, {"9:30 p.m."}]),
        (["7", "7.0", "\\$7", ""], [{"7", "7.0", "\\$7"}]),
        (["1, 2", "1 and 2", "1 or 2"], [{"1, 2"}, {"1 and 2"}, {"1 or 2"}]),
    ],
)
def test_who_votes_together_does_not_depend_on_order(answers: list[str], groups: list[set[str]]) -> None:
    for order in permutations(answers):
        assert sorted(map(sorted, partition(order, MATH))) == sorted(map(sorted, groups))


def test_a_tolerance_does_not_chain_votes() -> None:
    policy = Policy("math", absolute_tolerance=Fraction(1, 100))
    assert sorted(partition(["1.00", "1.01", "1.02"], policy)) == [("1.00",), ("1.01",), ("1.02",)]
    assert sorted(partition(["1.00", "1.01"], policy)) == [("1.00", "1.01")]


@pytest.mark.parametrize("row", VECTORS["math_answer_extraction"], ids=lambda row: row["text"])
def test_finds_the_final_number(row: dict[str, str]) -> None:
    assert extract(row["text"], NUMBER) == row["human"]


@pytest.mark.parametrize("row", VECTORS["multiple_choice_extraction"], ids=lambda row: row["text"])
def test_finds_the_chosen_letter(row: dict[str, str]) -> None:
    assert extract(row["text"], CHOICE) == row["human"]


@pytest.mark.parametrize("row", VECTORS["label_gold_extraction"], ids=lambda row: row["gold"])
def test_finds_the_gold_answer(row: dict[str, str]) -> None:
    assert reference(row["gold"], MATH) == reference(row["gold"], NUMBER) == row["human"]


def test_agrees_with_the_labels_of_recorded_solutions() -> None:
    wrong = [
        r for r in VECTORS["recorded_solutions"] if grade(r["solution"], r["gold"], NUMBER).correct != r["is_correct"]
    ]
    assert wrong == []


@pytest.mark.skipif(not RECORDED.is_file(), reason=f"the recorded solutions are not at {RECORDED} (set AGENTARK_DATA)")
def test_agrees_with_every_recorded_solution() -> None:
    rows, wrong = 0, []
    for line in RECORDED.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for column in (value for value in row.values() if isinstance(value, dict)):
            rows += 1
            if grade(column["solution"], row["ground_truth"], NUMBER).correct != column["is_correct"]:
                wrong.append((column, row["ground_truth"]))
    assert (rows, wrong) == (5276, [])


SAME = [
    ("50\\%", "0.5"), ("50%", "50"), ("$18.00", "18"), ("A", "(A)"), ("90 minutes", "1.5 hours"),
    ("1 hour 30 minutes", "90 min"), ("50 cents", "$0.50"), ("\\frac12", "0.5"), ("2\\frac{1}{2}", "2.5"),
    ("5½", "5.5"), ("1.5 \\times 10^{3}", "1500"), ("1 million", "1,000,000"), ("twenty-one", "21"),
    ("\\{1,2\\}", "\\{2,1\\}"), ("x=1 or x=2", "2 or 1"), ("(0,1)\\cup(2,3)", "(2,3)\\cup(0,1)"),
    ("\\left(\\frac{1}{2}, 3\\right)", "(0.5,3)"), ("2\\sqrt{3}\\text{ cm}", "\\sqrt{12}"), ("2pi", "2\\pi"),
    ("1\\pm\\sqrt{2}", "1+\\sqrt2, 1-\\sqrt2"), ("e^{2x}", "(e^x)^2"), ("x>3", "(3,\\infty)"), ("x>3", "3<x"),
    ("\\begin{pmatrix}1&\\frac12\\\\2&0\\end{pmatrix}", "\\begin{pmatrix}1&0.5\\\\ 2&0\\end{pmatrix}"),
    ("2x-y+1=0", "y=2x+1"), ("\\frac{1}{x+1}", "\\frac{x-1}{x^2-1}"), ("i", "\\sqrt{-1}"), ("5 km", "5000 m"),
    ("-1.8 billion", "-1800000000"), ("١٢", "12"),
]  # fmt: skip
DIFFERENT = [
    ("50", "0.5"), ("18", "€18 or €19"), ("$18", "€18"), ("5 km", "5 miles"), ("5x", "5"), ("|x|", "x"),
    ("x=3", "y=3"), ("2 3", "23"), ("1,2", "(1,2)"), ("x^2", "2^x"), ("\\infty", "-\\infty"), ("2 hours", "2 minutes"),
    ("1.4142135623730951", "\\sqrt{2}"), ("9^{9^{9}}", "9**9**9"), ("", ""), ("10001", "10000"),
    ("3 apples", "3 pears"),
]  # fmt: skip


@pytest.mark.parametrize(("a", "b", "same"), [(*p, True) for p in SAME] + [(*p, False) for p in DIFFERENT])
def test_equality_is_symmetric_and_right(a: str, b: str, same: bool) -> None:
    assert (equal(a, b, MATH), equal(b, a, MATH)) == (same, same)


@pytest.mark.parametrize(
    ("policy", "a", "b", "same"),
    [
        (Policy("math", percent="Fraction"), "50%", "50", False),
        (Policy("math", percent="Points"), "50%", "0.5", False),
        (Policy("math", units="Ignore"), "3 apples", "3 pears", True),
        (Policy("math", currency="Ignore"), "$18", "€18", True),
        (Policy("math", time_units="Literal"), "90 minutes", "1.5 hours", False),
        (Policy("math", thousands="."), "1.000", "1000", True),
        (Policy("math", thousands=""), "1,000", "1000", False),
        (Policy("math", absolute_tolerance=Fraction(1, 100)), "3.14", "3.145", True),
        (Policy("math", absolute_tolerance=Fraction(1, 100)), "3.14", "3.16", False),
        (Policy("math", absolute_tolerance=Fraction(1, 2)), "1 mm", "400 mm", False),
        (Policy("math", absolute_tolerance=Fraction(1, 2)), "99.6 km", "100 km", True),
        (Policy("math", absolute_tolerance=Fraction(1, 2)), "10 cents", "50 cents", False),
        (Policy("math", absolute_tolerance=Fraction(1, 100)), "1.41", "\\sqrt{2}", True),
        (Policy("math", relative_tolerance=Fraction(1, 10_000)), "100000", "99999", True),
        (Policy("math", intervals="AnyEnds"), "[1,2)", "(1,2)", True),
        (Policy("math", lists="Unordered"), "2,3", "3,2", True),
        (Policy("math", symbolic=False), "2\\sqrt{3}", "\\sqrt{12}", False),
        (Policy("choice", letters="ABCDE"), "(e)", "E", True),
        (CHOICE, "B) aspirin", "B", True),
        (TEXT, "The Eiffel Tower.", "eiffel tower", True),
        (TEXT, "Paris", "London", False),
        (NUMBER, "18 eggs", "18 duck eggs", True),
    ],
)
def test_each_policy_decides_its_case(policy: Policy, a: str, b: str, same: bool) -> None:
    assert equal(a, b, policy) is same


@pytest.mark.parametrize(
    ("text", "policy", "found"),
    [
        ("<think>\\boxed{1}</think>So \\boxed{\\frac{1}{2}}.", MATH, "\\frac{1}{2}"),
        ("<think>maybe \\boxed{3}", NUMBER, None),
        ("reasoning, 7</think>\nA: 8", NUMBER, "8"),
        ("\\boxed{7} and then \\boxed{8}", NUMBER, "8"),
        ("\\boxed{}\nThe answer is 5.", NUMBER, "5"),
        ("9 * 2 = 18\n#### 18", NUMBER, "18"),
        ("The answer is 9 * 2 = 18 dollars", NUMBER, "18 dollars"),
        ("She makes $18 every day.", NUMBER, "$18"),
        ("10 or 20\nA: 10 or 20", NUMBER, "10 or 20"),
        ("**Final answer:** $x = 3$", MATH, "x = 3"),
        ("The answer is Paris.", TEXT, "Paris"),
        ("", MATH, None),
        ("A patient with a fever has a cold", CHOICE, None),
        ("The answer is A diet rich in fibre", CHOICE, None),
        ("So the answer is \\boxed{\\text{C}}", CHOICE, "C"),
        ("B) Aspirin", CHOICE, "B"),
        ("The answer is aspirin (B).", CHOICE, "B"),
        ("A is wrong.\nHepatitis B too.\n\n(d)", CHOICE, "D"),
    ],
)
def test_extracts(text: str, policy: Policy, found: str | None) -> None:
    assert extract(text, policy) == found


def test_grades_rows_and_keeps_their_columns() -> None:
    lines = [
        b'{"prediction": "So \\\\boxed{5}", "gold": "#### 5", "id": 7}\n',
        b"\n",
        b'{"prediction": "6", "gold": 5}',
    ]
    assert list(grade_rows(lines, NUMBER)) == [
        {"prediction": "So \\boxed{5}", "gold": "#### 5", "id": 7, "answer": "5", "correct": True},
        {"prediction": "6", "gold": 5, "answer": "6", "correct": False},
    ]
    with pytest.raises(InvalidInput, match=r"f\.jsonl:1: 'gold' must be a text or a number; the row has 'prediction'"):
        list(grade_rows([b'{"prediction": "6"}'], NUMBER, source="f.jsonl"))
