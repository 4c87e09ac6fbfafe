"""`agentark ask`: one question to the student of a run."""

from typing import Annotated

import typer

from agentark.cli.options import JsonOption, NamespaceOption, StoreOption, store_of
from agentark.cli.output import say, say_json


def ask(
    run: Annotated[str, typer.Argument(help="Name or id of a run.")],
    question: Annotated[str, typer.Argument(help="The question.")],
    store: StoreOption = "",
    namespace: NamespaceOption = "default",
    as_json: JsonOption = False,
) -> None:
    """Ask the student that a run made, in a single pass."""
    from agentark.execution.asking import ask_student
    from agentark.store import read_run

    opened, _ = store_of(None, store)
    reply = ask_student(opened, read_run(opened, run, namespace=namespace), question)
    if as_json:
        say_json({"text": reply.text, "answer": reply.answer, "tokens": reply.tokens, "seconds": reply.seconds})
        return
    say(reply.text)
    say(f"\n(answer {reply.answer or 'not found'}; {reply.tokens} tokens, {reply.seconds:.2f} s)", error=True)
