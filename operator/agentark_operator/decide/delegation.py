"""Which stages another resource runs: one that a job refers to, or one that is made of what the job embeds. Pure.

A job's own plan has all stages. Those of a DebateRun or PRMTraining stand in that one's plan too, under the same keys,
and are left to it; where the keys differ (labels by consensus, which a PRMTraining cannot say) the job runs them.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agentark.api import KINDS, PAD, DebateSpec, DistillJob, PRMTraining, Resource, decimal_text
from agentark.planning import NotPinned, Plan, canonical_json
from agentark.planning import plan as lay_out
from agentark.planning.references import debate_of, embedded_name
from agentark.planning.rewarding import reward_model_of
from agentark_operator.attempts.facts import View
from agentark_operator.attempts.workload import KIND, MANAGED_BY, MANAGER, NAME, UID, Owner, owner_reference
from agentark_operator.informers.resources import Body
from agentark_operator.reasons import Reason, reason_of

REQUESTED_AT = "agentark.dev/requestedAt"
"""Annotation by which a person asks for another try."""
CONTENT = "agentark.dev/content"
"""Annotation: digest of what an object was made of, which tells when it is to be another."""


@dataclass(frozen=True, slots=True)
class Delegate:
    """Another resource, and the stages that it runs for this one."""

    kind: str
    name: str
    keys: frozenset[str]
    body: Body | None = None
    """The resource as it should be, where the job makes it; None where somebody else did."""

    @property
    def label(self) -> str:
        """Kind/name."""
        return f"{self.kind}/{self.name}"


def delegates(resource: Resource, owner: Owner, others: Mapping[str, Resource], plan: Plan) -> list[Delegate]:
    """The resources that run stages of this one.

    Args:
        others: "Kind/name" -> resources of its namespace that it may refer to.
    """
    if isinstance(resource, PRMTraining) and resource.spec.debate_ref is not None:
        return _named(plan, others, "DebateRun", resource.spec.debate_ref.name)
    if not isinstance(resource, DistillJob):
        return []
    spec = resource.spec
    runners: list[Delegate] = []
    if spec.debate_ref is not None:
        runners += _named(plan, others, "DebateRun", spec.debate_ref.name)
    elif spec.debate is not None:
        runners += _embedded(resource, owner, plan, others, "DebateRun", "debate", _plain(spec.debate))
    if "PAD" not in spec.methods or not (spec.pad or PAD()).trains_prm:
        return runners
    if spec.prm_ref is not None:
        return runners + _named(plan, others, "PRMTraining", spec.prm_ref.name)
    model = reward_model_of(resource, debate_of(resource, others), others)
    # The debate is named by what it is, not by reference: when it is done, no resource need be there to refer to.
    content = _plain(model.spec) | {"debate": _debate(model.debate), "model": _plain(model.backbone)}
    content["heldOutFraction"] = decimal_text(model.held_out)
    content.pop("debateRef", None)
    return runners + _embedded(resource, owner, plan, others, "PRMTraining", "prm", content)


def standing(delegate: Delegate, body: Body | None) -> View | None:
    """How a stage stands that is left to another resource; None where that one is through and has not made it."""
    label = delegate.label
    if body is None:
        return View("Waiting", Reason.STARTING, f"{label} is being made", label)
    status = body.get("status") or {}
    phase = status.get("phase", "")
    conditions: dict[str, Body] = {condition["type"]: condition for condition in status.get("conditions") or ()}
    ready, quota = conditions.get("Ready", {}), conditions.get("QuotaReserved")
    why = ready.get("message", "")
    queued = quota["status"] != "True" if quota else None
    if not phase or not _heard(delegate, body):
        return View("Waiting", Reason.DEPENDENCY_NOT_READY, f"{label} has not been looked at yet", label)
    if phase == "Succeeded":
        return None  # it wrote to another store
    if phase == "Failed" and delegate.body is not None:
        return View("Failed", reason_of(ready.get("reason", "")) or Reason.FAILED, f"{label} failed: {why}", label)
    if phase == "Running":
        return View("Running", Reason.DEPENDENCY_RUNNING, f"{label}: {why}", label, queued=queued)
    mend = "; mend it, or set its annotation agentark.dev/requestedAt for another try" if phase == "Failed" else ""
    text = f"{label} is {phase.lower()}: {why}{mend}"
    return View("Waiting", Reason.DEPENDENCY_NOT_READY, text, label, queued=queued)


def done_by(embedded: Iterable[Body]) -> frozenset[str]:
    """Keys of the stages that resources ran themselves, rather than finding them in the store."""
    stages = (stage for body in embedded for stage in (body.get("status") or {}).get("stages") or ())
    return frozenset(stage["key"] for stage in stages if stage["state"] == "Done")


def gpu_seconds_of(embedded: Iterable[Body]) -> int:
    """GPUs times seconds that resources used."""
    return sum(((body.get("status") or {}).get("usage") or {}).get("gpuSeconds", 0) for body in embedded)


def differs(known: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a resource is not what it should be; what others added to it is none of our business."""
    return _beyond(known.get("spec"), wanted["spec"]) or any(
        (known["metadata"].get(part) or {}).get(name) != value
        for part in ("labels", "annotations")
        for name, value in wanted["metadata"].get(part, {}).items()
    )


def content_of(resource: Resource) -> str:
    """Digest of everything in a spec that a stage's object may be made of."""
    spec = _plain(resource.spec)
    return _digest({name: value for name, value in spec.items() if name not in ("suspend", "runPolicy")})


def _digest(content: Any) -> str:
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()[:16]


def _heard(delegate: Delegate, body: Body) -> bool:
    """Whether the status of a resource is about what it is to be by now."""
    status, metadata = body["status"], body["metadata"]
    if metadata.get("deletionTimestamp") or status.get("observedGeneration") != metadata.get("generation"):
        return False
    if delegate.body is None:
        return True
    asked = (delegate.body["metadata"].get("annotations") or {}).get(REQUESTED_AT, "")
    return not differs(body, delegate.body) and asked in ("", status.get("requestedAt", ""))


def _beyond(known: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        return not isinstance(known, Mapping) or any(_beyond(known.get(name), value) for name, value in wanted.items())
    return bool(known != wanted)


def _named(plan: Plan, others: Mapping[str, Resource], kind: str, name: str) -> list[Delegate]:
    other = others.get(f"{kind}/{name}")
    if other is None:
        return []
    return [Delegate(kind, name, _shared(other, others, plan))]


def _embedded(
    job: DistillJob,
    owner: Owner,
    plan: Plan,
    others: Mapping[str, Resource],
    kind: str,
    suffix: str,
    content: dict[str, Any],
) -> list[Delegate]:
    """The resource that is made of what a job embeds; none where it would run something else than the job wants."""
    # The job's deadline is looked after by the job, which ends what it has made.
    policy = job.spec.run_policy.model_copy(update={"active_deadline_seconds": None})
    how = {"store": job.spec.store, "runPolicy": policy}
    spec = content | {name: _plain(value) for name, value in how.items() if value is not None}
    spec["suspend"] = job.spec.suspend
    spec |= {"pods": job.spec.pods} if job.spec.pods else {}
    name = embedded_name(job.metadata.name, suffix)
    metadata: dict[str, Any] = {"name": name, "namespace": job.metadata.namespace}
    body = {"apiVersion": job.apiVersion, "kind": kind, "metadata": metadata, "spec": spec}
    parsed = KINDS[kind].model_validate_json(json.dumps(body))
    keys = _shared(parsed, {**others, f"DistillJob/{job.metadata.name}": job}, plan)
    keys -= {stage.key for stage in plan.stages if stage.kind == "debate" and kind != "DebateRun"}
    if not keys:
        return []
    queueing = {label: value for label, value in owner.labels.items() if label.startswith("kueue.x-k8s.io/")}
    metadata["labels"] = queueing | {MANAGED_BY: MANAGER, KIND: owner.kind, NAME: owner.name, UID: owner.uid}
    metadata["ownerReferences"] = [owner_reference(owner)]
    digest = _digest([spec, metadata["labels"]])
    asked = {name: value for name, value in owner.annotations.items() if name == REQUESTED_AT}
    metadata["annotations"] = {CONTENT: digest} | asked
    return [Delegate(kind, name, keys, body)]


def _shared(other: Resource, others: Mapping[str, Resource], plan: Plan) -> frozenset[str]:
    """Keys of the stages that stand in both plans."""
    keys = {stage.key for stage in plan.stages}
    try:
        own = lay_out(other, plan.pins, others=others)
    except NotPinned:
        return frozenset()  # it names addresses that this one does not
    return frozenset(stage.key for stage in own.stages if stage.key in keys)


def _debate(debate: DebateSpec) -> dict[str, Any]:
    """The debate alone: one that is named has a store and limits of its own."""
    fields = {field.alias or name for name, field in DebateSpec.model_fields.items()}
    return {name: value for name, value in _plain(debate).items() if name in fields}


def _plain(model: Any) -> dict[str, Any]:
    content: dict[str, Any] = model.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
    return content
