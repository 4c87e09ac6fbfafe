"""`agentark score` as a person calls it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agentark.errors import InvalidInput
from agentark.evaluate.judge import QUALITIES
from agentark.execution.scoring import judgement, read_answers
from agentark.llm.testing import ScriptedEngine
from tests.servers import warm

pytestmark = pytest.mark.usefixtures("warm_processes")
ROOT = Path(__file__).resolve().parents[2]
SUMMARIES = ROOT / "tests" / "data" / "qmsum" / "summaries.jsonl"
BASE = ROOT / "examples" / "quickstart" / "base"


def call(*arguments: str, code: int = 0, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agentark", "score", *arguments]
    done = warm.run(command, cwd=ROOT, stdin=stdin)
    assert done.returncode == code, done.stderr
    return done


def test_texts_are_scored_by_subject(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in SUMMARIES.read_text().splitlines()]
    both = [row | {"subject": "meeting"} for row in rows] + [
        row | {"subject": "copy", "prediction": row["gold"], "gold": [row["gold"], "other"]} for row in rows
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in both))
    document: dict[str, Any] = json.loads(call(str(file), "--json").stdout)
    assert set(document["texts"]["meeting"]) == {"F1", "ROUGE-1", "ROUGE-2", "ROUGE-L", "BLEU"}
    assert document["texts"]["copy"]["F1"]["value"] == document["texts"]["copy"]["ROUGE-L"]["value"] == 1.0
    assert 0.1 < document["texts"]["meeting"]["ROUGE-1"]["value"] < 0.5
    assert "rouge-score 0.1.2" in call(str(file), "--metrics", "rouge").stdout


def test_perplexity_of_gold_solutions() -> None:
    row = {"question": "Dee has 40 hats. She gives 7 to Oli. How many hats now?",
           "gold": "Step 1: 40 - 7 = 33\nThe answer is \\boxed{33}"}  # fmt: skip
    wrong = row | {"gold": "Step 1: 40 - 7 = 21\nThe answer is \\boxed{21}"}
    found = [
        json.loads(call("-", "--metrics", "Perplexity", "--model", str(BASE), "--json", stdin=json.dumps(one)).stdout)
        for one in (row, wrong)
    ]
    assert 1 <= found[0]["perplexity"]["mean"] < found[1]["perplexity"]["mean"]


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (("--metrics", "Rogue"), "{}", "--metrics: Rogue; accepted: F1, ROUGE"),
        ((), '{"prediction": "a"}', "standard input:1: 'gold' is missing; the row has 'prediction'"),
        ((), '{"prediction": "a", "gold": 3}', "standard input:1: 'gold' must be a text or a list of texts"),
        ((), "", "holds no rows"),
        (("--metrics", "Perplexity"), '{"gold": "a"}', "needs --model"),
        (("--metrics", "Judge"), '{"question": "a", "prediction": "b"}', "needs --judge"),
        (("--metrics", "Perplexity", "--model", "x"), '{"gold": "a", "prompt": [1]}', "'prompt' must be a list"),
    ],
)
def test_mistakes_are_named(arguments: tuple[str, ...], stdin: str, message: str) -> None:
    assert message in call("-", *arguments, code=2, stdin=stdin).stderr


def test_a_judges_report_by_subject_and_a_judge_that_cannot_judge() -> None:
    rows = [
        {"id": str(i), "subject": subject, "question": f"{i} + 1?", "prediction": f"{i} + 1 = {i + extra}"}
        for i in range(5)
        for subject, extra in (("base", 2), ("student", 1))
    ]
    answers = read_answers([json.dumps(row).encode() for row in rows])
    scores = json.dumps({str(place): dict.fromkeys(QUALITIES, 2 + place) for place in (1, 2)})
    found = judgement(answers, ScriptedEngine(lambda *_: scores), repeats=4, judges_own="base")
    assert set(found.means) == {"base", "student"}
    assert found.position is not None and found.position.value == -1
    with pytest.raises(InvalidInput, match="none of 10 replies was the JSON asked for"):
        judgement(answers, ScriptedEngine(lambda *_: "Both are good."), repeats=2)
    with pytest.raises(InvalidInput, match="'teacher' is none of 'base', 'student'"):
        judgement(answers, ScriptedEngine(lambda *_: scores), repeats=2, judges_own="teacher")
