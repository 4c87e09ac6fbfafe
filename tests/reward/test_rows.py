"""Training rows survive the file, and what is no row is named by its line and field."""

from pathlib import Path

import pytest

from agentark.errors import InvalidInput
from agentark.reward import LabelledStep, PRMRow, read_rows
from agentark.reward.rows import PromptMessage, write_rows

ROW = PRMRow(
    question="q1",
    prompt=(PromptMessage(role="user", content="3 + 4?"),),
    solution="3 + 4 = 7 🙂\nThe answer is 7",
    rule="Newline",
    steps=(
        LabelledStep(start=0, end=11, label=0.75, weight=0.5, source="MonteCarlo"),
        LabelledStep(start=12, end=27),
    ),
    correct=True,
    answer="7",
    held_out=True,
)


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(write_rows([ROW, ROW]) + b"\n")
    assert read_rows(file) == [ROW, ROW]


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('"label": 0.75', '"label": 1.5', "steps.0.label"),
        ('"label": 0.75', '"label": NaN', "steps.0.label"),
        ('"source": "MonteCarlo"', '"source": "Guess"', "steps.0.source"),
        ('"rule": "Newline"', '"rule": "Words"', "rule"),
        ('"end": 27', '"end": 99', "99"),
        ('"start": 12', '"start": 5', "5 to 27"),
        ('"question": "q1"', '"questions": "q1"', "question"),
        ("{", "[", "line"),
    ],
)
def test_what_is_no_row_is_named(tmp_path: Path, old: str, new: str, field: str) -> None:
    file = tmp_path / "rows.jsonl"
    good = write_rows([ROW]).decode()
    file.write_text(good + good.replace(old, new, 1))
    with pytest.raises(InvalidInput, match=rf"rows\.jsonl:2: .*{field}"):
        read_rows(file)


def test_a_missing_or_empty_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_rows(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(InvalidInput, match="no labelled solutions"):
        read_rows(tmp_path / "empty.jsonl")
