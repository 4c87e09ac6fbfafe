"""`agentark fetch`: a model as a local folder, for a server that loads it."""

import os
from pathlib import Path
from typing import Annotated

import typer

from agentark.cli.options import StoreOption, store_source
from agentark.cli.output import say


def fetch(
    uri: Annotated[str, typer.Argument(help="s3://BUCKET/FOLDER, hf://ORG/NAME@REVISION or release://NAME@VERSION.")],
    folder: Annotated[Path, typer.Argument(help="Folder for its files: empty, or filled by an earlier call.")],
    identity: Annotated[
        str, typer.Option("--identity", help="What it has to be, as `agentark plan --json` shows under pins.")
    ] = "",
    endpoint: Annotated[str, typer.Option("--endpoint", help="The S3 server. [default: AWS_ENDPOINT_URL]")] = "",
    store: StoreOption = "",
) -> None:
    """Fetch a model whole, or not at all; one that is there is not fetched again."""
    from agentark.execution.ending import leaving_word
    from agentark.execution.fetching import fetch_model

    with leaving_word(os.environ):
        fetched = fetch_model(uri, folder, identity=identity, source=store_source(store, endpoint))
    size = sum(fetched.files.values()) / 1e6
    how = "was there" if fetched.was_there else "is there"
    say(f"{uri} ({fetched.identity}) {how}: {len(fetched.files)} files, {size:,.1f} MB in {folder}")
