"""`agentark promote`: which version of a released model is the current one; an older one is a rollback."""

from typing import Annotated

import typer

from agentark.cli.options import JsonOption, StoreOption, store_of
from agentark.cli.output import say, say_json
from agentark.errors import InvalidInput, NotFound
from agentark.release import promote as make_current


def promote(
    name: Annotated[str, typer.Argument(help="Name of the release.")],
    version: Annotated[
        int | None, typer.Option("--version", min=1, help="The version to serve; an older one is a rollback.")
    ] = None,
    store: StoreOption = "",
    as_json: JsonOption = False,
) -> None:
    """Choose the current version of a released model; choosing an older one rolls back.

    With --version that version stays the current one (pinned) when newer ones are released. Without, the newest becomes
    the current one, now and whenever one is released.
    """
    opened, _ = store_of(None, store)
    try:
        current = make_current(opened, name, version)
    except NotFound as error:
        raise InvalidInput(str(error)) from None
    if as_json:
        say_json({"name": name} | current.model_dump())
    elif current.pinned:
        say(f"{name}: version {current.version} is the current one, whatever is released later")
        say(f"  agentark promote {name}   back to the newest")
    else:
        say(f"{name}: version {current.version}, the newest, is the current one")
