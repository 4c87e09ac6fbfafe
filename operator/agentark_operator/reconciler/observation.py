"""The plan of a resource, and what store and cluster have of its stages. Reads; decides nothing."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from agentark.api import DebateRun, DistillJob, Resource
from agentark.errors import InvalidInput, NotFound, StoreError
from agentark.planning import NotPinned, Pin, Plan, Stage, pin_addresses, run_record
from agentark.planning import plan as lay_out
from agentark.planning.addresses import addresses
from agentark.planning.references import embeds
from agentark.store import Progress, read_progress, read_run_of, readable, write_run
from agentark_operator.attempts.facts import Attempt, Facts, Track
from agentark_operator.attempts.workload import attempt_number
from agentark_operator.backends import BACKENDS
from agentark_operator.decide.delegation import CONTENT, content_of, done_by
from agentark_operator.informers.children import alive, stage_key
from agentark_operator.reconciler.context import RunContext
from agentark_operator.storage.listings import ListingCache
from agentark_operator.storage.stores import Place
from agentark_operator.timestamps import parse_time

_log = logging.getLogger(__name__)
Warnings = Callable[[str, str], Sequence[Mapping[str, Any]]]
_PODS_COME_S = 2.0
"""Pods are there so soon after their object; as long as they are only on their way nobody asks for events."""


class InputNotReady(StoreError):
    """Data or a model that the spec names is not there, or not what it says; it may come yet."""


def planned(
    resource: Resource, others: Mapping[str, Resource], *, place: Place, listings: ListingCache, run_id: str
) -> Plan:
    """The plan of a resource; addresses are resolved when its run begins and kept with the run.

    Args:
        others: "Kind/name" -> resources of its namespace that it may refer to.
        listings: Looks at data and models in S3.
        run_id: The run that the resource's status names, whose addresses stay as they were if the spec still asks for
            it; empty for a new one.

    Raises:
        InvalidInput: The spec cannot be run; the message names the field.
        InputNotReady: Something that the spec names is not there.
        StoreError: The store cannot be asked.
    """
    kept = _kept_pins(resource, place, run_id) if run_id else None
    if kept is not None:
        try:
            plan = lay_out(resource, kept, others=others)
            if plan.run_id == run_id:
                return plan
        except NotPinned:
            pass  # another spec may name other addresses
    needed = [resource, *(other for other in others.values() if other.kind in ("DebateRun", "PRMTraining"))]
    if isinstance(resource, DebateRun):
        # The job that embeds it has been planned; one that only refers to it must not hold it up.
        needed += [other for other in others.values() if isinstance(other, DistillJob) and embeds(other, resource)]
    _refuse_files(needed)
    try:
        pins = pin_addresses(
            needed, base=Path("/nonexistent"), store=place.store, source=place.source, opened=listings.at(place)
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


def facts_of(context: RunContext, warnings: Warnings) -> list[Facts]:
    """Everything that is known of each stage; the store is asked for the progress of what runs.

    Args:
        context: With the plan, what of it is finished, and what other resources run.
        warnings: Namespace and uid of an object -> warnings about it; asked where nothing else tells why no pod comes.

    Raises:
        StoreError: The store cannot be asked; progress that is torn counts as none.
    """
    objects, embedded = context.kept.objects, done_by(context.embedded)
    content = content_of(context.resource) if objects else ""
    facts = []
    for stage in context.plan.stages:
        own = [child for child in objects if stage_key(child) == stage.key]
        pods = [child for child in own if child["kind"] == "Pod"]
        attempts = [_attempt(child, pods, warnings, content) for child in own if child["kind"] in BACKENDS]
        view = context.delegated.get(stage.key)
        runs = any(attempt.state == "Running" for attempt in attempts) or (view is not None and view.state == "Running")
        progress = _progress(context.place, stage) if runs else None
        facts.append(
            Facts(
                stage=stage,
                done=stage.key in context.manifests,
                by_embedded=stage.key in embedded,
                progress=None if isinstance(progress, StoreError) else progress,
                progress_unreadable=isinstance(progress, StoreError),
                attempts=attempts,
                pods_alive=alive(pods),
                track=context.kept.tracks.get(stage.key, Track()),
                delegated=view,
            )
        )
    return facts


def _progress(place: Place, stage: Stage) -> Progress | StoreError | None:
    """What is torn is no reason to hold up the other stages: its writer replaces it in a few seconds."""
    progress = readable(partial(read_progress, place.store, stage.kind, stage.key))
    if isinstance(progress, StoreError):
        _log.warning("stage %s: %s", stage.name, progress)
    return progress


def _attempt(child: Mapping[str, Any], pods: Sequence[Mapping[str, Any]], warnings: Warnings, content: str) -> Attempt:
    observe = BACKENDS[child["kind"]].observe
    own = [pod for pod in pods if attempt_number(pod) == attempt_number(child)]
    attempt = observe(child, own)
    if attempt.state == "Pending" and not own and _age_s(child) > _PODS_COME_S:
        # Quotas, limit ranges and pod security refuse pods, and whoever would have made them says so in events only.
        attempt = observe(child, own, warnings(child["metadata"]["namespace"], child["metadata"]["uid"]))
    return replace(attempt, outdated=(child["metadata"].get("annotations") or {}).get(CONTENT, content) != content)


def _age_s(child: Mapping[str, Any]) -> float:
    created = child["metadata"].get("creationTimestamp")
    return time.time() - parse_time(created) if created else 0.0


def _refuse_files(resources: list[Resource]) -> None:
    for resource in resources:
        datasets, models = addresses(resource)
        for uri in [*(dataset.uri for dataset in datasets), *(model.uri for model in models)]:
            if uri.startswith("file:"):
                raise InvalidInput(
                    f"{resource.kind} {resource.metadata.name!r}: {uri} is a path on somebody's machine, which a pod "
                    "does not see; upload it, for example with `mc cp`, and give its s3:// address"
                )
