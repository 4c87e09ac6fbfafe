"""Which traces are trained on."""

from collections.abc import Callable

import pytest

from agentark.api import Prompts
from agentark.curate import Curated, MethodCuration, curate
from agentark.debate.transcript import Record
from agentark.errors import InvalidInput
from agentark.tasks import Policy

NUMBER = Policy(kind="number")
PROMPTS = Prompts(
    solve="{question}",
    peer="Agent {number}:\n{solution}",
    review="{peers}\nReview these solutions and solve again.",
    solution_marker="Step 1:",
)
MakeRecord = Callable[..., Record]

RIGHT = "Step 1: 3 + 5 = 8\nStep 2: 8 - 2 = 6\nThe answer is \\boxed{6}"
SAME = "Step 1: 5 + 3 = 8\nStep 2: 8 - 2 = 6\nSo the answer is \\boxed{6}"
OTHER = "Step 1: 5 - 2 = 3\nStep 2: 3 + 3 = 6\nThe answer is \\boxed{6}"
THIRD = "Step 1: 3 * 2 = 6\nThe answer is \\boxed{6}"
WRONG = "Step 1: 3 + 5 = 9\nStep 2: 9 - 2 = 7\nThe answer is \\boxed{7}"


def run(records: list[Record], prompts: Prompts = PROMPTS, **params: object) -> Curated:
    arguments = {"method": "RSFT", "held_out_fraction": 0.0, **params}
    return curate(records, params=MethodCuration(**arguments), prompts=prompts, policy=NUMBER)  # type: ignore[arg-type]


def completions(curated: Curated) -> list[str]:
    return [row.completion for row in curated.rows]


def test_rsft_prefers_the_corrective_trace(make_record: MakeRecord) -> None:
    record = make_record("q", "6", [[OTHER, THIRD, WRONG], [OTHER, THIRD, f"Mine: step 1 is wrong\n{RIGHT}"]])
    for seed in range(5):
        curated = run([record], seed=seed)
        assert completions(curated) == [RIGHT]
    assert curated.card.counts.corrective == {
        "found": 1, "with_critique": 1, "with_peer_critique": 0, "selected": 1,
    }  # fmt: skip


def test_rsft_takes_a_right_answer_of_the_last_round_and_no_earlier_one(make_record: MakeRecord) -> None:
    kept = make_record("kept", "6", [[RIGHT, WRONG], [RIGHT, WRONG]])
    lost = make_record("lost", "6", [[RIGHT, WRONG], [WRONG, WRONG]])
    curated = run([kept, lost])
    assert [row.question_id for row in curated.rows] == ["kept"]
    assert curated.card.counts.questions["no_trace"] == 1


def test_equal_traces_are_chosen_by_the_seed(make_record: MakeRecord) -> None:
    record = make_record("q", "6", [[RIGHT, OTHER, THIRD]])
    chosen = {completions(run([record], seed=seed))[0] for seed in range(20)}
    assert chosen == {RIGHT, OTHER, THIRD}
    assert run([record], seed=4) == run([record], seed=4)


def test_da_takes_the_traces_that_differ_most(make_record: MakeRecord) -> None:
    near = "Step 1: 3 + 5 = 8\nStep 2: 8 - 1 = 7\nStep 3: 7 - 1 = 6\nThe answer is \\boxed{6}"
    record = make_record("q", "6", [[RIGHT, SAME, near, THIRD]])
    for seed in range(8):
        curated = run([record], method="DA", max_traces=2, seed=seed)
        assert len(curated.rows) == 2
        assert [row.weight for row in curated.rows] == [0.5, 0.5]
        # THIRD shares nothing but the answer with the others, so it is always one of the two.
        assert THIRD in completions(curated)
    curated = run([record], method="DA", max_traces=3)
    assert len(curated.rows) == 3
    assert not {RIGHT, SAME} <= set(completions(curated))
    assert curated.card.counts.traces["near_duplicate"] == 1
    assert sum(row.weight for row in curated.rows) == pytest.approx(1)


def test_da_drops_a_question_with_fewer_than_two_right_agents(make_record: MakeRecord) -> None:
    alone = make_record("alone", "6", [[RIGHT, OTHER, THIRD], [WRONG, RIGHT, WRONG]])
    two = make_record("two", "6", [[RIGHT, SAME, WRONG]])
    curated = run([alone, two], method="DA")
    assert [row.question_id for row in curated.rows] == ["two"]
    assert curated.rows[0].weight == 1.0
    assert curated.card.counts.questions["too_few_correct_agents"] == 1
    assert curated.card.counts.traces["too_few_correct_agents"] == 4


def test_own_answers_come_from_the_first_round_only(make_record: MakeRecord) -> None:
    first = make_record("first", "6", [[WRONG, OTHER], [RIGHT, RIGHT]])
    later = make_record("later", "6", [[WRONG, WRONG], [RIGHT, RIGHT]])
    curated = run([first, later], method="OwnAnswers")
    assert completions(curated) == [OTHER]
    assert curated.card.counts.traces["later_round"] == 4


def test_answers_alone_keep_the_form_of_the_data_and_need_no_right_trace(make_record: MakeRecord) -> None:
    solved = make_record("solved", "6", [[WRONG, RIGHT]])
    unsolved = make_record("unsolved", "11", [[WRONG, WRONG]])
    curated = run([solved, unsolved], method="AnswerOnly")
    assert completions(curated) == ["The answer is \\boxed{6}", "The answer is \\boxed{11}"]
    assert {row.form for row in curated.rows} == {"Answer"}
    assert curated.card.counts.questions["used"] == 2


def test_answers_alone_are_the_bare_box_where_the_data_has_no_sentence(make_record: MakeRecord) -> None:
    boxes = [
        make_record("a", "6", [["Step 1: so it is\n\\boxed{6}, as 3 + 3 = 6, and the rest" + " of the story" * 30]]),
        make_record("b", "\\frac{1}{2}", [["Step 1: nothing"]]),
    ]
    assert completions(run(boxes, method="AnswerOnly")) == ["\\boxed{6}", "\\boxed{\\frac{1}{2}}"]


def test_every_filter_counts_and_the_counts_add_up(make_record: MakeRecord) -> None:
    long = RIGHT.replace("Step 2", "Now consider very carefully what is left over.\nStep 2")
    gossip = "Step 1: as Agent 2 says 2 * 3 = 6\nThe answer is \\boxed{6}"
    record = make_record(
        "q", "6", [[RIGHT, SAME, OTHER, WRONG], [long, gossip, THIRD + "<cut>", "Step 1: I do not know"]]
    )
    for method in ("RSFT", "DA", "OwnAnswers"):
        counts = run(
            [record, make_record("r", "6", [[RIGHT, RIGHT]])], method=method, max_trace_characters=90
        ).card.counts
        for funnel, end in ((counts.traces, "selected"), (counts.questions, "used")):
            assert funnel["read"] == sum(n for name, n in funnel.items() if name != "read")
            assert funnel[end] > 0
    counts = run([record, make_record("r", "6", [[OTHER]])], max_trace_characters=90).card.counts
    removed = {"truncated": 1, "wrong": 2, "too_long": 1, "names_peers": 1, "near_duplicate": 1}
    assert {name: counts.traces[name] for name in removed} == removed


def test_held_out_questions_depend_on_their_id_alone_and_are_never_trained_on(make_record: MakeRecord) -> None:
    records = [make_record(f"q{i}", "6", [[RIGHT, OTHER]], question=f"Question number {i}?") for i in range(400)]
    curated = run(records, held_out_fraction=0.2)
    held = {row.question_id for row in curated.held_out}
    assert 50 < len(held) < 110
    assert held.isdisjoint(row.question_id for row in curated.rows)
    assert len(held) + len(curated.rows) == 400
    again = run(records[::-1], held_out_fraction=0.2, method="DA", seed=9)
    assert {row.question_id for row in again.held_out} == held
    more = run(records, held_out_fraction=0.3, method="AnswerOnly")
    assert held < {row.question_id for row in more.held_out}
    assert curated.held_out[0].as_json() == {
        "prompt": [{"role": "user", "content": f"Question number {curated.held_out[0].question_id[1:]}?"}],
        "gold": "6",
        "question_id": curated.held_out[0].question_id,
    }


def test_questions_of_the_evaluation_set_are_left_out(make_record: MakeRecord) -> None:
    seen = make_record("seen", "6", [[RIGHT]], question="How many pens does Ann have now?")
    fresh = make_record("fresh", "6", [[RIGHT]], question="How many eggs does Ben have now?")
    params = MethodCuration(method="RSFT", held_out_fraction=0.0)
    evaluation = ["how many PENS does Ann have now"]
    curated = curate([seen, fresh], params=params, prompts=PROMPTS, policy=NUMBER, evaluation_questions=evaluation)
    assert [row.question_id for row in curated.rows] == ["fresh"]
    assert curated.card.counts.questions["contaminated"] == 1


@pytest.mark.parametrize(
    ("system", "question", "leaks"),
    [
        ("", "Ann has 6 pens. How many?", False),
        ("", "Ann has 3 pens and 3 more. Answer: 6", True),
        ("", "Ann has pens. #### 6", True),
        ("For example: 2 + 4 = 6, the answer is \\boxed{6}.", "How many?", True),
        ("For example: 2 + 3 = 5, the answer is \\boxed{5}.", "How many?", False),
        ("Write 6 lines at most.", "How many?", False),
    ],
)
def test_prompts_that_show_the_gold_answer_are_left_out(
    make_record: MakeRecord, system: str, question: str, leaks: bool
) -> None:
    records = [make_record("q", "6", [[RIGHT]], question=question), make_record("other", "7", [[WRONG]])]
    curated = run(records, prompts=Prompts(system=system, solve="{question}", solution_marker="Step 1:"))
    assert [row.question_id for row in curated.rows] == (["other"] if leaks else ["q", "other"])
    assert curated.card.counts.questions["leak"] == leaks


def test_a_long_gold_number_in_the_instructions_is_a_leak(make_record: MakeRecord) -> None:
    records = [
        make_record("q", "1234", [["Step 1: \\boxed{1234}"]], question="How many?"),
        make_record("r", "5", [["Step 1: \\boxed{5}"]], question="How much?"),
    ]
    curated = run(records, prompts=Prompts(system="The pens are 1234.", solve="{question}"))
    assert [row.question_id for row in curated.rows] == ["r"]


def test_the_prompt_is_what_a_single_pass_sees(make_record: MakeRecord) -> None:
    prompts = Prompts(system="Be brief.", solve="Problem: {question}\nSolve {it}.", solution_marker="Step 1:")
    (row,) = run([make_record("q", "6", [[RIGHT]], question="How {many}?")], prompts=prompts).rows
    assert row.as_json() == {
        "prompt": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Problem: How {many}?\nSolve {it}."},
        ],
        "completion": [{"role": "assistant", "content": RIGHT}],
        "question_id": "q",
        "weight": 1.0,
        "form": "Solution",
    }


def test_a_truncated_right_solution_is_not_right(make_record: MakeRecord) -> None:
    with pytest.raises(InvalidInput, match=r"no row is left.*1 questions.*2 traces \(truncated 1, wrong 1\)"):
        run([make_record("q", "6", [[RIGHT + "<cut>", WRONG]])])


def refusal(records: list[Record], **params: object) -> str:
    with pytest.raises(InvalidInput) as raised:
        run(records, **params)
    return str(raised.value)


def test_where_no_trace_was_right_their_answers_are_shown_and_more_questions_are_not_asked_for(
    make_record: MakeRecord,
) -> None:
    steering = "\x1b[m so it is \u202ebold " + "very " * 500 + "\x1b]x\x07 __six__"
    records = [make_record(f"q{i}", "6", [[WRONG, steering]]) for i in range(9)]
    records[0] = make_record("q0", "6", [[WRONG, WRONG]])
    message = refusal(records)
    assert "debate more" not in message and "more questions alone would not help" in message
    assert "question 'q0': answer '" in message and ", gold '6'" in message
    assert "question 'q1': no answer read from '…" in message and "__six__'" in message
    assert "question 'q3'" not in message, "a few are enough"
    assert "dataset.task" in message and "protocol.prompts.solve" in message
    assert message.isprintable() and len(message) < 1500


def test_traces_that_were_cut_are_to_be_longer(make_record: MakeRecord) -> None:
    message = refusal([make_record("q", "6", [[RIGHT + "<cut>", RIGHT + "<cut>", WRONG]])])
    assert "protocol.sampling.maxTokens" in message and "debate more" not in message
    assert "question 'q': cut after '" in refusal([make_record("q", "6", [[RIGHT + "<cut>"]])])


def test_filtered_and_empty_replies_are_said_to_be_so(make_record: MakeRecord) -> None:
    record = make_record("q", "6", [[WRONG]])
    turn = record.turns[0].model_copy(
        update={"finish_reason": "filtered", "text": "I cannot.", "solution": "", "answer": "", "critique": ""}
    )
    message = refusal([record.model_copy(update={"turns": (turn,)})])
    assert "1 traces (filtered 1)" in message and "filtered or refused 'I cannot.'" in message
    assert "Most were filtered or refused: take another teacher" in message and "dataset.task" not in message
    empty = turn.model_copy(update={"finish_reason": "stop", "text": " "})
    message = refusal([record.model_copy(update={"turns": (empty,)})])
    assert "question 'q': an empty reply, gold '6'" in message
    assert "Most were empty: see whether the teacher's server keeps answers as reasoning" in message


def test_where_replies_could_not_count_for_several_reasons_all_are_said(make_record: MakeRecord) -> None:
    record = make_record("q", "6", [[RIGHT + "<cut>", WRONG, WRONG, WRONG]])
    cut, *others = record.turns
    filtered = others[0].model_copy(update={"finish_reason": "filtered", "solution": "", "answer": ""})
    empty = others[1].model_copy(update={"text": "", "solution": "", "answer": ""})
    message = refusal([record.model_copy(update={"turns": (cut, filtered, empty, others[2])})])
    assert "Most could not count: 1 were cut" in message
    assert "1 filtered or refused, 1 empty (take another teacher)" in message and "dataset.task" not in message


def test_where_a_trace_was_right_more_questions_may_help(make_record: MakeRecord) -> None:
    assert "debate more questions" in refusal([make_record("q", "6", [[RIGHT, WRONG, WRONG]])], method="DA")
    assert "debate more questions" in refusal([make_record("q", "6", [[RIGHT]])], max_trace_characters=5)


def test_bad_records_and_parameters_are_refused_by_name(make_record: MakeRecord) -> None:
    record = make_record("q", "6", [[RIGHT]])
    with pytest.raises(InvalidInput, match="'q' comes twice"):
        run([record, record])
    with pytest.raises(InvalidInput, match="'q' has no gold answer"):
        run([record.model_copy(update={"gold": " "})])
    with pytest.raises(InvalidInput, match="no row is left"):
        run([])
    for bad in (
        {"method": "Best"},
        {"form": "All"},
        {"max_traces": 4},
        {"held_out_fraction": 1.1},
        {"max_trace_characters": 0},
    ):
        with pytest.raises(InvalidInput, match=rf"MethodCuration\.{next(iter(bad))}: found"):
            run([record], **bad)
