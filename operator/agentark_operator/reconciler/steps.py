"""The steps of a pass over a run. Each takes the context, and gives it on with what it adds."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agentark.api import DistillJob, ModelRelease
from agentark.errors import AgentArkError
from agentark.planning import Plan
from agentark_operator.apply.actor import STALLING, Actor
from agentark_operator.attempts.facts import Run, View
from agentark_operator.attempts.workload import child_name, owner_of
from agentark_operator.decide.continuation import kept, requested, run_of
from agentark_operator.decide.decision import decide, starting
from agentark_operator.decide.delegation import delegates, gpu_seconds_of, standing
from agentark_operator.informers.children import Children, owner_uid
from agentark_operator.informers.resources import Body, Key, Resources, parse_resource
from agentark_operator.kube import Kube
from agentark_operator.metrics.endings import endings, last_heard
from agentark_operator.reasons import AnyReason, Reason
from agentark_operator.reconciler.context import RESYNC_S, Conclusion, RunContext
from agentark_operator.reconciler.observation import facts_of, planned
from agentark_operator.releases import Releases
from agentark_operator.settings import Settings
from agentark_operator.status import results
from agentark_operator.status.summary import Observed, ObservedStage, tracks_of
from agentark_operator.storage.listings import ListingCache
from agentark_operator.storage.stores import Cache, Stores
from agentark_operator.teachers.demand import addressed, teachers
from agentark_operator.teachers.servers import Teachers


class DependencyMissing(AgentArkError):
    """A resource that the spec names is not there; it may come yet."""


@dataclass
class Steps:
    """Takes the steps of passes; blocks its thread."""

    kube: Kube
    settings: Settings
    resources: Resources
    children: Children
    stores: Stores
    actor: Actor
    teachers: Teachers
    releases: Releases
    running: Callable[[], int]
    """How many resources run; the more, the more rarely their progress is looked at."""
    _listings: ListingCache = field(default_factory=ListingCache)
    _plans: Cache[Any, Plan] = field(default_factory=lambda: Cache(512, float("inf")))
    _scores: Cache[Any, list[dict[str, str]]] = field(default_factory=lambda: Cache(2048, float("inf")))

    def run(self, key: Key, body: Body) -> Conclusion:
        """Take every step.

        Args:
            body: As last seen, with the status that was last written.

        Raises:
            DependencyMissing: The spec names a resource that is not there.
            InputNotReady: The spec names data or a model that is not there.
            InvalidInput: The spec cannot be run.
            StoreError: The store cannot be asked.
            KubeError: The API server did not do what it was asked.
        """
        context = self._gather(key, body)
        for step in (self._plan, self._delegate, self._decide, self._apply, self._teachers, self._score, self._release):
            context = step(context)
        return self._concluded(context)

    def embedded(self, key: Key, body: Body) -> list[Body]:
        """The resources that were made of what this one embeds."""
        bodies = (self.resources.find(other) for other in self.resources.naming(key))
        return [other for other in bodies if other is not None and owner_uid(other) == body["metadata"]["uid"]]

    def _gather(self, key: Key, body: Body) -> RunContext:
        """What the informers know of the resource."""
        resource = parse_resource(body)
        assert not isinstance(resource, ModelRelease)  # they have no stages
        if absent := self.resources.missing(key):
            names = " and ".join(absent)
            text = f"waits for {names}, which this namespace does not have; apply it, or correct the name"
            raise DependencyMissing(text)
        place = self.stores.of(resource)
        related, uid = self.resources.related(key), body["metadata"]["uid"]
        self.actor.ask_about(self.children.silent(uid, max(3 * self.settings.poll_s, self.running() / 10)))
        return RunContext(
            key=key,
            body=body,
            resource=resource,
            owner=owner_of(body),
            place=place,
            related=related,
            others={name: parse_resource(other) for name, other in related.items()},
            objects=self.children.of(uid),
        )

    def _plan(self, context: RunContext) -> RunContext:
        """The plan, laid out anew only where something that it is made of changed, and what of it is finished."""
        body, status, place = context.body, context.status, context.place
        about = tuple(
            (name, other["metadata"]["uid"], other["metadata"].get("generation"))
            for name, other in sorted(context.related.items())
        )
        metadata = body["metadata"]
        fingerprint = (metadata["uid"], metadata["generation"], requested(body), place.identity, about)

        def lay_out() -> Plan:
            run_id = run_of(body, status)
            return planned(context.resource, context.others, place=place, listings=self._listings, run_id=run_id)

        plan = self._plans.get(fingerprint, lay_out)
        assert plan is not None
        # The objects were seen before the store is asked: what had ended well by then has committed.
        asked = {stage.key: self.stores.manifest(place, stage.kind, stage.key) for stage in plan.stages}
        manifests = {key: manifest for key, manifest in asked.items() if manifest is not None}
        own = kept(body, status, plan, manifests.keys(), context.objects)
        return replace(context, planned=plan, manifests=manifests, kept=own, embedded=self.embedded(context.key, body))

    def _delegate(self, context: RunContext) -> RunContext:
        """See to the resources that run stages for this one, and how it stands with those stages."""
        if not context.unfinished:
            return context
        related, done = context.related, context.manifests.keys()
        runners = delegates(context.resource, context.owner, context.others, context.plan)
        busy = [delegate for delegate in runners if not delegate.keys <= done]
        # A reward model is made of its debate: made at the same time, the two would vie for one stage.
        debating = any(delegate.kind == "DebateRun" and delegate.body is not None for delegate in busy)
        later = "PRMTraining" if debating else ""
        ready = [delegate for delegate in busy if delegate.kind != later or delegate.label in related]
        wrong = self.actor.delegate(ready, related)
        views: dict[str, View] = {}
        for delegate in busy:
            view = wrong.get(delegate.label) or standing(delegate, related.get(delegate.label))
            if view is not None:
                views |= dict.fromkeys(delegate.keys - done, view)
        wanted = {delegate.label for delegate in runners}
        others = {f"{body['kind']}/{body['metadata']['name']}": body for body in context.embedded}
        self.actor.remove([body for label, body in others.items() if label not in wanted])
        return replace(context, delegated=views)

    def _decide(self, context: RunContext) -> RunContext:
        """What is known of each stage, and what to do about it."""
        spec = context.resource.spec
        facts = facts_of(context, self.kube.warnings)
        run = Run(
            uid=context.owner.uid,
            policy=spec.run_policy,
            suspended=spec.suspend,
            started_at=context.kept.started_at,
            now_s=time.time(),
            base_wait_s=self.settings.retry_s,
        )
        return replace(context, facts=facts, now_s=run.now_s, decided=decide(facts, run))

    def _apply(self, context: RunContext) -> RunContext:
        """Suspend, remove and begin attempts; what cannot begin says why."""
        resource, owner, plan, place = context.resource, context.owner, context.plan, context.place
        self.actor.carry_out(context.decision)
        self.actor.remove(context.kept.superseded)
        self.actor.complete(context.facts, resource, owner, plan, place)
        served = teachers(resource, context.others, plan) if context.unfinished else {}
        views, tracks = dict(context.decision.views), dict(context.decision.tracks)
        stalled: tuple[AnyReason, str] | None = None
        for begin in context.decision.begin:
            key = begin.stage.key
            taken = self.actor.taken(key, place, owner)
            view, began = taken or self.teachers.waited_for(served.get(key, ()), owner, place.source), False
            if view is None:
                view, began = self.actor.begin(begin, resource, owner, plan, place, addressed(plan, served))
            if began:
                name = child_name(owner, begin.stage.kind, key, begin.number)
                tracks[key] = replace(tracks[key], attempt=begin.number, next_attempt_at="")
                views[key] = starting(f"{begin.stage.resources.backend}/{name}")
            elif view is not None:
                views[key] = view
                if view.reason in STALLING:
                    stalled = view.reason, f"{begin.stage.name}: {view.message}"
        decision = replace(context.decision, views=views, tracks=tracks)
        return replace(context, decided=decision, served=served, stalled=stalled)

    def _teachers(self, context: RunContext) -> RunContext:
        """Keep the teachers that stages ask now, or wait for; let go of all others."""
        views = context.decision.views
        beginning = {begin.stage.key for begin in context.decision.begin} - _shared(views)
        asking = [key for key in context.served if views[key].state == "Running" or key in beginning]
        if context.resource.spec.suspend:
            asking = []
        self.teachers.keep({teacher.name for key in asking for teacher in context.served[key]}, context.owner)
        return context

    def _score(self, context: RunContext) -> RunContext:
        """What the comparison measured. Where that cannot be read, nothing is told of a release."""
        stages, place = context.plan.stages, context.place
        compare = next((context.manifests.get(stage.key) for stage in stages if stage.kind == "compare"), None)
        if compare is None:
            return context
        scores = self._scores.get((place.identity, compare.key), lambda: results.read_scores(place.store, compare))
        return replace(context, scores=scores or ())

    def _release(self, context: RunContext) -> RunContext:
        """Tell the cluster of a model that the job has released."""
        if not isinstance(context.resource, DistillJob):
            return context
        note = self.releases.announce(context.resource, context.plan, context.manifests, context.place.source)
        return replace(context, note=note)

    def _concluded(self, context: RunContext) -> Conclusion:
        """What the steps came to; asks nobody."""
        facts, decision = context.facts, context.decision
        begun = [begin for begin in decision.begin if decision.tracks[begin.stage.key].attempt == begin.number]
        # Whoever refused an object does not say when it would take it.
        refused = next((view.message for view in decision.views.values() if view.reason == Reason.REFUSED), "")
        return Conclusion(
            observed=self._observed(context),
            due_s=self._due_s(context),
            later=refused,
            sharing=frozenset(_shared(decision.views)),
            ended=endings(facts, tracks_of(context.status), decision, context.manifests, context.now_s),
            begun=begun,
            heard=last_heard(facts, decision),
        )

    def _observed(self, context: RunContext) -> Observed:
        plan, manifests, decision = context.plan, context.manifests, context.decision
        stages = [
            ObservedStage(
                stage.name, stage.kind, stage.key, decision.views[stage.key], decision.tracks[stage.key], fact.progress
            )
            for stage, fact in zip(plan.stages, context.facts, strict=True)
        ]
        ran = [manifests[stage.key] for stage in stages if stage.state == "Done"]
        gpu_seconds = sum(track.gpu_seconds for track in decision.tracks.values()) + gpu_seconds_of(context.embedded)
        return Observed(
            run_id=plan.run_id,
            stages=stages,
            suspended=context.resource.spec.suspend,
            stalled=context.stalled,
            ended=decision.ended,
            scores=context.scores,
            score=results.headline(context.scores),
            usage=results.usage(ran, gpu_seconds, self.settings.prices, self.settings.currency),
            outputs=results.outputs(plan, manifests, context.place.store),
            note=context.note,
        )

    def _due_s(self, context: RunContext) -> float:
        """Seconds until the next look."""
        decision, settings = context.decision, self.settings
        runs = any(view.state == "Running" for view in decision.views.values())
        # Looks at progress are as rare as keeps all of them together cheap.
        due_s = max(settings.poll_s, self.running() / 10) if runs else RESYNC_S
        # No event need tell of a backend that is installed, or of the end of another's attempt or of a pod.
        if context.stalled or _shared(decision.views) or any(fact.pods_alive for fact in context.facts):
            due_s = min(due_s, 3 * settings.poll_s)
        return due_s if decision.due_s is None else min(due_s, decision.due_s)


def _shared(views: Mapping[str, View]) -> set[str]:
    """Keys of the stages that another resource's pods work on."""
    return {key for key, view in views.items() if view.reason == Reason.SHARED_STAGE}
