"""What a debate came to, and what it warns of."""

import pytest

from agentark.debate import Record, format_record, outcome_of, warning_of
from agentark.debate.outcome import Outcome
from agentark.llm.chat import Completion
from agentark.tasks import NUMBER
from tests.debate.conftest import Listener
from tests.debate.test_protocol import Hold, cut


def filtered(number: int) -> Completion:
    return Completion(f"Peer 2 errs. Step 1: \\boxed{{{number}}}", "", "filtered", 5)


def outcome(replies: int = 100, *, cut: int = 0, empty: int = 0, filtered: int = 0) -> Outcome:
    return Outcome(10, 0, None, None, 0.0, replies, cut, empty, filtered)


async def test_a_filtered_reply_never_votes_and_is_shown_to_nobody(hold: Hold) -> None:
    listener = Listener([[filtered(7), filtered(7), 9], [filtered(7), filtered(7), 9]])
    record = await hold(listener, rounds=2, tie="First")
    assert (record.answer, record.consensus, record.decided_by) == ("9", False, "Majority")
    turn = record.turns[0]
    assert (turn.vote, turn.answer, turn.solution, turn.critique, turn.complete) == ("", "", "", "", False)
    reviews = "\n".join(message.content for messages, _, _ in listener.sent[3:] for message in messages)
    assert "boxed{7}" not in reviews and "(no solution)" in reviews
    shown = format_record(record)
    assert "no answer, filtered: does not count" in shown and "Peer 2 errs. Step 1: \\boxed{7}" in shown
    assert Record.model_validate_json(record.model_dump_json()) == record


async def test_agents_that_are_all_filtered_decide_nothing(hold: Hold) -> None:
    record = await hold(Listener([[filtered(7)] * 3, [filtered(7)] * 3]), rounds=2)
    assert (record.answer, record.decided_by, record.consensus) == ("", "None", False)


async def test_a_debate_is_added_up(hold: Hold) -> None:
    empty = Completion(" \n", "all in thought \\boxed{7}", "stop", 5)
    agreed = await hold(Listener([[7, 7, 7]]))
    mixed = await hold(Listener([[7, 9, 9], [cut(7), filtered(7), empty], [7, cut(7), 9]]), tie="First")
    without_gold = (await hold(Listener([[8, 8, 8]]))).model_copy(update={"gold": ""})
    found = outcome_of([agreed, mixed, without_gold], NUMBER)
    assert (found.questions, found.with_gold, found.agreement) == (3, 2, 2 / 3)
    assert found.agents_right == pytest.approx((1 + 1 / 3) / 2)
    assert found.vote_right == 1.0
    assert (found.replies, found.cut, found.empty, found.filtered, found.uncounted) == (15, 2, 1, 1, 4)
    nothing = outcome_of([without_gold], NUMBER)
    assert (nothing.agents_right, nothing.vote_right) == (None, None)


def test_a_fifth_is_borne_more_is_warned_of() -> None:
    def said(found: Outcome, failed: int = 0) -> str:
        return warning_of(found, failed=failed, max_tokens=500, field="spec.debate", model_field="spec.debate.teacher")

    assert said(outcome(cut=10, empty=5, filtered=5)) == ""
    assert said(outcome(replies=0)) == ""
    text = said(outcome(cut=11, empty=5, filtered=5))
    assert text.startswith("21 of 100 replies (21%) could not count: 11 cut at 500 tokens")
    assert "raise spec.debate.protocol.sampling.maxTokens" in text
    assert (
        "5 empty" in text
        and "spec.debate.teacher" in text
        and "leave such questions out of spec.debate.dataset" in text
    )
    assert "cut" not in said(outcome(filtered=30)) and "maxTokens" not in said(outcome(empty=30))
    assert "questions failed" not in text
    assert said(outcome(cut=30), failed=1200).endswith("; 1,200 questions failed")
    assert said(outcome(), failed=3) == ""
