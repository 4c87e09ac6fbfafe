"""Carry out what was decided: make, suspend and remove objects. Decides nothing but what only the cluster can tell."""

from collections.abc import Mapping, Sequence
from typing import Any

from agentark.api import DistillJob, PRMTraining, Training
from agentark.planning import Plan, Stage, keep_plan
from agentark_operator.attempts.facts import Facts, Runs, View
from agentark_operator.attempts.pods import Image, pod_template
from agentark_operator.attempts.workload import QUEUE, STORE, Owner, Workload, child_name
from agentark_operator.backends import BACKENDS, Backend
from agentark_operator.decide.decision import Begin, Decision
from agentark_operator.decide.delegation import CONTENT, Delegate, content_of, differs
from agentark_operator.diagnosis.pending import refused
from agentark_operator.informers.children import Children, owner_key, owner_uid
from agentark_operator.informers.resources import Key
from agentark_operator.kube import Gone, Kube, Object, Refused
from agentark_operator.reasons import Reason
from agentark_operator.settings import Settings
from agentark_operator.storage.stores import Cache, Place

_INSTALLED_FRESH_S = 300.0
STALLING = frozenset({Reason.BACKEND_NOT_INSTALLED, Reason.BACKEND_NOT_ENABLED, Reason.TEACHERS_NOT_ENABLED})
"""Reasons for which a stage waits for a person."""


class Actor:
    """Makes and removes what belongs to resources."""

    def __init__(self, kube: Kube, children: Children, settings: Settings) -> None:
        self._kube, self._children, self._settings = kube, children, settings
        self._installed: Cache[str, bool] = Cache(64, _INSTALLED_FRESH_S)
        self._schemas: Cache[str, Object] = Cache(8, _INSTALLED_FRESH_S)
        self._whole: Cache[str, bool] = Cache(20_000, float("inf"))
        """Uids of objects beside which everything was made that their pods need."""

    def carry_out(self, decision: Decision) -> None:
        """Suspend and remove.

        Raises:
            KubeError: The server did not do it; the next pass tries again.
        """
        for child, on in decision.suspend:
            try:
                self._children.saw(self._kube.merge(child, BACKENDS[child["kind"]].suspend(on)))
            except Gone:
                self._children.lost(dict(child))
        self.remove(decision.remove)

    def ask_about(self, objects: Sequence[Mapping[str, Any]]) -> None:
        """See how objects stand that were not heard of for long.

        Raises:
            KubeError: The server does not answer.
        """
        for child in objects:
            metadata = child["metadata"]
            current = self._kube.read(child["apiVersion"], child["kind"], metadata["name"], metadata["namespace"])
            if current is None or current["metadata"]["uid"] != metadata["uid"]:
                self._children.lost(dict(child))
            else:
                current["metadata"].pop("managedFields", None)
                self._children.saw({"apiVersion": child["apiVersion"], "kind": child["kind"], **current})

    def remove_former(self, body: Mapping[str, Any]) -> None:
        """Delete what belongs to resources that had the name of this one before."""
        metadata = body["metadata"]
        former = self._children.of_former(Key(body["kind"], metadata["namespace"], metadata["name"]), metadata["uid"])
        attempts, created = (child for child in former if child["kind"] in BACKENDS), metadata["creationTimestamp"]
        self.remove([child for child in attempts if child["metadata"]["creationTimestamp"] <= created])

    def remove(self, objects: Sequence[Mapping[str, Any]]) -> None:
        """Delete objects, their pods with them."""
        for child in objects:
            self._kube.delete(child)
            if child["kind"] != "Pod" and not child["metadata"].get("finalizers"):
                self._children.lost(dict(child))

    def taken(self, key: str, place: Place, owner: Owner) -> View | None:
        """How a stage stands that another resource's pods work on; None where none do.

        Raises:
            KubeError: The server does not answer.
        """
        if not self._children.worked_on(key, place.identity, owner.uid):
            return None
        # That one may be gone with all that it had; nobody else would ask then.
        self.ask_about(self._children.silent_at(key, 3 * self._settings.poll_s))
        other = self._children.worked_on(key, place.identity, owner.uid)
        return _shared(other) if other else None

    def begin(
        self, begin: Begin, resource: Runs, owner: Owner, plan: Plan, place: Place, served: Plan
    ) -> tuple[View | None, bool]:
        """Make the objects of an attempt.

        Args:
            served: The plan as the pods are to read it, with the addresses of teachers that the cluster serves.

        Returns:
            How the stage stands if it cannot begin yet (None if it did), and whether it did.

        Raises:
            KubeError: The server does not answer.
            StoreError: The plan cannot be kept.
        """
        stage, backend = begin.stage, BACKENDS[begin.stage.resources.backend]
        if (missing := self._missing(backend)) is not None:
            return missing, False
        with self._children.beginning(stage.key, place.identity, owner.uid) as other:
            if other:
                return _shared(other), False
            workload = self._workload(begin, resource, owner, plan, place, keep_plan(place.store, served))
            schema = self._schema(backend) if backend.asks_schema else None
            try:
                self._make(backend.render(workload, schema), {STORE: place.identity, CONTENT: content_of(resource)})
            except Refused as error:
                known = refused(str(error))
                text = f"the API server does not take {workload.name}: {known.message if known else error}"
                return View("Waiting", Reason.REFUSED, text), False
        return None, True

    def complete(self, facts: Sequence[Facts], resource: Runs, owner: Owner, plan: Plan, place: Place) -> None:
        """Make what the pods of attempts need beside their objects, once in this operator's life.

        The last operator may have ended between the two.

        Raises:
            KubeError: The server does not answer.
        """
        for fact in facts:
            if fact.stage.resources.nodes <= 1 or fact.current is None or fact.current.over:
                continue
            child = fact.current.body
            if not self._whole.has(child["metadata"]["uid"]):
                begun = Begin(fact.stage, fact.current.number)
                workload = self._workload(begun, resource, owner, plan, place, kept="")
                _, *others = BACKENDS[child["kind"]].render(workload)
                self._make_beside(child, others)

    def delegate(self, delegates: Sequence[Delegate], existing: Mapping[str, Mapping[str, Any]]) -> dict[str, View]:
        """Make the resources that run stages for another, or bring them to what that one says.

        Args:
            existing: Their label -> as last seen, where they are there.

        Returns:
            Label -> what is wrong with it, where something is.
        """
        wrong: dict[str, View] = {}
        for delegate in delegates:
            if delegate.body is None:
                continue
            known = existing.get(delegate.label)
            if (
                known is not None
                and owner_uid(known) != owner_uid(delegate.body)
                and owner_key(known) == owner_key(delegate.body)
            ):
                self._kube.delete(known)
                text = f"{delegate.label}, of an earlier resource of this name, goes first"
                wrong[delegate.label] = View("Waiting", Reason.STARTING, text, delegate.label)
            elif known is not None and owner_uid(known) != owner_uid(delegate.body):
                text = f"{delegate.label} is there and belongs to somebody else; rename one of the two, or refer to it"
                wrong[delegate.label] = View("Waiting", Reason.NAME_TAKEN, text, delegate.label)
            elif known is None or differs(known, delegate.body):
                try:
                    self._kube.apply(delegate.body)
                except Refused as error:
                    text = f"{delegate.label}: {error}"
                    wrong[delegate.label] = View("Waiting", Reason.REFUSED, text, delegate.label)
        return wrong

    def _missing(self, backend: Backend) -> View | None:
        """What a stage waits for whose backend is not installed, or not to be used; None where it is."""
        kind, version = backend.kind, backend.api_version
        if kind not in self._settings.backends:
            others = " or ".join(sorted(self._settings.backends))
            text = (
                f"this operator is not set up to make {kind}s; choose training.backend: {others}, or have it set up "
                "(AGENTARK_BACKENDS; in the chart: backends)"
            )
            return View("Waiting", Reason.BACKEND_NOT_ENABLED, text)
        if not backend.crd or self._installed.get(kind, lambda: self._kube.serves(version, kind) or None):
            return None
        text = f"the cluster has no {backend.crd}; install it: {backend.install}; or choose training.backend: Job"
        return View("Waiting", Reason.BACKEND_NOT_INSTALLED, text)

    def _schema(self, backend: Backend) -> Object | None:
        return self._schemas.get(backend.kind, lambda: self._kube.schema(backend.api_version, backend.kind))

    def _workload(self, begin: Begin, resource: Runs, owner: Owner, plan: Plan, place: Place, kept: str) -> Workload:
        stage, needs = begin.stage, begin.stage.resources
        training = _training(resource, stage)
        settings = self._settings
        template = pod_template(
            stage,
            image=Image(settings.worker_image, settings.pull_policy, settings.pull_secrets),
            offline=settings.offline,
            store=place.source,
            plan=kept,
            attempt=begin.number,
            workers=1 if training else needs.nodes,
            gpus=needs.gpus_per_node,
            overlay=resource.spec.pods,
        )
        return Workload(
            owner=owner,
            stage_kind=stage.kind,
            stage_name=stage.name,
            key=stage.key,
            attempt=begin.number,
            run_id=plan.run_id,
            name=child_name(owner, stage.kind, stage.key, begin.number),
            template=template,
            pods=needs.nodes,
            processes=needs.processes_per_node,
            distributed=training is not None,
            elastic=training.elastic if training else None,
            gang=training.gang if training else None,
            runtime=training.runtime_ref if training else None,
            suspend=QUEUE in owner.labels,
        )

    def _make(self, objects: Sequence[Object], annotations: Mapping[str, str]) -> None:
        child, *others = objects
        child["metadata"].setdefault("annotations", {}).update(annotations)
        applied = self._kube.apply(child)
        self._children.saw(applied)
        self._make_beside(applied, others)

    def _make_beside(self, child: Mapping[str, Any], others: Sequence[Object]) -> None:
        # Theirs, not the resource's: what an attempt needs goes with it.
        owner = {"apiVersion": child["apiVersion"], "kind": child["kind"], "controller": True}
        owner |= {name: child["metadata"][name] for name in ("name", "uid")}
        for other in others:
            other["metadata"]["ownerReferences"] = [owner]
            self._kube.apply(other)
        self._whole.put(child["metadata"]["uid"], True)


def _shared(other: str) -> View:
    """How a stage stands that another resource's pods work on."""
    text = f"{other} is working on the same stage; its result is taken from the store"
    return View("Waiting", Reason.SHARED_STAGE, text)


def _training(resource: Runs, stage: Stage) -> Training | None:
    """How a stage trains; None for one that does not."""
    if stage.kind == "prm":
        if isinstance(resource, PRMTraining):
            return resource.spec.training
        prm = resource.spec.prm if isinstance(resource, DistillJob) else None
        return prm.training if prm else Training()
    if stage.kind == "distill" and isinstance(resource, DistillJob):
        return resource.spec.training
    return None
