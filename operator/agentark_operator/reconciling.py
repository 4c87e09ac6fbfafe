"""One pass over one resource: observe, decide, write the status if it changed. Every pass starts from nothing."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from agentark.api import KINDS, Resource, StoreSource
from agentark.errors import AgentArkError, InvalidInput
from agentark.store import Store, open_store
from agentark.store.stages import now
from agentark_operator.kube import Gone, Kube
from agentark_operator.observing import planned, stages_in
from agentark_operator.referring import missing, related
from agentark_operator.settings import Settings
from agentark_operator.summarizing import Observed, ObservedStage, summarize

Body = dict[str, Any]


class Outcome(NamedTuple):
    """What a pass came to."""

    status: dict[str, Any]
    """Of the resource, as it is on the server now."""
    ended: bool = False
    """Whether only an event can change it."""
    later: str = ""
    """What could not be asked, so that the pass is to be done again after a wait; the status says it too."""


def reconcile(body: Body, siblings: Mapping[str, Body], *, kube: Kube, settings: Settings) -> Outcome:
    """Bring the status of a resource up to date; blocks.

    Args:
        body: The resource as last seen, with the status that was last written.
        siblings: "Kind/name" -> the other resources of its namespace.
        kube: The API server.
        settings: The operator's.
    """
    before = body.get("status") or {}
    if body["kind"] == "ModelRelease":
        return Outcome(before, ended=True)  # its status is written with the releases
    failure: AgentArkError | None = None
    try:
        observed = _observed(body, siblings, before, kube, settings)
    except InvalidInput as error:
        observed = Observed(stalled=("InvalidSpec", str(error)))
    except AgentArkError as error:
        failure = error
        unseen = ObservedStage("store", "store", "-", "Waiting", str(error), "StoreUnavailable")
        observed = Observed(run_id=before.get("runId", ""), stages=(unseen,))
    status = summarize(observed, before, generation=body["metadata"]["generation"], now=now())
    if failure is not None:
        status["stages"] = before.get("stages", [])  # nothing was seen of them
        status.pop("currentStage", None)
    if status != before:
        try:
            kube.write_status(body, status)
        except Gone:
            return Outcome(before, ended=True)
    return Outcome(status, status["phase"] in ("Succeeded", "Failed"), str(failure or ""))


def _observed(
    body: Body, siblings: Mapping[str, Body], before: Mapping[str, Any], kube: Kube, settings: Settings
) -> Observed:
    resource = parsed(body)
    if absent := missing(body, siblings):
        message = f"waits for {' and '.join(absent)}, which this namespace does not have; apply it, or correct the name"
        return Observed(stages=(ObservedStage("references", "-", "-", "Waiting", message, "DependencyNotReady"),))
    others = {name: parsed(other) for name, other in related(body, siblings).items()}
    store, source = _store(resource, kube, settings)
    same = before.get("observedGeneration") == body["metadata"]["generation"]
    plan = planned(resource, others, store=store, source=source, run_id=str(before.get("runId", "")) if same else "")
    suspended = bool(getattr(resource.spec, "suspend", False))
    return Observed(plan.run_id, stages_in(store, plan), suspended)


def parsed(body: Body) -> Resource:
    """The resource as a model.

    Raises:
        InvalidInput: If it is none, as when it was stored under another version of the definitions.
    """
    content = {name: body[name] for name in ("apiVersion", "kind", "metadata", "spec") if name in body}
    try:
        return KINDS[body["kind"]].model_validate_json(json.dumps(content))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"{place}: {first['msg']}") from None


def _store(resource: Resource, kube: Kube, settings: Settings) -> tuple[Store, StoreSource]:
    source: StoreSource | None = getattr(resource.spec, "store", None)
    if source is None:
        if not settings.store:
            raise InvalidInput("spec.store is missing and the operator has no default; give spec.store.uri")
        region = settings.store_region
        source = StoreSource(uri=settings.store, endpoint=settings.store_endpoint or None, region=region)
    if not source.uri.startswith("s3://"):
        raise InvalidInput(f"spec.store.uri is {source.uri!r}, a folder that pods do not share; give an s3:// address")
    access = secret = ""
    if source.credentials_secret_ref is not None:
        name = source.credentials_secret_ref.name
        try:
            values = kube.read_secret(resource.metadata.namespace, name)
        except Gone:
            raise AgentArkError(
                f"Secret {name!r} of spec.store.credentialsSecretRef is not there; make it with keys accessKey and "
                "secretKey"
            ) from None
        missing = [key for key in ("accessKey", "secretKey") if not values.get(key)]
        if missing:
            raise AgentArkError(f"Secret {name!r} of spec.store.credentialsSecretRef lacks {' and '.join(missing)}")
        access, secret = values["accessKey"], values["secretKey"]
    opened = open_store(
        source.uri, endpoint=source.endpoint or "", region=source.region, access_key=access, secret_key=secret
    )
    return opened, source
