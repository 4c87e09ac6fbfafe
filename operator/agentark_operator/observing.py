"""What is the case with a resource: its plan, what store and cluster have of it. Reads; decides nothing."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agentark.api import Resource
from agentark.errors import InvalidInput, NotFound, StoreError
from agentark.planning import Pin, Plan, pin_addresses, run_record
from agentark.planning import plan as lay_out
from agentark.planning.addresses import addresses
from agentark.store import StageManifest, read_progress, read_run_of, write_run
from agentark_operator.backends import BACKENDS
from agentark_operator.children import alive, attempt_number, stage_key
from agentark_operator.deciding import Attempt, Facts, Track, View
from agentark_operator.stores import Place, Stores


class InputNotReady(StoreError):
    """Data or a model that the spec names is not there, or not what it says; it may come yet."""


def planned(resource: Resource, others: Mapping[str, Resource], *, place: Place, run_id: str) -> Plan:
    """The plan of a resource; addresses are resolved when its run begins and kept with the run.

    Args:
        resource: What to plan.
        others: "Kind/name" -> resources of its namespace that it may refer to.
        place: Its store.
        run_id: The run that the resource's status names for this generation; empty before it has one.

    Raises:
        InvalidInput: The spec cannot be run; the message names the field.
        InputNotReady: Something that the spec names is not there.
        StoreError: The store cannot be asked.
    """
    kept = _kept_pins(resource, place, run_id) if run_id else None
    if kept is not None:
        try:
            return lay_out(resource, kept, others=others)
        except KeyError:
            pass  # the resource that it refers to names other addresses by now: a new run
    needed = [resource, *(other for other in others.values() if other.kind in ("DebateRun", "PRMTraining"))]
    _refuse_files(needed)
    try:
        pins = pin_addresses(
            needed, base=Path("/nonexistent"), store=place.store, source=place.source, opened=place.open
        )
    except InvalidInput as error:
        raise InputNotReady(str(error)) from error
    plan = lay_out(resource, pins, others=others)
    write_run(place.store, run_record(plan))
    return plan


def _kept_pins(resource: Resource, place: Place, run_id: str) -> dict[str, Pin] | None:
    """What the addresses of a run stood for when it began; None where its record was deleted: it begins anew."""
    try:
        record = read_run_of(place.store, resource.metadata.namespace, resource.metadata.name, run_id)
    except NotFound:
        return None
    source = place.source
    return {
        uri: Pin(uri=uri, identity=str(identity), endpoint=source.endpoint or "", region=source.region)
        for uri, identity in record.pins.items()
    }


def manifests_of(plan: Plan, place: Place, stores: Stores) -> dict[str, StageManifest]:
    """Key -> manifest of each stage that is finished.

    Raises:
        StoreError: The store cannot be asked.
    """
    found = {stage.key: stores.manifest(place, stage.kind, stage.key) for stage in plan.stages}
    return {key: manifest for key, manifest in found.items() if manifest is not None}


def facts_of(
    plan: Plan,
    place: Place,
    *,
    done: Iterable[str],
    children: Sequence[Mapping[str, Any]],
    tracks: Mapping[str, Track],
    delegated: Mapping[str, View],
) -> list[Facts]:
    """Everything that is known of each stage.

    Args:
        plan: The run's.
        place: Its store, which is asked for the progress of what runs.
        done: Keys of the finished stages.
        children: Objects of the resource, pods included, as seen *before* the store was asked for `done`: an attempt
            that had ended well then had committed.
        tracks: Key -> what the status remembers.
        delegated: Key -> how it stands with stages that another resource runs.

    Raises:
        StoreError: The store cannot be asked.
    """
    finished = set(done)
    found = []
    for stage in plan.stages:
        own = [child for child in children if stage_key(child) == stage.key]
        pods = [child for child in own if child["kind"] == "Pod"]
        attempts = [_attempt(child, pods) for child in own if child["kind"] in BACKENDS]
        runs = any(attempt.state == "Running" for attempt in attempts)
        found.append(
            Facts(
                stage=stage,
                done=stage.key in finished,
                progress=read_progress(place.store, stage.kind, stage.key) if runs else None,
                attempts=attempts,
                pods_alive=alive(pods),
                track=tracks.get(stage.key, Track()),
                delegated=delegated.get(stage.key),
            )
        )
    return found


def _attempt(child: Mapping[str, Any], pods: Sequence[Mapping[str, Any]]) -> Attempt:
    number = attempt_number(child)
    seen = BACKENDS[child["kind"]].observe(child, [pod for pod in pods if attempt_number(pod) == number])
    return Attempt(
        number=number,
        body=child,
        state=seen.state,
        reason=seen.reason,
        message=seen.message,
        failure=seen.failure,
        started_at=seen.started_at,
        ended_at=seen.ended_at,
    )


def _refuse_files(resources: list[Resource]) -> None:
    for resource in resources:
        datasets, models = addresses(resource)
        for uri in [*(one.uri for one in datasets), *(one.uri for one in models)]:
            if uri.startswith("file:"):
                raise InvalidInput(
                    f"{resource.kind} {resource.metadata.name!r}: {uri} is a path on somebody's machine, which a pod "
                    "does not see; upload it, for example with `mc cp`, and give its s3:// address"
                )
