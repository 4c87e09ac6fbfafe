"""`agentark locate`: do the models of a run find a planted wrong step?"""

from pathlib import Path
from typing import Annotated

import typer

from agentark.cli.options import JsonOption, NamespaceOption, StoreOption, store_of
from agentark.cli.output import say, say_json
from agentark.cli.tables import columns
from agentark.errors import InvalidInput


def locate(
    run: Annotated[str, typer.Argument(help="Name or id of a finished run.")],
    base: Annotated[Path | None, typer.Option("--base", help="Folder of the base's weights, to compare with.")] = None,
    suite: Annotated[str, typer.Option("--suite", help="Whose questions. [default: the run's first suite]")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Solutions with a planted error, at most.")] = 200,
    store: StoreOption = "",
    namespace: NamespaceOption = "default",
    as_json: JsonOption = False,
) -> None:
    """Show the student right solutions with one planted wrong step, and as they are; count what its reviews name."""
    from agentark.evaluate.abilities import rate_cell
    from agentark.execution.reviewing import review_models
    from agentark.store import read_run

    if base is not None and not (base / "config.json").is_file():
        raise InvalidInput(f"--base: {base} holds no config.json, so it is not a model folder")
    opened, _ = store_of(None, store)
    reviews = review_models(opened, read_run(opened, run, namespace=namespace), suite=suite, base=base, limit=limit)
    if as_json:
        say_json({name: review.as_json() for name, review in reviews.items()})
        return
    rows: list[tuple[str, ...]] = [
        ("MODEL", "WRONG STEP NAMED", "ANYTHING CALLED WRONG", "FALSE ALARMS (RIGHT SOLUTIONS)", "NO REVIEW")
    ]
    for name, review in reviews.items():
        rates = (rate_cell(rate) for rate in (review.named, review.noticed, review.false_alarms))
        rows.append((name, *rates, str(review.unreviewed)))
    say(columns(rows, right_from=1, indent=""))
