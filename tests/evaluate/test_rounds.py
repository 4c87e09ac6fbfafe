"""What happened in each round of some debates."""

from collections.abc import Callable

import pytest

from agentark.debate.transcript import Record
from agentark.evaluate import render_rounds, score_rounds
from agentark.tasks import Policy

NUMBER = Policy(kind="number")


def test_rounds_count_accuracy_agreement_corrections_and_harm(make_record: Callable[..., Record]) -> None:
    records = [
        make_record("ended", "1", [["1", "1.0", "1"]]),
        make_record("wrong", "9", [["8", "8", "8"]]),
        make_record("mended", "2", [["2", "3", "3"], ["2", "2", "2"]]),
        make_record("harmed", "4", [["4", "5", ""], ["5", "5", "4"], ["5", "5", "4!"]]),
    ]
    first, second, third = score_rounds(records, NUMBER)

    assert (first.round, first.held) == (0, 4)
    assert first.agent_accuracy == pytest.approx((1 + 0 + 1 / 3 + 1 / 3) / 4)
    assert first.vote_accuracy == 2 / 4  # the tie of "harmed" falls to its first agent, who is right
    assert (first.agreement, first.agreement_accuracy) == (2 / 4, 1 / 2)
    assert (first.corrected, first.harmed, first.wrong_before, first.right_before) == (0, 0, 0, 0)

    assert second.held == 2
    assert second.agent_accuracy == pytest.approx((1 + 0 + 1 + 1 / 3) / 4)  # what ended before counts as it was left
    assert second.vote_accuracy == 2 / 4
    assert second.agreement == 3 / 4
    assert (second.corrected, second.wrong_before, second.harmed, second.right_before) == (3, 4, 1, 2)

    assert (third.held, third.truncated) == (1, 1)
    assert third.agent_accuracy == (1 + 0 + 1 + 0) / 4
    assert (third.corrected, third.wrong_before, third.harmed, third.right_before) == (0, 2, 1, 1)


def test_rounds_are_shown_as_a_table(make_record: Callable[..., Record]) -> None:
    text = render_rounds(score_rounds([make_record("q", "2", [["2", "3"], ["2", "2"]])], NUMBER))
    head, first, second = text.splitlines()
    assert len(head) == len(first) == len(second) <= 120
    assert first.split() == ["0", "1", "50.0%", "100.0%", "0.0%", "-", "-"]
    assert " ".join(second.split()) == "1 1 100.0% 100.0% 100.0% 1 of 1 0 of 1"


def test_no_records_have_no_rounds() -> None:
    assert score_rounds([], NUMBER) == ()
