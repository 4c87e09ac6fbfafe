"""Subjects side by side: numbers, refusals, and a table that a newcomer can read."""

import json
from collections.abc import Callable, Sequence

import pytest

from agentark.debate.transcript import Record
from agentark.errors import InvalidInput
from agentark.evaluate import Subject, SubjectScore, compare, difference, mcnemar_exact, render_text, score
from agentark.tasks import Policy

NUMBER = Policy(kind="number")
MakeRecord = Callable[..., Record]
Scored = Callable[..., SubjectScore]


@pytest.fixture
def scored(make_record: MakeRecord) -> Scored:
    def make(name: str, right: Sequence[int], *, label: str = "", tokens: int = 15, samples: int = 1) -> SubjectScore:
        records = [
            make_record(f"q{i}", "1", [["1" if r > k else "0"]]).model_copy(
                update={"prompt_tokens": tokens - 5, "completion_tokens": 5}
            )
            for i, r in enumerate(right)
            for k in range(samples)
        ]
        return score(Subject(name, label or name, records, samples=samples), NUMBER)

    return make


def test_a_row_holds_gain_test_and_shares(scored: Scored) -> None:
    base, student = scored("base", [1] * 50 + [0] * 50), scored("student", [1] * 45 + [0] * 5 + [1] * 40 + [0] * 10)
    debate = scored("debate", [1] * 90 + [0] * 10, tokens=300)
    table = compare([base, debate, student], "base", debate="debate", seed=3)
    row = table.row("student")
    assert row.against_base is not None
    assert row.against_base.gain == pytest.approx(0.35)
    assert (row.against_base.only_first, row.against_base.only_second) == (40, 5)
    assert row.against_base.p == mcnemar_exact(40, 5)
    low, high = row.against_base.interval
    assert 0.2 < low < 0.35 < high < 0.5
    assert row.debate_accuracy_share == pytest.approx(85 / 90)
    assert row.debate_token_share == pytest.approx(15 / 300)
    assert table.row("base").against_base is None
    assert compare([base, student], "base").row("student").debate_token_share is None
    with pytest.raises(KeyError):
        table.row("nobody")


def test_the_order_of_records_changes_nothing(make_record: MakeRecord, scored: Scored) -> None:
    right = [1, 0, 1, 1, 0, 1, 1, 1]
    records = [make_record(f"q{i}", "1", [[str(r)]]) for i, r in enumerate(right)]
    base = scored("base", [0, 1, 0, 1, 0, 1, 0, 1])
    forwards = score(Subject("s", "s", records), NUMBER)
    backwards = score(Subject("s", "s", reversed(records)), NUMBER)
    assert difference(forwards, base, seed=1) == difference(backwards, base, seed=1)


def test_sampled_subjects_are_compared_by_the_bootstrap_alone(scored: Scored) -> None:
    base = scored("base", [1, 0, 1, 0])
    sampled = scored("sampled", [4, 2, 3, 1], samples=4)
    found = difference(sampled, base)
    assert found.p is None
    assert found.gain == pytest.approx(10 / 16 - 0.5)
    assert (found.only_first, found.only_second) == (0.75, 0.25)
    line = render_text(compare([base, sampled], "base")).splitlines()[2]
    assert line.startswith("sampled") and " - " in line


def test_subjects_with_other_questions_are_refused_with_the_difference(scored: Scored) -> None:
    base, short = scored("base", [1] * 9), scored("student", [1] * 2)
    with pytest.raises(InvalidInput) as caught:
        compare([base, short], "base")
    message = str(caught.value)
    assert "base (9 questions) and student (2)" in message
    assert "student lacks 'q2', 'q3', 'q4', 'q5', 'q6' and 2 more" in message


def test_unknown_and_repeated_names_are_refused(scored: Scored) -> None:
    base = scored("base", [1, 0])
    with pytest.raises(InvalidInput, match="base 'bse' is none of the subjects: base"):
        compare([base], "bse")
    with pytest.raises(InvalidInput, match="debate 'x' is none"):
        compare([base], "base", debate="x")
    with pytest.raises(InvalidInput, match="must differ"):
        compare([base, base], "base")


def test_the_text_is_aligned_narrow_and_explains_itself(scored: Scored) -> None:
    base = scored("base", [1] * 27 + [0] * 23, label="base, single pass, greedy")
    debate = scored("debate", [1] * 46 + [0] * 4, label="debate of 5 agents, up to 3 rounds, long label", tokens=1367)
    student = scored("student", [1] * 44 + [0] * 6, label="student, single pass, greedy", tokens=53)
    text = render_text(compare([base, debate, student], "base", debate="debate"))
    lines = text.splitlines()
    assert all(len(line) <= 120 for line in lines)
    assert len({len(line) for line in lines[1:5]}) == 1
    cells = " ".join(lines[4].split())
    assert cells == "student, single pass, greedy 88.0 [76.2 94.4] +34.0 [+20.0 +48.0] <0.0001 1 48+5 1 96 3.88"
    for word in ("95 % interval", "McNemar", "gain:", 'points above "base, single pass, greedy"', "of debate:"):
        assert word in text
    assert all(len(line) <= 100 for line in render_text(compare([base, student], "base"), width=100).splitlines())


def test_the_json_form_holds_everything_but_the_questions(scored: Scored) -> None:
    table = compare(
        [scored("base", [1, 0, 0]), scored("debate", [1, 1, 0], tokens=60)], "base", debate="debate", seed=2
    )
    data = json.loads(json.dumps(table.as_json(), allow_nan=False))
    assert (data["base"], data["questions"], data["bootstrap"]) == ("base", 3, {"resamples": 2000, "seed": 2})
    base, debate = data["subjects"]
    assert base["against_base"] is None and base["debate_token_share"] == 0.25
    assert debate["against_base"]["p"] == 1.0
    assert set(debate["against_base"]["interval"]) == set(debate["interval"]) == {"low", "high"}
    assert "per_question" not in debate


def test_a_debate_that_is_never_right_has_no_accuracy_share(scored: Scored) -> None:
    table = compare([scored("base", [1, 0]), scored("debate", [0, 0])], "base", debate="debate")
    assert table.row("base").debate_accuracy_share is None
    assert "debate" in render_text(table)
