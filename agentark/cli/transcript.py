"""`agentark transcript`: a debate to read."""

from typing import Annotated

import typer

from agentark.cli.options import JsonOption, NamespaceOption, StoreOption, store_of
from agentark.cli.output import say, say_json
from agentark.errors import InvalidInput


def transcript(
    run: Annotated[str, typer.Argument(help="Name or id of a run.")],
    question: Annotated[str, typer.Argument(help="Id of a question; left out: the first that was corrected.")] = "",
    stage: Annotated[str, typer.Option("--stage", help="Stage of the run whose transcripts are read.")] = "debate",
    store: StoreOption = "",
    namespace: NamespaceOption = "default",
    as_json: JsonOption = False,
) -> None:
    """Print everything that was said on one question."""
    from agentark.debate import format_record
    from agentark.reports.transcripts import find_record
    from agentark.store import read_run

    opened, _ = store_of(None, store)
    record = find_record(opened, read_run(opened, run, namespace=namespace), stage_name=stage, question=question)
    if record is None:
        raise InvalidInput(f"run {run!r}, stage {stage!r}: no question {question!r}; ids stand in the data set")
    if as_json:
        say_json(record.model_dump(mode="json"))
    else:
        say(format_record(record))
