"""Labels by consensus: who agrees decides, and gold answers only measure how well that went."""

import json
from collections.abc import Callable, Sequence

import pytest

from agentark.api import Prompts
from agentark.curate import Curated, MethodCuration, curate, leading
from agentark.debate.transcript import Record
from agentark.errors import InvalidInput
from agentark.statistics import wilson
from agentark.tasks import Policy

NUMBER = Policy(kind="number")
PROMPTS = Prompts(solve="{question}", peer="Agent {number}:\n{solution}", solution_marker="Step 1:")
MakeRecord = Callable[..., Record]


def said(answer: int) -> str:
    return f"Step 1: {answer - 1} + 1 = {answer}\nThe answer is \\boxed{{{answer}}}"


def run(records: Sequence[Record], **params: object) -> Curated:
    arguments = {"method": "RSFT", "held_out_fraction": 0.0, "labels": "Consensus", **params}
    return curate(records, params=MethodCuration(**arguments), prompts=PROMPTS, policy=NUMBER)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("last", "answer", "share"),
    [
        ([said(6)] * 5, "6", 1.0),
        ([said(6), said(6), said(6), said(6), said(7)], "6", 0.8),
        ([said(6), said(6), said(6), "I do not know", said(7)], "6", 0.6),
        ([said(6), said(6), said(6), said(6) + "<cut>", said(6) + "<cut>"], "6", 0.6),
        ([said(6), said(6), said(7), said(7), said(8)], "", 0.0),
        (["no idea"] * 3, "", 0.0),
    ],
)
def test_the_label_is_what_most_agents_ended_with(
    make_record: MakeRecord, last: list[str], answer: str, share: float
) -> None:
    # What was said before the last round does not count.
    found = leading(make_record("q", "", [[said(9)] * len(last), last]), NUMBER)
    assert found == (answer, share)
    assert found.label(share) == answer and found.label(share + 0.01) == ""


def test_equal_answers_in_other_words_agree(make_record: MakeRecord) -> None:
    spelt = [said(1200), "Step 1: x\nThe answer is \\boxed{1,200}", "Step 1: x\nThe answer is \\boxed{1200.0}"]
    assert leading(make_record("q", "", [spelt]), NUMBER).share == 1.0


def test_traces_are_selected_by_the_label_and_never_by_the_gold_answer(make_record: MakeRecord) -> None:
    # All but one agent are wrong together: with gold answers the one would be the trace, without them it is not.
    fooled = make_record("fooled", "6", [[said(7), said(7), said(7), said(7), said(6)]])
    assert [row.completion for row in run([fooled], labels="Gold").rows] == [said(6)]
    assert [row.completion for row in run([fooled]).rows] == [said(7)]
    blind = fooled.model_copy(update={"gold": ""})
    with_gold, without = run([fooled]), run([blind])
    assert with_gold.rows == without.rows
    answers = run([fooled], method="AnswerOnly").rows
    assert [row.completion for row in answers] == ["The answer is \\boxed{7}"]


def test_questions_below_the_threshold_are_left_out_and_counted(make_record: MakeRecord) -> None:
    records = [
        make_record("sure", "", [[said(6)] * 5]),
        make_record("near", "", [[said(6)] * 4 + [said(7)]]),
        make_record("split", "", [[said(6)] * 3 + [said(7)] * 2]),
    ]
    assert {row.question_id for row in run(records).rows} == {"sure", "near"}
    curated = run(records, consensus_threshold=1.0)
    assert {row.question_id for row in curated.rows} == {"sure"}
    questions = curated.card.counts.questions
    assert (questions["read"], questions["no_consensus"], questions["used"]) == (3, 2, 1)
    with pytest.raises(InvalidInput, match="no_consensus 1"):
        run(records[2:])


def test_held_out_questions_carry_labels_too(make_record: MakeRecord) -> None:
    records = [make_record(f"q{i}", "1", [[said(i + 2)] * 5]) for i in range(40)]
    records += [make_record(f"r{i}", "1", [[said(2), said(3)]]) for i in range(40)]
    curated = run(records, held_out_fraction=0.3)
    assert curated.held_out
    # No gold answer (1 everywhere) decides which checkpoint is best, and no question without a label does.
    assert all(one.gold == str(int(one.question_id[1:]) + 2) for one in curated.held_out)
    assert "held out for in-training evaluation carry such labels" in curated.card.as_markdown()


def test_the_card_measures_labels_where_gold_answers_are_known(make_record: MakeRecord) -> None:
    records = [make_record(f"a{i}", "6", [[said(6)] * 5]) for i in range(6)]
    records += [make_record(f"b{i}", "6", [[said(6)] * 4 + [said(7)]]) for i in range(2)]
    records += [make_record(f"c{i}", "6", [[said(7)] * 4 + [said(6)]]) for i in range(2)]
    records += [make_record(f"d{i}", "6", [[said(7)] * 3 + [said(6)] * 2]) for i in range(5)]
    records += [make_record(f"e{i}", "", [[said(6)] * 5]) for i in range(5)]
    curated = run(records)
    card = json.loads(json.dumps(curated.card.as_json()))
    found = {
        score["threshold"]: (score["labelled"], score["with_gold"], score["right"], score["coverage"])
        for score in card["labels"]
    }
    assert found == {0.6: (20, 15, 8, 1.0), 0.8: (15, 10, 8, 0.75), 1.0: (11, 6, 6, 0.55)}
    chosen = next(score for score in card["labels"] if score["threshold"] == 0.8)
    assert chosen["precision"] == 0.8
    assert chosen["interval"] == wilson(8, 10)._asdict()
    assert card["rounds"][0]["held"] == 15  # rounds are measured on questions whose answer is known
    page = curated.card.as_markdown()
    assert "| **80%** | 15 | 75.0% | 8 of 10 | 80.0% [49.0% 94.3%] |" in page
    assert "No gold answer was used" in page


def test_the_card_says_when_nothing_could_be_measured(make_record: MakeRecord) -> None:
    curated = run([make_record("q", "", [[said(6)] * 5])])
    assert curated.card.labels[-1].precision is None and curated.card.labels[-1].interval is None
    page = curated.card.as_markdown()
    assert "the precision of the labels is unknown" in page
    assert "round by round" not in page


def test_gold_labels_need_gold_answers_and_say_what_else_is_possible(make_record: MakeRecord) -> None:
    record = make_record("q7", "", [[said(6)] * 5])
    with pytest.raises(InvalidInput, match=r"'q7' has no gold answer.*curation\.labels: Consensus"):
        run([record], labels="Gold")
    assert run([make_record("q", "6", [[said(6)]])], labels="Gold").card.labels == ()


@pytest.mark.parametrize("threshold", [0.0, -0.1, 1.1, float("nan")])
def test_a_threshold_outside_its_range_is_refused(threshold: float) -> None:
    with pytest.raises(InvalidInput, match=r"MethodCuration\.consensus_threshold"):
        MethodCuration(method="RSFT", consensus_threshold=threshold)
