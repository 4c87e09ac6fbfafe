"""A debate that is killed with SIGKILL at random moments ends as if nothing had happened."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "debate.py"


@pytest.mark.long
def test_kills_lose_nothing_and_pay_nothing_twice() -> None:
    arguments = ["kill", "--kills", "4", "--questions", "200", "--seed", "7", "--json"]
    process = subprocess.run([sys.executable, BENCHMARK, *arguments], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    result = json.loads(process.stdout)
    assert (result["kills"], result["paid_again"], result["journal_files_left"]) == (4, 0, 0)
    assert result["every_question_once"] and result["same_digests"] and result["same_calls"]
    assert result["killed_between_return_and_write"] <= 1
