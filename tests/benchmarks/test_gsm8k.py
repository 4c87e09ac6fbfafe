"""What the GSM8K benchmark does before and after its GPU."""

import json
from pathlib import Path

from agentark.tasks import grade, task
from benchmarks.learning.gsm8k import render, solution, split

ROW = {
    "question": "Ann has 3 boxes of 1,000 pins and loses 1. How many are left?",
    "answer": "There are 3*1000=<<3*1000=3000>>3000 pins.\nOf these 3000-1=<<3000-1=2999>>2999 are left.\n#### 2,999",
}


def test_a_written_solution_is_shown_as_students_write_theirs() -> None:
    text = solution(ROW)
    assert text == "There are 3*1000=3000 pins.\nOf these 3000-1=2999 are left.\nThe answer is 2,999."
    assert grade(text, "2,999", task("gsm8k").policy).correct


def test_taught_questions_are_never_debated_and_do_not_depend_on_how_many_are() -> None:
    rows = [{"question": str(number), "answer": ""} for number in range(7473)]
    taught, debated = split(rows, 5000, 1500)
    assert (len(taught), len(debated)) == (5000, 1500)
    assert not {row["question"] for row in taught} & {row["question"] for row in debated}
    assert split(rows, 5000, 300)[0] == taught


def test_the_table_gives_each_arm_its_interval_over_questions(tmp_path: Path) -> None:
    (tmp_path / "gsm8k").mkdir()
    card = {"auroc": 0.7, "accuracy": 0.6, "base_rate": 0.5}
    (tmp_path / "gsm8k" / "shared.json").write_text(json.dumps({"prm": card}))
    (tmp_path / "gsm8k" / "debated").write_text(json.dumps({"questions": 300, "accuracy": 0.25}))
    rows = [
        {"arm": arm, "seed": 0, "start": 0.05, "accuracy": 0.1, "steps": 16, "seconds": 60.4}
        for arm in ("PAD", "R-SFT")
    ]
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told, _, *table = render(tmp_path, 1000).splitlines()
    assert "300 training questions: 25.0% right" in told
    assert table[2:] == [
        "| R-SFT | 0 | 5.0% | 10.0% [8.3% 12.0%] | 16 | 60 |",
        "| PAD | 0 | 5.0% | 10.0% [8.3% 12.0%] | 16 | 60 |",
    ]
