"""Labels from a debate itself: agreement with verified traces, and what came of critiques."""

import pytest

from agentark.reward.labels import Turn, label_discussions
from agentark.reward.labels.agreement import agreement
from agentark.reward.labels.corrective import corrective
from agentark.reward.labels.discussions import Discussion, candidates
from agentark.reward.labels.merging import Labels, texts_of
from agentark.tasks.critiques import CHECK_WORDS, MEND_WORDS
from tests.reward.debates import EARLY, RIGHT, SLIPPED, UNKNOWN, discussion, lines, turn


def agreed(debate: Discussion, solution: str) -> list[float | None]:
    texts = candidates(debate, rule="Newline", corrections=False)
    return agreement(debate, texts)[[text.text for text in texts].index(solution)]


def critique_labels(debate: Discussion) -> dict[str, float | None]:
    texts = texts_of(debate, rule="Newline", sources=("Corrective",))
    labels = corrective(texts, agreement(debate, texts))
    return {
        text.words(step): label
        for text, found in zip(texts, labels, strict=True)
        for step, label in zip(text.steps, found, strict=True)
        if text.critique_end and text.part(step) == 1
    }


def test_a_step_is_good_by_what_it_calculates_and_not_by_its_words() -> None:
    worded = "First, 4 + 3 = 7 pens.\nTwice that: 7 × 2 = 14.\nSo \\boxed{14}"
    debate = discussion(turn(0, 0, RIGHT), turn(1, 0, worded))
    assert agreed(debate, worded) == agreed(debate, RIGHT) == [1.0, 1.0, 1.0]


def test_what_contradicts_a_verified_trace_is_bad_and_so_is_what_follows() -> None:
    debate = discussion(turn(0, 0, RIGHT), turn(1, 0, SLIPPED), turn(2, 0, EARLY))
    assert agreed(debate, SLIPPED) == [1.0, 0.0, 0.0]
    assert agreed(debate, EARLY) == [0.0, 0.0, 0.0]


def test_a_way_that_nobody_verified_has_no_label_but_a_wrong_answer_is_bad() -> None:
    debate = discussion(turn(0, 0, RIGHT), turn(1, 0, UNKNOWN))
    assert agreed(debate, UNKNOWN) == [None, 1.0, 0.0]


def test_errors_that_cancel_do_not_become_good_where_others_solved_it_as_well() -> None:
    lucky = "Step 1: 3 + 5 = 2\nStep 2: 2 * 2 = 14\nThe answer is \\boxed{14}"
    debate = discussion(turn(0, 0, RIGHT), turn(1, 0, RIGHT), turn(2, 0, lucky))
    assert agreed(debate, lucky) == [None, None, None]
    alone = discussion(turn(2, 0, lucky))
    assert agreed(alone, lucky) == [1.0, 1.0, 1.0]


def test_verified_traces_that_contradict_each_other_are_decided_by_number() -> None:
    odd = "Step 1: 3 + 4 = 9\nStep 2: 9 + 5 = 14\nThe answer is \\boxed{14}"
    debate = discussion(turn(0, 0, RIGHT), turn(1, 0, RIGHT), turn(2, 0, odd))
    assert agreed(debate, odd) == [0.0, 0.0, 0.0]
    draw = discussion(turn(0, 0, RIGHT), turn(2, 0, odd))
    assert agreed(draw, odd)[0] is None


def test_without_verified_traces_nothing_is_known() -> None:
    debate = discussion(turn(0, 0, SLIPPED), turn(1, 0, RIGHT, complete=False))
    assert agreed(debate, SLIPPED) == [None, None, None]


def test_a_monologue_has_the_words_that_students_learn_and_both_forms_are_there() -> None:
    debate = discussion(turn(0, 0, SLIPPED), turn(0, 1, RIGHT, "Mine: step 2 is wrong, 7 * 2 = 14 not 15"))
    texts = texts_of(debate, rule="Newline", sources=("Agreement", "Corrective"))
    assert [text.text for text in texts[:2]] == [SLIPPED, RIGHT]
    (spoken,) = texts[2:]
    said = "Mine: step 2 is wrong, 7 * 2 = 14 not 15"
    assert spoken.text == f"{SLIPPED}\n\n{CHECK_WORDS}\n{said}\n\n{MEND_WORDS}\n{RIGHT}"
    assert lines(spoken) == [*SLIPPED.split("\n"), CHECK_WORDS, said, MEND_WORDS, *RIGHT.split("\n")]
    assert agreement(debate, texts)[2] == [1.0, 0.0, 0.0, None, None, None, 1.0, 1.0, 1.0]
    assert len(texts_of(debate, rule="Newline", sources=("Agreement",))) == 2


@pytest.mark.parametrize(
    ("before", "said", "after", "label"),
    [
        (SLIPPED, "Mine: step 2 is wrong, 7 * 2 = 14 not 15", RIGHT, 1.0),  # named and mended
        (SLIPPED, "Mine: step 1 is wrong, 3 + 4 = 8 not 7", RIGHT, 0.0),  # mended, but not for that reason
        (SLIPPED, "There is a mistake in the doubling.", RIGHT, 1.0),  # names no step, and it helped
        (SLIPPED, "There is a mistake in the sum.", EARLY, 0.0),  # idle
        (SLIPPED, "Mine: step 2 is wrong, 7 * 2 = 14 not 15", EARLY, None),  # so it was, but nothing came of it
        (SLIPPED, "Mine: step 1 is wrong", EARLY, 0.0),  # idle, and not so
        (SLIPPED, "Mine: step 9 is wrong", RIGHT, 0.0),  # there is none
        (UNKNOWN, "Mine: step 1 is wrong", RIGHT, None),  # nobody knows
        (RIGHT, "Mine: step 2 is wrong, 7 * 2 = 15 not 14", SLIPPED, 0.0),  # false alarm
        (RIGHT, "There is an error.", RIGHT, 0.0),
        (RIGHT, "Mine: right", RIGHT, 1.0),
        (RIGHT, "I see no mistake in it.", RIGHT, 1.0),
        (SLIPPED, "Mine: right", SLIPPED, 0.0),
        (SLIPPED, "That checks out.", RIGHT, 0.0),
        (SLIPPED, "I look at the sum once more.", RIGHT, None),  # claims nothing
    ],
)
def test_a_critiques_line_is_judged_by_what_came_of_it(before: str, said: str, after: str, label: float | None) -> None:
    others = (turn(1, 0, RIGHT), turn(2, 0, RIGHT))
    found = critique_labels(discussion(*others, turn(0, 0, before), turn(0, 1, after, said)))
    assert found[said] == label
    assert found[CHECK_WORDS] is None
    assert found.get(MEND_WORDS) is None


def test_a_named_step_is_found_by_its_own_number() -> None:
    opened = f"I work in steps.\n{SLIPPED}"
    said = "Step 2 is wrong"
    others = (turn(1, 0, RIGHT), turn(2, 0, RIGHT))
    assert critique_labels(discussion(*others, turn(0, 0, opened), turn(0, 1, RIGHT, said)))[said] == 1.0


def test_replies_that_were_cut_are_left_out() -> None:
    debate = discussion(
        turn(0, 0, RIGHT), turn(1, 0, SLIPPED, complete=False), turn(1, 1, RIGHT, "Step 2 is wrong"), turn(2, 0, " ")
    )
    assert [text.text for text in texts_of(debate, rule="Newline", sources=("Corrective",))] == [RIGHT]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (turn(0, 0, ""), turn(0, 1, RIGHT, "Step 2 is wrong")),
        (turn(0, 0, " \n", complete=False), turn(0, 1, RIGHT, "Step 2 is wrong")),
        (turn(0, 0, SLIPPED), turn(0, 1, " ", "Step 2 is wrong")),
    ],
)
def test_an_empty_reply_is_no_part_of_a_correction(before: Turn, after: Turn) -> None:
    found = texts_of(discussion(before, after), rule="Newline", sources=("Corrective",))
    assert [text.text for text in found] == [turn.solution for turn in (before, after) if turn.solution.strip()]


def test_rows_take_the_label_of_the_most_trusted_source_and_the_report_compares_them() -> None:
    debate = discussion(turn(0, 0, RIGHT), turn(1, 0, RIGHT), turn(2, 0, SLIPPED), turn(3, 0, UNKNOWN))
    hopeless = discussion(turn(0, 0, SLIPPED), name="q2")
    rolled: dict[str, Labels] = {
        "q1": [[0.75, 1.0, 1.0], [0.5, 0.25, None], [0.75, None, 0.0]],
        "q2": [[None, None, None]],
    }
    found = label_discussions(
        [debate, hopeless], rule="Newline", sources=("Agreement", "MonteCarlo"), further={"MonteCarlo": rolled}
    )
    assert [row.question for row in found.rows] == ["q1"] * 3  # the second question has no label
    unknown = found.rows[2]
    assert [(step.label, step.source, step.weight) for step in unknown.steps] == [
        (0.75, "MonteCarlo", 1.0),
        (1.0, "Agreement", 1.0),
        (0.0, "Agreement", 1.0),
    ]
    assert unknown.solution[unknown.steps[0].start : unknown.steps[0].end] == "Step 1: 9 - 2 = 7"
    assert (unknown.correct, unknown.answer, unknown.rule) == (False, "15", "Newline")
    report = found.report
    assert (report.questions, report.solutions, report.steps, report.good) == (2, 4, 12, 6)
    assert report.labelled == {"Agreement": 8, "MonteCarlo": 7}
    assert report.used == {"Agreement": 8, "MonteCarlo": 1}
    (pair,) = report.agreements
    # Both label six steps; 0.5 for the first step of the slipped solution is no "good".
    assert (pair.first, pair.second, pair.steps, pair.agreed) == ("Agreement", "MonteCarlo", 6, 5)


def test_a_step_without_label_has_no_source_and_no_weight() -> None:
    debate = discussion(turn(0, 0, RIGHT), turn(1, 0, UNKNOWN))
    row = label_discussions([debate], rule="Newline", sources=("Agreement",)).rows[1]
    assert (row.steps[0].label, row.steps[0].source, row.steps[0].weight) == (None, "", 0.0)
