"""Who passes a gate."""

import pytest

from agentark.errors import InvalidInput
from agentark.evaluate.gate import decide


def test_a_student_that_answers_more_questions_passes() -> None:
    found = decide([True, False, False, True], [True, True, True, False])
    assert (found.before, found.after, found.lost, found.gained) == (0.5, 0.75, 1, 2)
    assert found.accepted
    assert found.p == 1.0  # three discordant questions, 2 to 1: 2 * (1 + 3) / 8


def test_one_question_less_is_too_few() -> None:
    assert not decide([True, True, False], [True, False, False]).accepted


def test_as_good_is_good_enough() -> None:
    found = decide([True, False], [False, True])
    assert found.accepted and found.p == 1.0


def test_p_is_mcnemars() -> None:
    assert decide([False] * 8, [True] * 8).p == pytest.approx(2 / 2**8)


@pytest.mark.parametrize(("before", "after"), [([], []), ([True], [True, False])])
def test_students_must_have_answered_the_same_questions(before: list[bool], after: list[bool]) -> None:
    with pytest.raises(InvalidInput, match="the same questions"):
        decide(before, after)
