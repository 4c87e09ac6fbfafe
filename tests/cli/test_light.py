"""What people call all day starts at once and loads nothing heavy."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "transformers", "trl", "datasets", "sympy", "numpy", "pandas")
ROOT = Path(__file__).resolve().parents[2]


def loaded(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint('\\n'.join(sorted(name.split('.')[0] for name in sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


VALIDATE = "from agentark.cli.app import run\nrun(['validate', '-f', 'examples/quickstart/distilljob.yaml'])"


@pytest.mark.parametrize("code", ["import agentark", VALIDATE, "import agentark.planning, agentark.execution.local"])
def test_nothing_heavy_is_loaded(code: str) -> None:
    assert not loaded(code) & set(HEAVY)


def test_the_package_is_imported_in_a_moment() -> None:
    timed = "import time\nstart = time.perf_counter()\nimport agentark\nprint(time.perf_counter() - start)"
    best = min(
        float(subprocess.run([sys.executable, "-c", timed], capture_output=True, text=True, check=True).stdout)
        for _ in range(3)
    )
    assert best < 0.3


def test_grading_a_file(tmp_path: Path) -> None:
    rows = [{"prediction": r"so \boxed{1,000}", "gold": "1000"}, {"prediction": "no idea", "gold": "3", "id": "b"}]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [sys.executable, "-m", "agentark", "grade", str(file), "--task", "gsm8k"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert first["correct"] is True
    assert second["correct"] is False and second["id"] == "b" and second["answer"] is None


def graded(tmp_path: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    rows = [("A: 3.145", "3.14"), ("A: 1001", "1000"), ("A: 3, 2", "2, 3"), ("A: 2, 3.5", "2, 3")]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps({"prediction": text, "gold": gold}) + "\n" for text, gold in rows))
    command = [sys.executable, "-m", "agentark", "grade", str(file), *options]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("options", "right"),
    [
        ([], [False, False, False, False]),
        (["--absolute-tolerance", "0.01"], [True, False, False, False]),
        (["--relative-tolerance", "0.001"], [False, True, False, False]),
        (["--lists", "Unordered"], [False, False, True, False]),
        (["--lists", "Unordered", "--absolute-tolerance", "5e-1"], [True, False, True, True]),
    ],
)
def test_grading_with_a_tolerance_or_lists_without_order(tmp_path: Path, options: list[str], right: list[bool]) -> None:
    done = graded(tmp_path, *options)
    assert [json.loads(line)["correct"] for line in done.stdout.splitlines()] == right, done.stderr


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--task", "medmcqa", "--lists", "Unordered"], "--lists: answers of task medmcqa are letters; remove"),
        (["--absolute-tolerance", "-1", "--lists", "unordered"], '--absolute-tolerance: found "-1"; a decimal number'),
        (["--absolute-tolerance", "-1", "--lists", "unordered"], '--lists: found "unordered"; accepted: Ordered, Uno'),
        (["--relative-tolerance", "1"], 'relativeTolerance is "1"'),
        (["--absolute-tolerance", "nan"], '--absolute-tolerance: found "nan"'),
        (["--lists", ""], '--lists: found ""'),
        (["--task", "gsm8"], "--task: found \"gsm8\"; accepted: gsm8k, medmcqa, jsonl; did you mean 'gsm8k'?"),
    ],
)
def test_wrong_options_of_grading_are_refused_as_in_a_manifest(
    tmp_path: Path, options: list[str], expected: str
) -> None:
    done = graded(tmp_path, *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert expected in done.stderr and "Traceback" not in done.stderr


def test_validation_is_readable_by_machines(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("apiVersion: agentark.dev/v1alpha1\nkind: DebateRun\nmetadata: {name: a}\nspec: {datset: {}}\n")
    command = [sys.executable, "-m", "agentark", "validate", "-f", str(file), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    document = json.loads(done.stdout)
    assert document["valid"] is False
    assert {issue["field"] for issue in document["issues"]} == {"spec.dataset", "spec.teacher", "spec.datset"}
    assert all(issue["line"] == 4 for issue in document["issues"])


def test_the_doctor_tells_what_can_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "agentark", "doctor", "--json", "--store", str(tmp_path)]
    findings = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert {"agentark", "engine: transformers in process", "training", "store"} <= {item["what"] for item in findings}


@pytest.mark.parametrize("arguments", [["run"], ["nonsense"], ["validate", "-f"]])
def test_wrong_arguments_end_with_2_and_say_what_is_accepted(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "agentark", *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr and done.stderr.strip()
