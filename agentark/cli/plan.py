"""`agentark plan`: what would run, and what it would cost."""

from functools import partial

from agentark.cli.options import JsonOption, ManifestOption, StoreOption, plans_of
from agentark.cli.output import say, say_json
from agentark.cli.tables import columns, number
from agentark.errors import StoreError
from agentark.planning import Estimate
from agentark.store import read_manifest, readable


def plan(file: ManifestOption, store: StoreOption = "", as_json: JsonOption = False) -> None:
    """Show each stage, whether its result is already there, and the most that it can cost. Runs nothing."""
    documents = []
    for planned, opened in plans_of(file, store):
        manifests = {
            stage.key: readable(partial(read_manifest, opened, stage.kind, stage.key)) for stage in planned.stages
        }
        errors = {key: str(manifest) for key, manifest in manifests.items() if isinstance(manifest, StoreError)}
        cached = {key: manifest is not None and key not in errors for key, manifest in manifests.items()}
        for error in errors.values():
            say(f"warning: {error}", error=True)
        if as_json:
            stages = [
                stage.model_dump() | {"cached": cached[stage.key], "error": errors.get(stage.key)}
                for stage in planned.stages
            ]
            documents.append(planned.model_dump() | {"stages": stages, "store": opened.uri})
            continue
        say(f"{planned.kind} {planned.name}: run {planned.run_id}, store {opened.uri}")
        for pin in planned.pins.values():
            rows = f", {pin.rows} rows" if pin.rows is not None else ""
            say(f"  {pin.uri} is {pin.identity[:23]}{rows}")
        table = [("STAGE", "KEY", "STATE", "CALLS", "TOKENS", "TRAINING ROWS", "GPUS")]
        for stage in planned.stages:
            state = "cached" if cached[stage.key] else "unreadable" if stage.key in errors else "to run"
            bound = stage.estimate if not cached[stage.key] else Estimate()
            table.append(
                (
                    stage.name,
                    stage.key,
                    state,
                    number(bound.calls),
                    number(bound.completion_tokens),
                    number(bound.training_rows),
                    number(bound.gpus),
                )
            )
        say(columns(table, right_from=3))
        say("  Calls, tokens and rows are upper bounds; '-' is known only once the stages above have run.\n")
    if as_json:
        say_json(documents if len(documents) != 1 else documents[0])
