"""Graded pairs from the test suites of peers' answer graders: which files hold them and how each one writes them."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Final

from agentark.tasks import CHOICE, MATH, NUMBER, TEXT, Policy
from benchmarks.peer_claims import Call, Claim, Symbol, claims


@dataclass(frozen=True, slots=True)
class PeerCase:
    """One pair of a peer's test, and what the test says of it."""

    suite: str
    source: str
    """`file:line` below the suite's folder."""
    prediction: str
    golds: tuple[str, ...]
    """Any of them may be met; at least one."""
    expected: bool
    policy: Policy


Verdict = PeerCase | str
"""A row, or why a claim is none."""
Pair = tuple[object, object]
"""Prediction and gold as they stand; the gold may be a tuple of several."""
Reading = tuple[Pair, object, Policy] | str
"""Of a claim the pair, what the peer expects of it, and the policy; or why it is left out."""

NOT_GRADING: Final = "extraction, normalisation, errors or time limits; no pair is graded"
NOT_LITERAL: Final = "made by code, no literal"
NO_VERDICT: Final = "allows either verdict or gives a degree"
SEVERAL_LETTERS: Final = "none or several letters are right at once"
FORMAT: Final = "a right answer is refused for want of the peer's own format"

MAX_BYTES: Final = 8_000_000
"""Of a file that is read."""

ROUNDED: Final = replace(MATH, lists="Unordered", absolute_tolerance=Fraction(1, 2 * 10**6))
"""Math-Verify, and what is built on it: listed values are a set, and numbers are rounded to 6 decimals."""
CLOSE: Final = replace(MATH, absolute_tolerance=Fraction(1, 10**10))
"""inspect_ai's tolerance."""
NEAR: Final = replace(MATH, relative_tolerance=Fraction(1, 10**4))
"""SkyThought's tolerance."""


@dataclass(frozen=True, slots=True)
class Suite:
    """Where one peer's tests lie and how they are read."""

    name: str
    files: tuple[str, ...]
    """Globs below the suite's folder."""
    read: Callable[[Call, Claim], Reading]
    contradicts: Mapping[str, str] = field(default_factory=dict)
    """Test function to the rule it is about, which no policy of ours has."""


@dataclass(frozen=True, slots=True)
class Cases:
    """What was read of the suites."""

    rows: tuple[PeerCase, ...]
    files: Mapping[str, int]
    """`suite/file` to its number of rows."""
    left_out: Mapping[tuple[str, str], int]
    """Suite and reason to a count."""
    missing: tuple[str, ...]
    """Suites of which the folder has no file."""


def read_suites(folder: Path) -> Cases:
    """Read the graded pairs of all peers whose repository lies below a folder, under the repository's name.

    Raises:
        ValueError: If there is none, or one of the files cannot be parsed.
    """
    rows: list[PeerCase] = []
    files: Counter[str] = Counter()
    left_out: Counter[tuple[str, str]] = Counter()
    missing: list[str] = []
    for suite in SUITES:
        paths = [path for pattern in suite.files for path in sorted((folder / suite.name).glob(pattern))]
        if not paths:
            missing.append(suite.name)
        for path in paths:
            name = path.relative_to(folder / suite.name).as_posix()
            for verdict in _of_file(suite, path, name):
                if isinstance(verdict, PeerCase):
                    rows.append(verdict)
                    files[f"{suite.name}/{name}"] += 1
                else:
                    left_out[suite.name, verdict] += 1
    if len(missing) == len(SUITES):
        raise ValueError(f"{folder}: none of the repositories {', '.join(missing)}; check them out there")
    return Cases(tuple(rows), files, left_out, tuple(missing))


def _of_file(suite: Suite, path: Path, name: str) -> Iterator[Verdict]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"{path.stat().st_size} bytes; at most {MAX_BYTES} are read")
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            yield from _of_json(suite, text, name)
        else:
            for claim in claims(text):
                yield _verdict(suite, claim, name)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _of_json(suite: Suite, text: str, name: str) -> Iterator[Verdict]:
    """Read inspect_ai's table of outputs, targets and `C` or `I`."""
    for place, case in enumerate(json.loads(text), start=1):
        if not isinstance(case, dict):
            raise ValueError(f"case {place}: must be an object, found {case!r:.60}")
        pair = (case.get("output"), case.get("target"))
        yield _row(suite, f"{name}:{place}", pair, case.get("expected") == "C", CLOSE)


def _verdict(suite: Suite, claim: Claim, name: str) -> Verdict:
    function = claim.scope.rpartition(".")[2]
    if function in suite.contradicts:
        return suite.contradicts[function]
    if claim.call is None:
        return NO_VERDICT
    reading = suite.read(claim.call, claim)
    if isinstance(reading, str):
        return reading
    pair, expected, policy = reading
    verdict = _truth(expected)
    return NO_VERDICT if verdict is None else _row(suite, f"{name}:{claim.line}", pair, verdict, policy)


def _row(suite: Suite, source: str, pair: Pair, expected: bool, policy: Policy) -> Verdict:
    prediction, golds = _text(pair[0]), pair[1] if isinstance(pair[1], tuple) else (pair[1],)
    texts = tuple(text for gold in golds if (text := _text(gold)) is not None)
    if prediction is None or not texts or len(texts) < len(golds):
        return NOT_LITERAL
    return PeerCase(suite.name, source, prediction, texts, expected, policy)


def _text(value: object) -> str | None:
    """The text of a literal answer; numbers as Python writes them; None for what is no answer."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _truth(expected: object) -> bool | None:
    """Read 1, True, `CORRECT` and 0, -1, False, `INCORRECT`, `NOANSWER`; None where neither is meant."""
    word = expected.name if isinstance(expected, Symbol) else expected
    if word in (1, "CORRECT", "correct"):
        return True
    wrong = (0, -1, "INCORRECT", "NOANSWER", "incorrect", "answer_parse_error", "answer_limit")
    return False if word in wrong else None


def _argument(call: Call, place: int, name: str = "") -> object:
    return call.arguments[place] if place < len(call.arguments) else call.keywords.get(name)


def _math_verify(call: Call, claim: Claim) -> Reading:
    """`compare_strings(gold, pred, ...)` and `verify(parse(gold), parse(pred))`; the gold stands first."""
    gold, prediction = _argument(call, 0), _argument(call, 1)
    if call.name == "verify" and isinstance(gold, Call) and isinstance(prediction, Call):
        return (_argument(prediction, 0), _argument(gold, 0)), claim.expected, ROUNDED
    if call.name != "compare_strings":
        return NOT_GRADING
    if call.keywords.get("strict") is False:
        return "strict=False: any variable may stand for any other"
    if call.keywords.get("allow_set_relation_comp") is False and _truth(claim.expected) is False:
        return "allow_set_relation_comp=False: a relation and its set differ in one direction only"
    if isinstance(prediction, str) and re.search(r"(?<!\$)\$ *\n|\\\( *\n", prediction):
        return "a line break ends inline mathematics"
    if call.keywords.get("match_types") == ("NativeLetters",):
        return (prediction, gold), claim.expected, CHOICE
    digits = call.keywords.get("precision")
    if not isinstance(digits, int):
        return (prediction, gold), claim.expected, ROUNDED
    # Rounded alike is, ties aside, no further apart than half of the last decimal.
    tolerance = Fraction(1, 2 * 10 ** min(max(digits, 0), 15))
    return (prediction, gold), claim.expected, replace(ROUNDED, absolute_tolerance=tolerance)


def _inspect_ai(call: Call, claim: Claim) -> Reading:
    """`_score_answer(output, (target, ...)).status`, and scorers awaited with `simple_task_state` and `Target`."""
    if call.name == "_score_answer" and call.part == "status":
        return (_argument(call, 0), _argument(call, 1)), claim.expected, CLOSE
    scorers = {"math()": CLOSE, "match()": NUMBER, "answer()": TEXT, "choice()": CHOICE}
    if call.maker is None or call.name not in scorers or call.part not in ("text", "value"):
        return NOT_GRADING
    location = call.maker.keywords.get("location", "end")
    if call.name == "match()" and location != "end":
        return f"location={location!r}: not the last number counts"
    policy = CHOICE if call.maker.arguments == ("letter",) else scorers[call.name]
    state, target = _argument(call, 0), _argument(call, 1)
    if not isinstance(state, Call) or not isinstance(target, Call):
        return NOT_LITERAL
    golds = _argument(target, 0)
    if call.name == "choice()" and not _one_letter(golds):
        return SEVERAL_LETTERS
    return (state.keywords.get("model_output"), golds), claim.expected, policy


def _one_letter(golds: object) -> bool:
    if isinstance(golds, tuple) and len(golds) == 1:
        golds = golds[0]
    return isinstance(golds, str) and len(golds) == 1


def _nemo_skills(call: Call, claim: Claim) -> Reading:
    """`math_equal(gold, prediction)`."""
    if call.name != "math_equal":
        return NOT_GRADING
    return (_argument(call, 1), _argument(call, 0)), claim.expected, MATH


def _areal(call: Call, claim: Claim) -> Reading:
    """`gsm8k_reward_fn(completions=..., answer=...)` and the worker's `verify(response, ground_truth)`."""
    if call.name.endswith("_reward_fn"):
        return (call.keywords.get("completions"), call.keywords.get("answer")), claim.expected, ROUNDED
    if call.name == "get_math_verify_worker().verify":
        return (_argument(call, 0), _argument(call, 1)), claim.expected, ROUNDED
    return NO_VERDICT if call.name == "isinstance" else NOT_GRADING


def _skythought(call: Call, claim: Claim) -> Reading:
    """`math_equal(prediction, reference)`, handlers' `check_correctness(problem, generation=...)`, letters read."""
    if call.name == "math_equal":
        return (_argument(call, 0), _argument(call, 1)), claim.expected, NEAR
    if call.name in ("get_multiple_choice_answer", "choice_answer_clean"):
        return _letter_read(call, claim, CHOICE)
    problem = _argument(call, 0)
    if not call.name.endswith(".check_correctness") or not isinstance(problem, dict):
        return NOT_GRADING
    gold, letters = problem.get("answer"), "MMLU" in call.name
    if letters and isinstance(gold, int) and 0 <= gold < len(CHOICE.letters):
        gold = CHOICE.letters[gold]
    return (call.keywords.get("generation"), gold), claim.expected, CHOICE if letters else NEAR


def _letter_read(call: Call, claim: Claim, policy: Policy) -> Reading:
    """That a letter is read of a reply is a grade: the reply is right where that letter is the gold answer."""
    if not isinstance(claim.expected, str) or claim.expected not in policy.letters or len(claim.expected) != 1:
        return NOT_GRADING
    return (_argument(call, 0), claim.expected), True, policy


def _slime(call: Call, claim: Claim) -> Reading:
    """Graders called with the reply and the label first; some return the verdict as a part of the result."""
    if call.name == "_extract_letter_from_response":
        valid = _argument(call, 1)
        letters = "".join(map(str, valid)) if isinstance(valid, tuple) else CHOICE.letters
        return _letter_read(call, claim, replace(CHOICE, letters=letters))
    if call.name == "compute_gpqa_reward" and "metadata" in call.keywords:
        return "the letter is looked up in the options' texts"
    if SLIME_VERDICTS.get(call.name) != call.part:
        return NOT_GRADING
    policy = CHOICE if call.name == "compute_gpqa_reward" else MATH
    return (_argument(call, 0), _argument(call, 1, "label")), claim.expected, policy


SLIME_VERDICTS: Final = {
    "grade_answer_mathd": "",
    "grade_answer_sympy": "",
    "grade_answer_verl": "",
    "get_deepscaler_rule_based_reward": "",
    "compute_gpqa_reward": "",
    "is_correct_strict_box": "0",
    "is_correct_minerva": "0",
    "verify": "0",
    "compute_score": "score",
}
"""slime's graders to the part of their result that is the verdict; empty: the result itself."""


def _hendrycks(call: Call, claim: Claim) -> Reading:
    """`is_equiv(one, other)`."""
    if call.name != "is_equiv":
        return NOT_GRADING
    return (_argument(call, 0), _argument(call, 1)), claim.expected, MATH


def _open_instruct(call: Call, claim: Claim) -> Reading:
    """`self.verifier(tokens, prediction, label).score`: the class of tests says which verifier."""
    group = claim.scope.partition(".")[0]
    policies = {"TestPuzzleMatcherVerifier": TEXT, "TestGSM8KVerifier": NUMBER}
    if group == "TestF1Verifier":
        return NO_VERDICT
    if call.name != "self.verifier" or call.part != "score" or group not in policies:
        return NOT_GRADING
    return (_argument(call, 1), _argument(call, 2)), claim.expected, policies[group]


SUITES: Final = (
    Suite("Math-Verify", ("tests/test_*.py",), _math_verify),
    Suite("lighteval", ("tests/unit/metrics/test_extractive_match.py",), _math_verify),
    Suite(
        "inspect_ai",
        (
            "tests/scorer/math_cases.json",
            *(f"tests/scorer/test_{scorer}.py" for scorer in ("math", "match", "answer", "choice")),
        ),
        _inspect_ai,
        {
            "test_answer_timeout_is_incorrect": "the peer's clock is patched",
            "test_score_shuffled_positions_letter": "the options were shuffled after the reply",
            "test_word_trailing_prose_noanswer": FORMAT,
        },
    ),
    Suite("Skills", ("tests/test_math_equal.py",), _nemo_skills),
    Suite(
        "AReaL",
        ("tests/test_math_verify_reward.py",),
        _areal,
        {"test_worker_text_embedded_sqrt": "a fault of the peer's by its own comment"},
    ),
    Suite("SkyThought", ("tests/evals/util/test_math_parsing.py", "tests/evals/tasks/test_*.py"), _skythought),
    Suite(
        "slime",
        ("tests/test_rm_*.py",),
        _slime,
        {
            "test_grade_answer_sympy_fraction_must_match_exactly": "fractions must stand in lowest terms",
            "test_compute_score_only_uses_last_300_chars": FORMAT,
            "test_grade_answer_verl_returns_false_on_missing_extraction": FORMAT,
            "test_is_correct_minerva_no_answer_marker_is_invalid": FORMAT,
            "test_is_correct_strict_box_no_box_returns_minus_one": FORMAT,
            "test_response_without_any_marker_returns_zero": FORMAT,
        },
    ),
    Suite("math", ("modeling/math_equivalence_test.py",), _hendrycks),
    Suite("open-instruct", ("open_instruct/test_ground_truth_utils.py",), _open_instruct),
)
"""Folder by the repository's name; NeMo-Skills is `Skills`, hendrycks/math is `math`."""
