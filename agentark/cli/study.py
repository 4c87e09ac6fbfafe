"""`agentark study`: several runs as one table and one figure."""

from pathlib import Path
from typing import Annotated

import typer

from agentark.cli.options import JsonOption, NamespaceOption, StoreOption, store_of
from agentark.cli.output import say, say_json
from agentark.cli.tables import columns


def study(
    runs: Annotated[list[str], typer.Argument(help="Names or ids of finished runs, two or more to see anything.")],
    by: Annotated[str, typer.Option("--by", help="Field of the manifest that differs, e.g. debate.protocol.agents.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Figure to write: .svg, .png or .pdf; one a suite if several.")
    ] = None,
    subjects: Annotated[str, typer.Option("--subjects", help="Whose accuracy: names with commas. [default: all]")] = "",
    store: StoreOption = "",
    namespace: NamespaceOption = "default",
    as_json: JsonOption = False,
) -> None:
    """Show how accuracy changes with one setting over several runs."""
    from agentark.evaluate.plots import draw
    from agentark.reports import studies
    from agentark.store import read_run

    opened, _ = store_of(None, store)
    records = [read_run(opened, run, namespace=namespace) for run in runs]
    subject_names = [name.strip() for name in subjects.split(",") if name.strip()]
    figures = studies.study(opened, records, by, subjects=subject_names)
    for figure in figures:
        if out is not None:
            file = out if len(figures) == 1 else out.with_stem(f"{out.stem}-{figure.suite}")
            draw(figure.series, file, title=figure.suite, x_label=by)
        if not as_json:
            rows = [(by, *(series.label for series in figure.series))]
            for index, point in enumerate(figure.series[0].points):
                here = (series.points[index] for series in figure.series)
                cells = (f"{100 * p.value:.1f} [{100 * p.low:.1f} {100 * p.high:.1f}]" for p in here)
                rows.append((point.x if isinstance(point.x, str) else f"{point.x:g}", *cells))
            say(f"Suite {figure.suite}: accuracy %, 95 % interval (of several runs: lowest and highest)\n")
            say(columns(rows, right_from=1, indent="") + "\n")
    if as_json:
        say_json([figure.as_json() for figure in figures])
