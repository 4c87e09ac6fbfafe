"""`agentark grade`: the project's one grader on rows of a file."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from agentark.cli.output import say_json
from agentark.errors import InvalidInput


def grade(
    file: Annotated[Path, typer.Argument(help='JSON lines {"prediction": text, "gold": text}; - for standard input.')],
    task: Annotated[str, typer.Option("--task", help="Whose grading policy: gsm8k, medmcqa or jsonl.")] = "jsonl",
) -> None:
    """Write every row again with "answer" and "correct"."""
    from agentark.tasks import grade_rows
    from agentark.tasks import task as find_task

    policy = find_task(task).policy
    if str(file) != "-" and not file.is_file():
        raise InvalidInput(f"{file}: does not exist or is not a file; give a file of JSON lines")
    with sys.stdin.buffer if str(file) == "-" else file.open("rb") as lines:
        for row in grade_rows(lines, policy):
            say_json(row)
