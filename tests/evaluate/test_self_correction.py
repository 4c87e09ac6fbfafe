"""What agents do with right and wrong answers once they have seen their peers'."""

from collections.abc import Callable, Sequence

import pytest

from agentark.debate.transcript import MessageRef, Record
from agentark.errors import InvalidInput
from agentark.evaluate.self_correction import Rate, render_corrections, self_correction
from agentark.statistics import ratio_interval, wilson
from agentark.tasks.policy import NUMBER

MakeRecord = Callable[..., Record]


def reviewed(record: Record, *, own: bool = False) -> Record:
    """Show every agent of a later round the solutions of all others (or its own instead)."""
    turns = []
    for turn in record.turns:
        shown = [agent for agent in range(record.agents) if (agent == turn.agent) == own]
        refs = " ".join(f"{turn.round - 1}/{agent}" for agent in shown)
        review = (MessageRef(role="user", template="review", turns=refs),) if turn.round else ()
        turns.append(turn.model_copy(update={"messages": turn.messages + review}))
    return record.model_copy(update={"turns": tuple(turns)})


def counted(rate: Rate) -> tuple[int, int]:
    return rate.count, rate.of


@pytest.mark.parametrize(
    ("rounds", "expected"),
    [
        # Agent 0 is right and gives in to two peers who agree on 7; they stay.
        (
            [["5", "7", "7"], ["7", "7", "7"]],
            {"broken": (1, 1), "sycophantic": (1, 1), "fixed": (0, 2), "found": (0, 2)},
        ),
        # It breaks, but to an answer of its own: no sycophancy. The others see a peer each way: no majority.
        ([["5", "7", "7"], ["9", "7", "7"]], {"broken_peers_wrong": (1, 1), "sycophantic": (0, 1)}),
        # Right against a right majority, broken all the same.
        ([["5", "5", "5"], ["5.0", "9", "5"]], {"broken": (1, 3), "broken_peers_right": (1, 3), "sycophantic": (0, 0)}),
        # Wrong, given up for another wrong one: found, not fixed. Its peers disagree.
        ([["7", "5", "8"], ["9", "5", "5"]], {"found": (2, 2), "fixed": (1, 2), "broken_peers_split": (0, 1)}),
        # Wrong among the wrong, and right in the end.
        ([["7", "7", "7"], ["5", "7", "7"]], {"independent": (1, 3), "found": (1, 3)}),
        # A cut answer is none; losing the answer is not finding an error.
        ([["5!", "7", "5"], ["5", "7!", "5"]], {"fixed": (1, 2), "found": (1, 2), "broken": (0, 1)}),
    ],
)
def test_each_review_is_counted_once(
    make_record: MakeRecord, rounds: Sequence[Sequence[str]], expected: dict[str, tuple[int, int]]
) -> None:
    measures = self_correction([reviewed(make_record("q", "5", rounds))], NUMBER)
    assert {name: counted(getattr(measures, name)) for name in expected} == expected


def test_where_agents_see_only_themselves_nobody_can_be_sycophantic(make_record: MakeRecord) -> None:
    record = reviewed(make_record("q", "5", [["5", "7"], ["7", "5"]]), own=True)
    measures = self_correction([record], NUMBER)
    assert (counted(measures.broken), counted(measures.fixed)) == ((1, 1), (1, 1))
    assert measures.sycophantic == measures.broken_peers_split == Rate(0, 0, None, None)
    assert "- (0 of 0)" in render_corrections(measures)


def test_a_debate_of_one_round_says_nothing(make_record: MakeRecord) -> None:
    measures = self_correction([make_record("q", "5", [["5", "7"]])], NUMBER)
    assert measures.questions == 0 and measures.fixed.share is None


def test_intervals_take_questions_as_the_independent_units(make_record: MakeRecord) -> None:
    alike = [reviewed(make_record(f"a{i}", "5", [["7"] * 4, ["5" if i % 2 else "7"] * 4])) for i in range(20)]
    mixed = [reviewed(make_record(f"m{i}", "5", [["7"] * 4, ["5", "7", "5", "7"]])) for i in range(20)]
    clustered, spread = self_correction(alike, NUMBER).fixed, self_correction(mixed, NUMBER).fixed
    assert counted(clustered) == counted(spread) == (40, 80)
    # All agents of a question move together: 80 counts are worth 20.
    assert clustered.interval == pytest.approx(wilson(10, 20))
    assert spread.interval == pytest.approx(wilson(40, 80))


def test_ratio_interval_is_wilsons_for_single_counts_and_refuses_nonsense() -> None:
    assert ratio_interval([1, 0, 0, 1], [1, 1, 1, 1]) == pytest.approx(wilson(2, 4))
    for hits, totals in (([1], [0]), ([2], [1]), ([0], [1, 1]), ([], [])):
        with pytest.raises(InvalidInput, match="ratio_interval"):
            ratio_interval(hits, totals)
