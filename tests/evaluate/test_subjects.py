"""What a subject's records say about its accuracy and its cost."""

from collections.abc import Callable

import pytest

from agentark.debate.transcript import Record
from agentark.errors import InvalidInput
from agentark.evaluate import Subject, score, split_samples, wilson
from agentark.tasks import Policy

NUMBER = Policy(kind="number")
MakeRecord = Callable[..., Record]


def test_accuracy_and_costs_are_means_over_all_questions(make_record: MakeRecord) -> None:
    records = [
        make_record("a", "1,000", [["1000"]], seconds=[[2.0]]),
        make_record("b", "2", [["3"]], seconds=[[4.0]]),
        make_record("c", "5", [[""]], seconds=[[0.0]]),
        make_record("d", "7", [["7"]], seconds=[[6.0]]),
    ]
    result = score(Subject("base", "base, greedy", records), NUMBER)
    assert (result.n, result.correct, result.accuracy) == (4, 2, 0.5)
    assert result.interval == pytest.approx(wilson(2, 4))
    assert result.unanswered == 0.25
    assert (result.prompt_tokens, result.completion_tokens, result.tokens, result.calls) == (10, 5, 15, 1)
    assert (result.latency_s, result.busy_s) == (3.0, 3.0)
    assert result.decoding == "Greedy"
    assert result.per_question == {"a": 1.0, "b": 0.0, "c": 0.0, "d": 1.0}


def test_a_debate_takes_its_slowest_request_of_each_round(make_record: MakeRecord) -> None:
    record = make_record("a", "1", [["1", "2"], ["1", "1"]], seconds=[[1.0, 3.0], [2.0, 0.5]], temperature=0.7)
    result = score(Subject("debate", "debate", [record]), NUMBER)
    assert (result.latency_s, result.busy_s, result.calls) == (5.0, 6.5, 4)
    assert result.decoding == "Sampled"


def test_samples_of_one_request_cost_its_time_and_prompt_once(make_record: MakeRecord) -> None:
    record = make_record("a", "1", [["1", "2", "1"]], temperature=0.7, seconds=[[3.0, 3.0, 3.0]])
    shared = [
        turn.model_copy(update={"sample": k, "samples": 3, "seed": 7, "prompt_tokens": 0 if k else 10})
        for k, turn in enumerate(record.turns)
    ]
    record = record.model_copy(update={"turns": tuple(shared), "calls": 1, "prompt_tokens": 10})
    votes = score(Subject("sc", "vote", [record]), NUMBER)
    assert (votes.calls, votes.latency_s, votes.busy_s, votes.prompt_tokens) == (1, 3.0, 3.0, 10)
    single = score(Subject("sampled", "single", split_samples([record]), samples=3), NUMBER)
    assert single.accuracy == pytest.approx(2 / 3)
    assert (single.n, single.samples, single.calls, single.prompt_tokens, single.completion_tokens) == (1, 3, 1, 10, 5)
    assert single.decoding == "Sampled"


def test_split_samples_keep_only_answers_that_were_not_cut_off(make_record: MakeRecord) -> None:
    parts = list(split_samples([make_record("a", "1", [["1", "1!", ""], ["1", "1", "1"]])]))
    assert [part.answer for part in parts] == ["1", "", ""]
    assert [part.decided_by for part in parts] == ["Single", "None", "None"]


def test_missing_and_repeated_questions_are_refused_by_name(make_record: MakeRecord) -> None:
    one = make_record("a", "1", [["1"]])
    with pytest.raises(InvalidInput, match="base: no records to score"):
        score(Subject("base", "base", []), NUMBER)
    with pytest.raises(InvalidInput, match=r"expected 1 record.*found 2 of 'a'"):
        score(Subject("base", "base", [one, one, make_record("b", "1", [["1"]])]), NUMBER)
    with pytest.raises(InvalidInput, match=r"expected 2 record.*found 1 of 'a'"):
        score(Subject("base", "base", [one], samples=2), NUMBER)
