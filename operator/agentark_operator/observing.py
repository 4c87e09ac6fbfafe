"""What is the case with a resource: its plan, and what the store has of it. Reads; decides nothing."""

from collections.abc import Mapping
from pathlib import Path

from agentark.api import Resource, StoreSource
from agentark.errors import InvalidInput, NotFound
from agentark.planning import Pin, Plan, pin_addresses, run_record
from agentark.planning import plan as lay_out
from agentark.planning.addresses import addresses
from agentark.store import Store, read_manifest, read_run, write_run
from agentark_operator.summarizing import ObservedStage


def planned(
    resource: Resource, others: Mapping[str, Resource], *, store: Store, source: StoreSource, run_id: str
) -> Plan:
    """The plan of a resource; addresses are resolved when its run begins and kept with the run.

    Args:
        resource: What to plan.
        others: "Kind/name" -> resources of its namespace that it may refer to.
        store: Its store.
        source: Where that is.
        run_id: The run that the resource's status names for this generation; empty before it has one.

    Raises:
        InvalidInput: The spec cannot be run; the message names the field.
        StoreError: The store cannot be asked.
    """
    kept = _kept_pins(store, source, run_id, resource.metadata.namespace) if run_id else None
    if kept is not None:
        return lay_out(resource, kept, others=others)
    needed = [resource, *(other for other in others.values() if other.kind in ("DebateRun", "PRMTraining"))]
    _refuse_files(needed)
    pins = pin_addresses(needed, base=Path("/nonexistent"), store=store, source=source)
    plan = lay_out(resource, pins, others=others)
    write_run(store, run_record(plan))
    return plan


def _kept_pins(store: Store, source: StoreSource, run_id: str, namespace: str) -> dict[str, Pin] | None:
    """What the addresses of a run stood for when it began; None where its record was deleted: it begins anew."""
    try:
        record = read_run(store, run_id, namespace=namespace)
    except NotFound:
        return None
    return {
        uri: Pin(uri=uri, identity=str(identity), endpoint=source.endpoint or "", region=source.region)
        for uri, identity in record.pins.items()
    }


def stages_in(store: Store, plan: Plan) -> list[ObservedStage]:
    """What the store has of each stage.

    Raises:
        StoreError: It cannot be asked.
    """
    return [
        ObservedStage(stage.name, stage.kind, stage.key, "Cached")
        if read_manifest(store, stage.kind, stage.key) is not None
        else ObservedStage(
            stage.name,
            stage.kind,
            stage.key,
            "Waiting",
            f"not in the store {store.uri}; this version of the operator starts no pods yet: run the manifest with "
            "`agentark run -f FILE --store URI`",
            "NotInStore",
        )
        for stage in plan.stages
    ]


def _refuse_files(resources: list[Resource]) -> None:
    for resource in resources:
        datasets, models = addresses(resource)
        for uri in [*(one.uri for one in datasets), *(one.uri for one in models)]:
            if uri.startswith("file:"):
                raise InvalidInput(
                    f"{resource.kind} {resource.metadata.name!r}: {uri} is a path on somebody's machine, which a pod "
                    "does not see; upload it, for example with `mc cp`, and give its s3:// address"
                )
