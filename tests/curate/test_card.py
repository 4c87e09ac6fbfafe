"""The data card accounts for what a training set holds."""

import json
from collections.abc import Callable, Iterator

import pytest

from agentark.api import Prompts
from agentark.curate import Curated, MethodCuration, curate
from agentark.debate.transcript import Record
from agentark.tasks import Policy

PROMPTS = Prompts(solve="{question}", peer="Agent {number}:\n{solution}", solution_marker="Step 1:")
WRONG = "Step 1: 3 + 5 = 9\nThe answer is \\boxed{9}"


@pytest.fixture
def curated(make_record: Callable[..., Record]) -> Curated:
    def records() -> Iterator[Record]:
        for i in range(40):
            right = f"Step 1: {i} + 8 = {i + 8}\nThe answer is \\boxed{{{i + 8}}}"
            mended = f"Mine: step 1 is wrong, ```{i}```\n{right}"
            yield make_record(
                f"q{i}", str(i + 8), [[WRONG, right], [mended, right]], question=f"What is {i} plus eight?"
            )

    params = MethodCuration(method="DA", form="Both", held_out_fraction=0.2)
    return curate(records(), params=params, prompts=PROMPTS, policy=Policy(kind="number"))


def test_the_json_form_agrees_with_the_rows(curated: Curated) -> None:
    card = json.loads(json.dumps(curated.card.as_json(), allow_nan=False))
    assert card["rows"] == len(curated.rows) == sum(card["forms"].values())
    assert card["questions"]["read"] == 40
    assert card["questions"]["held_out"] == len(curated.held_out)
    assert card["questions"]["used"] == len({row.question_id for row in curated.rows})
    spread = {int(k): n for k, n in card["rows_per_question"].items()}
    assert sum(k * n for k, n in spread.items()) == card["rows"]
    lengths = sorted(len(row.completion) for row in curated.rows)
    assert card["length_chars"]["completion"]["max"] == lengths[-1]
    assert card["length_chars"]["completion"]["min"] == lengths[0]
    assert [score["corrected"] for score in card["rounds"]] == [0, 39]  # 1 + 8 = 9 was right at once
    assert card["rounds"][1]["agreement"] == 1.0
    assert len(card["examples"]) == 3
    rows = [row.as_json() for row in curated.rows]
    assert all(example in rows for example in card["examples"])
    assert card["params"]["method"] == "DA"


def test_the_page_shows_counts_rounds_and_examples(curated: Curated) -> None:
    page = curated.card.as_markdown()
    assert page.startswith("# Training data: DA: up to 3 right traces a question that differ most\n")
    assert f"{len(curated.rows)} rows" in page
    assert f"| held_out | -{len(curated.held_out)} |" in page
    assert "| **selected** |" in page
    assert "corrected" in page and "all agree" in page
    assert page.count("### ") == 3
    assert "Self-corrections:" in page
    assert "````text" in page or "```text" in page


def test_equal_inputs_give_equal_cards(curated: Curated, make_record: Callable[..., Record]) -> None:
    record = make_record("q", "8", [["Step 1: 3 + 5 = 8\nThe answer is \\boxed{8}"]])
    params = MethodCuration(method="RSFT", held_out_fraction=0.0, seed=3)
    first, second = (curate([record], params=params, prompts=PROMPTS, policy=Policy(kind="number")) for _ in range(2))
    assert first.card.as_json() == second.card.as_json()
    assert first.card.as_markdown() == second.card.as_markdown()
