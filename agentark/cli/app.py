"""The sub-commands put together, and what happens with errors."""

import traceback
from collections.abc import Sequence

import typer

from agentark.cli import (
    ask,
    crds,
    digest,
    doctor,
    fetch,
    grade,
    locate,
    plan,
    prm,
    promote,
    releases,
    run_manifest,
    runs,
    score,
    show,
    stage,
    study,
    transcript,
    validate,
)
from agentark.cli.output import prepare_streams, say
from agentark.errors import AgentArkError

EXIT_CODES = """Exit codes: 0 done; 1 the work failed (running again may help); 2 the manifest, data or arguments are
wrong; 69 a service does not answer or has no room, run it again once that is mended; 75 interrupted, run the same
command again to go on."""

app = typer.Typer(
    name="agentark",
    help="Debates between language models, distilled into one model that answers in a single pass.\n\n" + EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("validate", short_help="Check manifests; list every error at once.")(validate.validate)
app.command("plan", short_help="Show the stages, what is cached, what the rest may cost.")(plan.plan)
app.command("run", short_help="Run a manifest; go on where an earlier run stopped.")(run_manifest.run)
app.command("runs", short_help="List the runs of a store.")(runs.runs)
app.command("show", short_help="Show the results of a run.")(show.show)
app.command("releases", short_help="List released models and their versions.")(releases.releases)
app.command("promote", short_help="Choose a release's current version; an older one is a rollback.")(promote.promote)
app.command("transcript", short_help="Read a debate.")(transcript.transcript)
app.command("ask", short_help="Ask the student of a run.")(ask.ask)
app.command("grade", short_help="Grade rows of a file.")(grade.grade)
app.command("score", short_help="Score open answers, gold solutions, reasoning.")(score.score)
app.command("study", short_help="Compare runs over one setting, as a figure.")(study.study)
app.command("locate", short_help="Do a run's models find a planted wrong step?")(locate.locate)
app.add_typer(prm.app, name="prm", short_help="Read a process reward model's scores, step by step.")
app.command("fetch", short_help="Fetch a model into a folder, for a server.")(fetch.fetch)
app.command("digest", short_help="Digest of a model's folder; with --identity, check it.")(digest.digest)
app.command("crds", short_help="Print the CustomResourceDefinitions, for kubectl.")(crds.crds)
app.command("doctor", short_help="Check what can run on this machine.")(doctor.doctor)
app.command("stage", hidden=True)(stage.stage)


def run(arguments: Sequence[str]) -> int:
    """Run a command line; errors become one line on standard error and an exit code."""
    prepare_streams()
    try:
        typer.main.get_command(app).main(list(arguments), prog_name="agentark")
    except AgentArkError as error:
        say(f"error: {error}", error=True)
        return error.exit_code
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 0
    except Exception:  # a defect; the interpreter would print its text as it is
        say(traceback.format_exc(), error=True, end="")
        return 1
    return 0
