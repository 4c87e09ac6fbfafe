"""The page on the paper's results shows what the command beside it prints."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_holds_the_table_as_it_is_computed() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "paper_tables.py")]
    table = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    assert len(table.splitlines()) > 20
    assert table in (ROOT / "docs" / "paper-results.md").read_text(), f"paste what this prints: {' '.join(command)}"
