"""`agentark grade`: the project's one grader on rows of a file."""

import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from agentark.cli.output import say_json
from agentark.errors import InvalidInput


def grade(
    file: Annotated[Path, typer.Argument(help='JSON lines {"prediction": text, "gold": text}; - for standard input.')],
    task: Annotated[str, typer.Option("--task", help="Whose grading policy: gsm8k, medmcqa or jsonl.")] = "jsonl",
    absolute_tolerance: Annotated[
        str | None, typer.Option("--absolute-tolerance", help="Numbers this far apart are equal. [default: 0]")
    ] = None,
    relative_tolerance: Annotated[
        str | None, typer.Option("--relative-tolerance", help="The same, as a part of the larger one. [default: 0]")
    ] = None,
    lists: Annotated[
        str | None,
        typer.Option("--lists", help="Whether 2,3 differs from 3,2: Ordered or Unordered. [default: Ordered]"),
    ] = None,
) -> None:
    """Write every row again with "answer" and "correct"."""
    from agentark.tasks import grade_rows, policy_of

    options = {"absoluteTolerance": absolute_tolerance, "relativeTolerance": relative_tolerance, "lists": lists}
    policy = policy_of(_dataset(task, {name: value for name, value in options.items() if value is not None}))
    if str(file) != "-" and not file.is_file():
        raise InvalidInput(f"{file}: does not exist or is not a file; give a file of JSON lines")
    with sys.stdin.buffer if str(file) == "-" else file.open("rb") as lines:
        for row in grade_rows(lines, policy):
            say_json(row)


def _dataset(task: str, grading: dict[str, str]) -> dict[str, Any]:
    """The rows as a manifest would name them, so that the options are checked as its fields are.

    Raises:
        InvalidInput: An option has a value that is not accepted, or does not fit the task.
    """
    from agentark.api import Dataset
    from agentark.api.manifest import explained

    content = {"uri": "file:rows", "task": task} | ({"grading": grading} if grading else {})
    try:
        return Dataset.model_validate(content).canonical()
    except ValidationError as error:
        wrong = []
        for location, message in explained(error, Dataset):
            # What is said of several fields at once is said of the options that were given.
            fields = [str(location[-1])] if location and location[-1] != "grading" else list(grading)
            wrong.append(f"{', '.join(map(_option, fields))}: {message}")
        raise InvalidInput("\n".join(wrong)) from None


def _option(field: str) -> str:
    return "--" + re.sub("[A-Z]", lambda letter: f"-{letter[0].lower()}", field)
