"""Reading peers' test suites: which pairs each shape yields, what is left out, and that nothing of them runs."""

import json
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from agentark.tasks import CHOICE, MATH, NUMBER, TEXT
from benchmarks import grading
from benchmarks.grading_peers import Judged, options, peers, tally
from benchmarks.peer_claims import claims
from benchmarks.peer_suites import CLOSE, NEAR, ROUNDED, SUITES, PeerCase, read_suites

COMPARED = """
import pytest

@pytest.mark.parametrize("gold, pred, expected", [
    # a comment
    ("$7$", "so $7$", 1),
    (r"$\\frac{1}{8}$", "0.126", 0),
    ("$7$", "$ \\n 7 \\n $", 0),
    (f"{2 ** 3}", "8", 1),
])
def test_pairs(gold, pred, expected):
    assert compare_strings(gold, pred, match_types=["latex"]) == expected

@pytest.mark.parametrize("gold,pred,strict,expected", [("g(x)", "g(y)", False, 1), ("g(x)", "g(x)", True, 1)])
def test_strict(gold, pred, strict, expected):
    assert compare_strings(gold, pred, strict=strict) == expected

@pytest.mark.parametrize("gold,pred,language,expected", [("B", "B ist es", Language.GERMAN, True)])
def test_letters(gold, pred, language, expected):
    assert compare_strings(gold, pred, language, match_types=["NativeLetters"]) == expected

def test_precision():
    assert compare_strings("1/3", "0.33", precision=2) == 1
    assert not sympy_expr_eq(sympy.Rational(1, 3), sympy.Float(0.3))

@pytest.mark.parametrize("gold, pred, result", [("$5$", "$6$", 0)])
def test_verify(gold, pred, result):
    assert int(verify(parse(gold), parse(pred))) == result
"""

FILES = {
    "Math-Verify/tests/test_pairs.py": COMPARED,
    "inspect_ai/tests/scorer/math_cases.json": json.dumps([{"output": "it is 9", "target": "9", "expected": "C"}]),
    "inspect_ai/tests/scorer/test_match.py": """
async def test_end():
    scorer = match(numeric=True)
    state = simple_task_state(model_output="7 and 8")
    result = await scorer(state, Target(["8", "9"]))
    assert result is not None and result.text == CORRECT
    assert result.answer == "8"

async def test_begin():
    scorer = match(numeric=True, location="begin")
    result = await scorer(simple_task_state(model_output="7 and 8"), Target(["7"]))
    assert result.text == CORRECT
""",
    "inspect_ai/tests/scorer/test_math.py": """
@pytest.mark.parametrize("answer", ["[]", "[3]"])
def test_tuple(answer: str) -> None:
    outcome = _score_answer(f"{answer} or 3", ("3",))
    assert outcome.status == "incorrect"
""",
    "inspect_ai/tests/scorer/test_choice.py": """
async def test_two():
    scorer = choice()
    state = simple_task_state(model_output="ANSWER: A, C", choices=["x", "y", "z"])
    assert (await scorer(state, Target("A"))).text == INCORRECT
    assert (await scorer(state, Target("A,C"))).text == CORRECT
""",
    "Skills/tests/test_math_equal.py": """
@pytest.mark.parametrize("output_pair", [(4, "4.0"), (1, None), ("\\$3", "3")], ids=str)
def test_same(output_pair):
    output = math_equal(output_pair[0], output_pair[1])
    assert output is True
""",
    "AReaL/tests/test_math_verify_reward.py": """
class TestReward:
    def test_right(self):
        reward = gsm8k_reward_fn(prompt="?", completions="It is 6", prompt_ids=[], answer="6")
        assert reward == 1.0, "why"

    def test_any(self):
        reward = gsm8k_reward_fn(completions="x", answer="y")
        assert isinstance(reward, float) and reward in [0.0, 1.0]

    def test_worker(self):
        worker = get_math_verify_worker()
        assert worker.verify("2.5", "2.51") == 0.0
""",
    "SkyThought/tests/evals/util/test_math_parsing.py": """
@pytest.mark.parametrize("prediction,reference,expected", [("8", "8.0", True), ("8", "9", False)])
def test_equal(prediction, reference, expected):
    assert math_equal(prediction, reference) == expected

@pytest.mark.parametrize("text,expected", [("It must be (C).", "C"), ("none", "none")])
def test_letter(text, expected):
    letter = get_multiple_choice_answer(text)
    assert letter == expected
""",
    "SkyThought/tests/evals/tasks/test_mmlu.py": """
@pytest.mark.parametrize("problem, response, expected", [({"question": "?", "answer": 1}, "Surely B", True)])
def test_right(problem, response, expected):
    handler = MMLUTaskHandler(task_config=Mock)
    assert handler.check_correctness(problem, generation=response) == expected
""",
    "slime/tests/test_rm_math_dapo.py": """
def test_box():
    score, pred = is_correct_strict_box(r"thus \\boxed{5}", "6")
    assert (score, pred) == (-1, "5")

def test_score():
    out = compute_score("Answer: 5", "5")
    assert out["score"] == 1.0
    assert out["acc"] is True

def test_response_without_any_marker_returns_zero():
    assert get_deepscaler_rule_based_reward("5", "5") == 0

def test_letter():
    assert compute_gpqa_reward("F, surely", label="F") == 1.0
""",
    "math/modeling/math_equivalence_test.py": """
class TestIsEquiv(unittest.TestCase):
    def test_half(self):
        left = "1/2"
        right = "0.5"
        self.assertTrue(is_equiv(left, right))
        self.assertFalse(is_equiv(left, "2"))
""",
    "open-instruct/open_instruct/test_ground_truth_utils.py": """
class TestGSM8KVerifier(unittest.TestCase):
    @parameterized.expand([("named", "It is -4", "-4", 1.0)])
    def test_sign(self, _name, prediction, label, score):
        result = self.verifier([], prediction, label)
        self.assertEqual(result.score, score, f"failed {prediction}")

class TestPuzzleMatcherVerifier(unittest.TestCase):
    @parameterized.expand([("words", "The Hague", "hague", 1.0)])
    def test_words(self, name, prediction, label, score):
        result = self.verifier([], prediction, label)
        self.assertEqual(result.score, score)

class TestF1Verifier(unittest.TestCase):
    def test_part(self):
        self.assertAlmostEqual(self.verifier([], "a b", "a").score, 2 / 3)
""",
}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def read(folder: Path, suite: str) -> list[tuple[object, ...]]:
    rows = [row for row in read_suites(folder).rows if row.suite == suite]
    return [(row.prediction, row.golds, row.expected, row.policy) for row in rows]


def test_math_verify_states_the_gold_first_and_rounds(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    assert read(tmp_path, "Math-Verify") == [
        ("so $7$", ("$7$",), True, ROUNDED),
        ("0.126", (r"$\frac{1}{8}$",), False, ROUNDED),
        ("g(x)", ("g(x)",), True, ROUNDED),
        ("B ist es", ("B",), True, CHOICE),
        ("0.33", ("1/3",), True, replace(ROUNDED, absolute_tolerance=Fraction(1, 200))),
        ("$6$", ("$5$",), False, ROUNDED),
    ]


@pytest.mark.parametrize(
    ("suite", "rows"),
    [
        (
            "inspect_ai",
            [
                ("it is 9", ("9",), True, CLOSE),
                ("[] or 3", ("3",), False, CLOSE),
                ("[3] or 3", ("3",), False, CLOSE),
                ("7 and 8", ("8", "9"), True, NUMBER),
                ("ANSWER: A, C", ("A",), False, CHOICE),
            ],
        ),
        ("Skills", [("4.0", ("4",), True, MATH), ("3", (r"\$3",), True, MATH)]),
        ("AReaL", [("It is 6", ("6",), True, ROUNDED), ("2.5", ("2.51",), False, ROUNDED)]),
        (
            "SkyThought",
            [
                ("8", ("8.0",), True, NEAR),
                ("8", ("9",), False, NEAR),
                ("It must be (C).", ("C",), True, CHOICE),
                ("Surely B", ("B",), True, CHOICE),
            ],
        ),
        (
            "slime",
            [
                (r"thus \boxed{5}", ("6",), False, MATH),
                ("Answer: 5", ("5",), True, MATH),
                ("F, surely", ("F",), True, CHOICE),
            ],
        ),
        ("math", [("1/2", ("0.5",), True, MATH), ("1/2", ("2",), False, MATH)]),
        ("open-instruct", [("It is -4", ("-4",), True, NUMBER), ("The Hague", ("hague",), True, TEXT)]),
    ],
)
def test_each_suite_is_read_as_it_writes_its_cases(tmp_path: Path, suite: str, rows: list[tuple[object, ...]]) -> None:
    assert read(write(tmp_path, FILES), suite) == rows


def test_a_row_names_its_file_and_the_line_of_its_case(tmp_path: Path) -> None:
    row = read_suites(write(tmp_path, FILES)).rows[1]
    assert row.source == "tests/test_pairs.py:7"
    assert r"\frac{1}{8}" in COMPARED.splitlines()[6]


def test_what_is_left_out_is_counted_with_its_reason_and_what_is_missing_is_named(tmp_path: Path) -> None:
    cases = read_suites(write(tmp_path, FILES))
    assert cases.missing == ("lighteval",)
    assert {reason for suite, reason in cases.left_out if suite == "Math-Verify"} == {
        "a line break ends inline mathematics",
        "extraction, normalisation, errors or time limits; no pair is graded",
        "made by code, no literal",
        "strict=False: any variable may stand for any other",
    }
    assert cases.left_out["AReaL", "allows either verdict or gives a degree"] == 2
    assert cases.left_out["Skills", "made by code, no literal"] == 1
    assert cases.files["slime/tests/test_rm_math_dapo.py"] == 3


def test_a_folder_without_any_repository_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none of the repositories Math-Verify, lighteval, .* check them out there"):
        read_suites(tmp_path)


@pytest.mark.parametrize(
    "code",
    [
        "__import__('pathlib').Path({marker!r}).write_text('x')",
        "(lambda: open({marker!r}, 'w'))()",
        "f\"{{open({marker!r}, 'w')}}\"",
        "[open({marker!r}, 'w') for _ in [0]][0]",
    ],
)
def test_code_in_place_of_literals_is_not_run(tmp_path: Path, code: str) -> None:
    marker = tmp_path / "marker"
    hostile = code.format(marker=str(marker))
    source = (
        f"import absent\nopen({str(marker)!r}, 'w')\n"
        f"@pytest.mark.parametrize('gold,pred,expected', [({hostile}, '1', 1), ('1', '1', 1)])\n"
        "def test_pairs(gold, pred, expected):\n    assert compare_strings(gold, pred) == expected\n"
    )
    cases = read_suites(write(tmp_path, {"Math-Verify/tests/test_hostile.py": source}))
    assert [row.golds for row in cases.rows] == [("1",)]
    assert cases.left_out == {("Math-Verify", "made by code, no literal"): 1}
    assert not marker.exists() and "absent" not in sys.modules


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def test(:", "no Python"),
        ("(" * 5000 + ")" * 5000, "no Python"),
        ("x = " + "-" * 200_000 + "1", "no Python"),
        ("\0", "no Python|null bytes"),
    ],
)
def test_a_file_that_cannot_be_parsed_is_named(tmp_path: Path, source: str, message: str) -> None:
    folder = write(tmp_path, {"math/modeling/math_equivalence_test.py": source})
    with pytest.raises(ValueError, match=f"math_equivalence_test.py: .*({message})"):
        read_suites(folder)


def test_texts_and_cases_that_multiply_stay_bounded() -> None:
    doubled = "".join("    a = f'{a}{a}'\n" for _ in range(80))
    [claim] = claims(f"def test():\n    a = 'x'\n{doubled}    assert f(a)\n")
    assert claim.call is not None and not isinstance(claim.call.arguments[0], str)
    tables = "".join(f"@pytest.mark.parametrize('p{i}', {list(range(100))})\n" for i in range(6))
    with pytest.raises(ValueError, match="test has more than 10000 cases"):
        list(claims(f"{tables}def test(): assert f(p0)\n"))


def row(suite: str, prediction: str, expected: bool) -> PeerCase:
    return PeerCase(suite, "tests/test.py:1", prediction, ("1",), expected, MATH)


def test_totals_are_with_and_without_the_home_suite_and_with_shared_pairs_once() -> None:
    judged = [
        Judged(row("Math-Verify", "1", True), True, True, True),
        Judged(row("lighteval", "1", True), True, True, True),
        Judged(row("lighteval", "2", False), True, False, True),
        Judged(row("lighteval", "one", True), False, False, True),
    ]
    lines = {line.suite: line for line in tally(judged)}
    everything, away, once = (lines[name] for name in ("all", "all without Math-Verify", "all, each pair once"))
    counts = (everything.rows, everything.agree, everything.rewarded, everything.missed)
    assert counts == (4, 2, 1, 1)
    assert (everything.mathverify, everything.mathverify_dollar) == (3, 3)
    assert (away.rows, once.rows) == (3, 3)


def test_options_are_what_differs_from_the_usual_policy() -> None:
    assert options(MATH) == options(NUMBER) == {}
    assert options(ROUNDED) == {"lists": "Unordered", "absolute_tolerance": "1/2000000"}
    assert options(replace(CHOICE, letters="ABCD")) == {"letters": "ABCD"}


def test_a_wrong_reward_fails_the_command_and_rows_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "class T:\n    def test(self):\n        self.assert{verdict}(is_equiv('1/2', '0.5'))\n"
    rows = tmp_path / "rows.jsonl"
    folder = write(tmp_path, {"math/modeling/math_equivalence_test.py": source.format(verdict="True")})
    assert peers(folder, rows) == 0
    assert "| math | 1 | 1 | 0 | 0 | 1 | 1 |" in capsys.readouterr().out
    [line] = map(json.loads, rows.read_text(encoding="utf-8").splitlines())
    assert line == {
        "suite": "math",
        "source": "modeling/math_equivalence_test.py:3",
        "kind": "math",
        "prediction": "1/2",
        "gold": "0.5",
        "expected": True,
        "options": {},
        "ours": True,
        "mathverify": True,
        "mathverify_dollar": True,
    }
    write(tmp_path, {"math/modeling/math_equivalence_test.py": source.format(verdict="False")})
    monkeypatch.setattr(sys, "argv", ["grading.py", "peers", str(folder), "--json"])
    assert grading.main() == 1
    result = json.loads(capsys.readouterr().out)
    assert result["table"][0]["rewarded"] == 1
    assert len(result["missing"]) == len(SUITES) - 1
