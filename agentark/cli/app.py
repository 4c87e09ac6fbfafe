"""The sub-commands put together, and what happens with errors."""

import logging
import sys
from collections.abc import Sequence

import click
import typer

from agentark.cli import ask, doctor, grade, plan, run_manifest, runs, show, stage, transcript, validate
from agentark.errors import AgentArkError

EXIT_CODES = """Exit codes: 0 done; 1 the work failed (running again may help); 2 the manifest, data or arguments are
wrong; 75 interrupted, run the same command again to go on."""

app = typer.Typer(
    name="agentark",
    help="Debates between language models, distilled into one model that answers in a single pass.\n\n" + EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("validate")(validate.validate)
app.command("plan")(plan.plan)
app.command("run")(run_manifest.run)
app.command("runs")(runs.runs)
app.command("show")(show.show)
app.command("transcript")(transcript.transcript)
app.command("ask")(ask.ask)
app.command("grade")(grade.grade)
app.command("doctor")(doctor.doctor)
app.command("stage", hidden=True)(stage.stage)


def run(arguments: Sequence[str]) -> int:
    """Run a command line; errors become one line on standard error and an exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        code = typer.main.get_command(app).main(list(arguments), prog_name="agentark", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except AgentArkError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        print("interrupted; run the same command again to go on", file=sys.stderr)
        return 75
    except BrokenPipeError:
        # The reader of a pipe (head, less) has seen enough.
        sys.stderr.close()
        return 0
