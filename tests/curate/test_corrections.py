"""Corrective traces: the critique that turned them, and attempt, critique and mended solution as one text."""

from collections.abc import Callable
from typing import Any

import pytest

from agentark.api import Prompts
from agentark.curate import Curated, MethodCuration, curate
from agentark.curate.traces import Verifier
from agentark.debate.transcript import Record
from agentark.errors import InvalidInput
from agentark.tasks import Policy
from agentark.tasks.critiques import PeerNames, names_fault, number_of, turning_critique

NUMBER = Policy(kind="number")
PROMPTS = Prompts(
    solve="{question}", peer="Agent {number}:\n{solution}", review="{peers}\nReview.", solution_marker="Step 1:"
)
MakeRecord = Callable[..., Record]

RIGHT = "Step 1: 3 + 5 = 8\nThe answer is \\boxed{8}"
OTHER = "Step 1: 4 * 2 = 8\nThe answer is \\boxed{8}"
WRONG = "Step 1: 3 + 5 = 9\nThe answer is \\boxed{9}"


def run(records: list[Record], form: str = "SelfCorrection", **params: object) -> Curated:
    arguments = {"method": "RSFT", "held_out_fraction": 0.0, "form": form, **params}
    return curate(records, params=MethodCuration(**arguments), prompts=PROMPTS, policy=NUMBER)  # type: ignore[arg-type]


def test_a_trace_is_corrective_where_its_agent_was_wrong_one_round_before(make_record: MakeRecord) -> None:
    record = make_record("q", "8", [[WRONG, RIGHT, WRONG], [RIGHT, WRONG, WRONG], [RIGHT, RIGHT, "Step 1: hm"]])
    traces = Verifier(PROMPTS, NUMBER).traces(record)
    assert [(trace.round, trace.agent) for trace in traces if trace.corrective] == [(1, 0), (2, 1)]
    assert {trace.attempt for trace in traces if trace.corrective} == {WRONG}
    assert [trace.correct for trace in traces] == [False, True, False, True, False, False, True, True, False]


def test_the_critique_is_the_agents_own_and_what_its_peers_said_of_it(make_record: MakeRecord) -> None:
    # Agent 1 is "Agent 2" to agent 0 and "Agent 1"... to agent 0 others start at 1: agents 1, 2 are its 1 and 2.
    said = [
        "Mine: right\nAgent 1: step 1 is wrong, 3 + 5 = 8 not 9\nAgent 2: right",
        "Mine: step 1 is wrong, it should be 8\nAgent 1: right",
        "Mine: right\nAgent 1: right\nAgent 2: step 1 is wrong, 9 is too much",
    ]
    second = [f"{critique}\n{solution}" for critique, solution in zip(said, (OTHER, RIGHT, OTHER), strict=True)]
    record = make_record("q", "8", [[OTHER, WRONG, OTHER], second])
    (trace,) = (trace for trace in Verifier(PROMPTS, NUMBER).traces(record) if trace.corrective)
    assert trace.agent == 1 and trace.peer_critique
    assert trace.critique.splitlines() == [
        "Mine: step 1 is wrong, it should be 8",
        "step 1 is wrong, 3 + 5 = 8 not 9",
        "step 1 is wrong, 9 is too much",
    ]


def test_own_words_that_find_nothing_wrong_are_left_out() -> None:
    names = PeerNames("Agent {number}: {solution}")
    assert turning_critique(names, "Mine: right", ["step 2 is wrong"]) == "step 2 is wrong"
    assert turning_critique(names, "Mine: right", []) == ""
    assert turning_critique(names, "I made a mistake.\nAgent 1: wrong", []) == "I made a mistake."


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("step 3 is wrong, 12 + 9 = 21 not 11", True),
        ("Step 2 contains an arithmetic error.", True),
        ("it should be 5", True),
        ("right", False),
        ("I find no errors here", False),
        ("Nothing is wrong with it; the steps are not wrong", False),
        ("There is no mistake in step 1, but step 2 is incorrect", True),
    ],
)
def test_faults_are_told_from_praise(text: str, fault: bool) -> None:
    assert names_fault(text) is fault


def test_peers_are_recognised_by_the_name_in_the_prompts() -> None:
    default = PeerNames(Prompts().peer)
    assert default.mentioned("As Agent 2 found")
    assert default.mentioned("**agent #3**'s step")
    assert not default.mentioned("The agent has 2 keys")
    assert default.faults_of(2, "- **Agent 2**: Step 3 is wrong.\nAgent 1's step 1 is wrong\nAgent 2 is right") == [
        "Step 3 is wrong."
    ]
    assert not PeerNames("A solution: {solution}").mentioned("Agent 2")
    assert [number_of(agent, reader=1) for agent in (0, 2, 3)] == [1, 2, 3]


def test_a_self_correction_tells_attempt_fault_and_mended_solution(make_record: MakeRecord) -> None:
    record = make_record("q", "8", [[WRONG, OTHER], [f"Mine: step 1 is wrong\nAgent 1: right\n{RIGHT}", OTHER]])
    (row,) = run([record]).rows
    assert row.form == "SelfCorrection"
    places = [row.completion.index(part) for part in (WRONG, "Mine: step 1 is wrong", RIGHT)]
    assert places == sorted(places)
    assert "Agent 1" not in row.completion
    both = run([record], form="Both")
    assert [(row.form, row.weight) for row in both.rows] == [("Solution", 0.5), ("SelfCorrection", 0.5)]
    assert both.rows[0].completion == RIGHT
    assert run([record], form="Solution").card.forms == {"Solution": 1}


def test_without_a_named_fault_the_clean_solution_is_taken_and_counted(make_record: MakeRecord) -> None:
    silent = make_record("silent", "8", [[WRONG, OTHER], [f"Mine: right\n{RIGHT}", OTHER]])
    cut = make_record("cut", "8", [[WRONG + "<cut>", WRONG], [f"Mine: wrong\n{RIGHT}", WRONG]])
    plain = make_record("plain", "8", [[RIGHT, RIGHT]])
    long = make_record("long", "8", [[WRONG, WRONG], [f"Mine: wrong {'indeed ' * 20}\n{RIGHT}", WRONG]])
    curated = run([silent, cut, plain, long], max_trace_characters=200)
    assert curated.card.forms == {"Solution": 4}
    assert curated.card.counts.monologues == {"written": 0, "no_critique": 2, "too_long": 1, "not_verified": 0}


def test_the_best_documented_correction_is_taken(make_record: MakeRecord) -> None:
    record = make_record(
        "q", "8", [[WRONG, WRONG, WRONG], [f"Mine: right\n{RIGHT}", f"Mine: step 1 is wrong\n{OTHER}", WRONG]]
    )
    for seed in range(6):
        (row,) = run([record], seed=seed).rows
        assert row.form == "SelfCorrection" and row.completion.endswith(OTHER)


CUT = "Step 1: 3 + <cut>"
MORE = "Step 1: 3 + 5 = 7\nThe answer is \\boxed{7}"


def test_a_pair_is_a_mended_solution_and_the_first_attempt_that_it_mends(make_record: MakeRecord) -> None:
    # Agent 0 is wrong twice before it is right; agent 1 was right at first, agent 2 was cut off.
    record = make_record("q", "8", [[WRONG, OTHER, CUT], [MORE, WRONG, WRONG], [RIGHT, OTHER, RIGHT]])
    again = make_record("again", "8", [[MORE, WRONG], [MORE, RIGHT]])
    curated = run([record, again], method="DPO")
    assert [row.as_json() for row in curated.rows] == [
        {
            "prompt": [{"role": "user", "content": f"Question {name}?"}],
            "chosen": [{"role": "assistant", "content": RIGHT}],
            "rejected": [{"role": "assistant", "content": WRONG}],
            "question_id": name,
            "weight": 1.0,
            "form": "Pair",
        }
        for name in ("q", "again")
    ]
    counts = curated.card.counts
    assert counts.traces["not_mended"] == 3 and counts.traces["read"] == sum(counts.traces.values()) / 2
    card = curated.card.as_markdown()
    assert f"[rejected]\n{WRONG}" in card and "2 Pair" in card


def test_a_pair_has_two_texts_of_the_allowed_length(make_record: MakeRecord) -> None:
    rambling = f"Step 1: {'and so on ' * 20}\n{WRONG}"
    short = make_record("short", "8", [[WRONG], [RIGHT]])
    curated = run([make_record("long", "8", [[rambling], [RIGHT]]), short], method="DPO", max_trace_characters=100)
    assert [row.question_id for row in curated.rows] == ["short"]
    assert curated.card.counts.traces["too_long"] == 1


@pytest.mark.parametrize("rounds", [[[RIGHT, WRONG], [OTHER, WRONG]], [[CUT, RIGHT], [RIGHT, OTHER]]])
def test_a_debate_in_which_nobody_was_corrected_has_no_pairs(make_record: MakeRecord, rounds: list[list[str]]) -> None:
    with pytest.raises(InvalidInput, match=r"not_mended \d.*no agent mended its wrong first attempt.*RSFT or DA"):
        run([make_record("q", "8", rounds)], method="DPO")


@pytest.mark.parametrize(
    "took", [{"max_trace_characters": 10}, {"held_out_fraction": 0.999999}], ids=["too long", "held out"]
)
def test_pairs_that_a_filter_took_are_not_said_to_be_missing(make_record: MakeRecord, took: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="loosen the filter that took most"):
        run([make_record("q", "8", [[WRONG], [RIGHT]])], method="DPO", **took)
