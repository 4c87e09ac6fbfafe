"""`agentark prm`: read what a process reward model says of solutions."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType

from agentark.cli.curves import held_out_figures
from agentark.cli.options import JsonOption, NamespaceOption, StoreOption, store_of
from agentark.cli.output import PlainConsole, output_stream, say, say_json, styled

if TYPE_CHECKING:
    from agentark.reports.step_scores import ShownSolution, ShownStep

app = typer.Typer(
    name="prm", help="Read what a process reward model says of solutions.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("show", short_help="Held-out solutions of a run, each step with its score.")
def show(
    run: Annotated[str, typer.Argument(help="Name or id of a run with PAD or of a PRMTraining.")],
    limit: Annotated[int, typer.Option("--limit", min=1, help="Solutions to show.")] = 6,
    store: StoreOption = "",
    namespace: NamespaceOption = "default",
    as_json: JsonOption = False,
) -> None:
    """Show held-out solutions step by step, coloured by score, beside what the grader says of their answers.

    Questions with a right and a wrong solution come first. A step is called right from the threshold on that was
    fitted on held-out questions.
    """
    from agentark.reports.step_scores import reward_report
    from agentark.store import read_run

    opened, _ = store_of(None, store)
    report = reward_report(opened, read_run(opened, run, namespace=namespace), limit=limit)
    if as_json:
        document = {"questions": report.questions, "solutions": report.solutions, "threshold": report.threshold}
        shown = [solution.as_json() for solution in report.shown]
        say_json(document | {"held_out": report.figures, "shown": shown})
        return
    say(
        f"{report.questions:,} held-out questions, {report.solutions:,} solutions; a step counts as right from "
        f"{report.threshold:.3f} on\n{held_out_figures(report.figures)}"
    )
    _print(report.shown)


@app.command("score", short_help="Score the steps of solutions in a file.")
def score(
    model: Annotated[str, typer.Argument(help="Folder of a process reward model, or a run that trained one.")],
    file: Annotated[
        Path, typer.Argument(help='JSON lines {"question" or "prompt", "solution", "id"}; a prompt may be messages.')
    ],
    store: StoreOption = "",
    namespace: NamespaceOption = "default",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line per solution.")] = False,
) -> None:
    """Split each solution of a file into steps and score them, all steps of a solution at once."""
    from agentark.execution.rewards import score_file

    opened, _ = store_of(None, store)
    solutions = score_file(opened, model, file, namespace=namespace)
    if not as_json:
        _print(solutions)
        return
    for solution in solutions:
        say_json(solution.as_json())


def _print(solutions: "Iterable[ShownSolution]") -> None:
    console = PlainConsole(output_stream(), soft_wrap=True)
    last = ""
    for solution in solutions:
        if solution.id != last:
            console.print(f"\nQuestion {solution.id}", style="bold")
            console.print(_indented(solution.question), style="dim")
        last = solution.id
        console.print()
        console.print(_verdict(solution))
        for step in solution.steps:
            console.print(_line(step))
        if not solution.steps:
            console.print("  (no step: the solution holds no visible text)")


def _verdict(solution: "ShownSolution") -> RenderableType:
    if solution.correct is None:
        return styled(("Solution", "bold"))
    answer = f", answer {solution.answer}" if solution.answer else ", no answer"
    if solution.correct:
        return styled((f"Solution, RIGHT by the grader{answer}", "bold green"))
    return styled((f"Solution, WRONG by the grader{answer}", "bold red"))


def _line(step: "ShownStep") -> RenderableType:
    mark = "right" if step.right else "WRONG"
    known = "" if step.label is None else f"  (label: {'right' if step.label > 0.5 else 'wrong'})"
    margin = f"  {step.score:.3f} {mark}  "
    body = step.text.replace("\n", "\n" + " " * len(margin))
    verdict = "bold green" if step.right else "bold red"
    return styled((margin, verdict), (body, _colour(step.probability)), (known, "dim"))


def _colour(probability: float) -> str:
    """From red over yellow to green."""
    red, green = min(1.0, 2 - 2 * probability), min(1.0, 2 * probability)
    return f"rgb({round(220 * red)},{round(190 * green)},40)"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.split("\n"))
