"""One pass over one resource: observe, decide, act, write the status if it changed. Every pass starts from nothing."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from agentark.api import OPERATOR, DebateRun, DistillJob, ModelRelease, PRMTraining, Resource, RunPolicy
from agentark.errors import AgentArkError, InvalidInput
from agentark.planning import Plan
from agentark.store import StageManifest
from agentark.store.stages import now
from agentark_operator.apply.actor import STALLING, Actor
from agentark_operator.attempts.workload import Owner, child_name, owner_of
from agentark_operator.backends import BACKENDS
from agentark_operator.decide.continuation import Kept, kept, requested, run_of, same
from agentark_operator.decide.decision import Begin, Decision, Facts, Run, View, decide, starting
from agentark_operator.decide.delegation import Delegate, content_of, delegates, done_by, gpu_seconds_of, standing
from agentark_operator.informers.children import Children, owner_uid
from agentark_operator.informers.manifests import parsed
from agentark_operator.informers.resources import Body, Key, Resources
from agentark_operator.kube import Gone, Kube
from agentark_operator.metrics.endings import Ending, endings, last_heard
from agentark_operator.metrics.telemetry import Telemetry
from agentark_operator.reconciler.observation import InputNotReady, facts_of, manifests_of, planned
from agentark_operator.releases import ObservedRelease, Releases, release_status
from agentark_operator.settings import Settings
from agentark_operator.status import results
from agentark_operator.status.events import events
from agentark_operator.status.summary import Observed, ObservedStage, over, summarize, tracks_of
from agentark_operator.storage.listings import Glances
from agentark_operator.storage.stores import Place, Recent, Stores
from agentark_operator.teachers.demand import Served, addressed, teachers
from agentark_operator.teachers.servers import Teachers
from agentark_operator.timestamps import parsed as moment

_log = logging.getLogger(__name__)
Runs = DebateRun | PRMTraining | DistillJob


class Outcome(NamedTuple):
    """What a pass came to."""

    status: dict[str, Any]
    """Of the resource, as it is on the server now."""
    version: str = ""
    """Of the resource, if the pass has written to it."""
    due_s: float | None = None
    """Seconds after which to look again though nothing was heard; None where only an event can change anything."""
    later: str = ""
    """What could not be asked or done, so that the pass is to be done again after a wait; the status says it too."""
    sharing: frozenset[str] = frozenset()
    """Keys of stages that another resource works on."""
    gone: bool = False
    """Whether the resource is no longer there: a watch does not tell what vanished while it was cut."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a pass found out."""

    observed: Observed
    due_s: float | None = None
    later: str = ""
    sharing: frozenset[str] = frozenset()
    ended: Sequence[Ending] = ()
    begun: Sequence[Begin] = ()
    heard: Mapping[str, float] = field(default_factory=dict)
    """Running stage -> when it was last heard of; empty where nobody could look."""


@dataclass(frozen=True, slots=True)
class _Case:
    """What a pass goes by."""

    resource: Runs
    owner: Owner
    place: Place
    plan: Plan
    manifests: Mapping[str, StageManifest]
    """Key -> manifest of each finished stage."""
    related: Mapping[str, Body]
    """"Kind/name" -> other resources that count for the plan."""
    others: Mapping[str, Resource]
    """The same, parsed."""
    embedded: Sequence[Body]
    """Resources made of what this one embeds."""
    own: Kept
    """Objects and memory that belong to this run."""

    @property
    def left(self) -> bool:
        """Whether a stage is not finished."""
        return any(stage.key not in self.manifests for stage in self.plan.stages)


@dataclass
class Reconciler:
    """Makes passes; each blocks its thread.

    One resource is looked at by one thread at a time.
    """

    kube: Kube
    settings: Settings
    resources: Resources
    children: Children
    stores: Stores
    actor: Actor
    teachers: Teachers
    telemetry: Telemetry
    running: int = 0
    """Resources that run, for how often their progress is looked at."""
    _glances: Glances = field(default_factory=Glances)
    _plans: Recent[Any, Plan] = field(default_factory=lambda: Recent(512, float("inf")))
    _scores: Recent[Any, list[dict[str, str]]] = field(default_factory=lambda: Recent(2048, float("inf")))
    _releases: Releases = field(init=False)

    def __post_init__(self) -> None:
        self._releases = Releases(self.kube, self.resources, self.stores)

    def reconcile(self, key: Key, body: Body) -> Outcome:
        """Bring a resource to what its spec says, and its status to what is the case.

        Args:
            key: The resource.
            body: As last seen, with the status that was last written.

        Raises:
            KubeError: The API server did not do what it was asked; the pass is to be made again.
        """
        before = body.get("status") or {}
        if key.kind == "ModelRelease":
            return self._released(body, before)
        policy = (body.get("spec") or {}).get("runPolicy") or {}
        if policy.get("managedBy", OPERATOR) != OPERATOR:
            return Outcome(before)
        self.actor.remove_former(body)
        if over(before) and same(body, before):
            return self._tidied(key, body, before)
        try:
            seen = self._seen(key, body, before)
        except InputNotReady as error:
            seen = _Seen(Observed(waiting=("InputNotReady", str(error))), later=str(error))
        except InvalidInput as error:
            seen = _Seen(Observed(stalled=("InvalidSpec", str(error))))
        except AgentArkError as error:
            text = self.stores.told(parsed(body), error)
            seen = _Seen(Observed(waiting=("StoreUnavailable", text)), later=text)
        self.telemetry.heard(key, seen.heard)
        status = summarize(seen.observed, before, generation=body["metadata"]["generation"], now=now())
        if status["phase"] == "Failed":
            self._stop_embedded(key, body)
        version = ""
        if status != before:
            try:
                version = self.kube.write_status(body, status)
            except Gone:
                return Outcome({}, gone=True)
            self._tell(key, before, status, seen)
            self.kube.tell(events(body, before, status, now=now()))
        if over(status):
            return Outcome(status, version, self._left_s(body, status))
        return Outcome(status, version, seen.due_s, seen.later, seen.sharing)

    def _seen(self, key: Key, body: Body, before: Mapping[str, Any]) -> _Seen:
        resource = parsed(body)
        assert not isinstance(resource, ModelRelease)  # they have no stages
        plain = Observed(requested_at=requested(body), history=resource.spec.run_policy.history_limit)
        if absent := self.resources.missing(key):
            names = " and ".join(absent)
            message = f"waits for {names}, which this namespace does not have; apply it, or correct the name"
            return _Seen(replace(plain, waiting=("DependencyNotReady", message)), self.settings.resync_s)
        case = self._gathered(key, body, before, resource)
        facts, run = self._facts(case, before)
        decision = decide(facts, run)
        self.actor.carry_out(decision)
        self.actor.remove(case.own.superseded)
        self.actor.complete(facts, case.resource, case.owner, case.plan, case.place)
        used = teachers(resource, case.others, case.plan) if case.left else {}
        decision, stalled = self._begun(decision, case, used)
        self.teachers.keep(_needed(decision, used, suspended=run.suspended), case.owner)
        observed = self._observed(plain, case, facts, decision, suspended=run.suspended)
        job = resource if isinstance(resource, DistillJob) else None
        note = self._releases.announce(job, case.plan, case.manifests, case.place.source) if job else ""
        sharing = frozenset(name for name, view in decision.views.items() if view.reason == "SharedStage")
        ended = endings(facts, tracks_of(before), decision, case.manifests, run.now_s)
        begun = [begin for begin in decision.begin if decision.tracks[begin.stage.key].attempt == begin.number]
        # Whoever refused an object does not say when it would take it.
        later = next((view.message for view in decision.views.values() if view.reason == "Refused"), "")
        ending = any(one.pods_alive for one in facts)
        due_s = self._due_s(decision, waits=stalled is not None or bool(sharing) or ending)
        seen = replace(observed, stalled=stalled, note=note)
        return _Seen(seen, due_s, later, sharing, ended, begun, last_heard(facts, decision))

    def _gathered(self, key: Key, body: Body, before: Mapping[str, Any], resource: Runs) -> _Case:
        """Everything that a pass goes by, but for how it stands with other resources."""
        place = self.stores.of(resource)
        # Seen before the store is asked: what had ended well by now has committed.
        related = self.resources.related(key)
        uid = body["metadata"]["uid"]
        self.actor.ask_about(self.children.silent(uid, max(3 * self.settings.poll_s, self.running / 10)))
        objects = self.children.of(uid)
        others = {name: parsed(other) for name, other in related.items()}
        plan = self._plan(body, before, resource, others, place, related)
        manifests = manifests_of(plan, place, self.stores)
        own = kept(body, before, plan, manifests.keys(), objects)
        embedded = self._embedded(key, body)
        return _Case(resource, owner_of(body), place, plan, manifests, related, others, embedded, own)

    def _facts(self, case: _Case, before: Mapping[str, Any]) -> tuple[list[Facts], Run]:
        """What is known of each stage, those that other resources run among them, and of the run."""
        spec, views = case.resource.spec, {}
        if case.left:
            given = delegates(case.resource, case.owner, case.others, case.plan)
            views = self._delegated(given, case.related, case.manifests)
            wanted = {one.label for one in given}
            made = {f"{one['kind']}/{one['metadata']['name']}": one for one in case.embedded}
            self.actor.remove([one for label, one in made.items() if label not in wanted])
        facts = facts_of(
            case.plan,
            case.place,
            done=case.manifests,
            children=case.own.objects,
            tracks=case.own.tracks,
            delegated=views,
            warnings=self.kube.warnings,
            content=content_of(case.resource) if case.own.objects else "",
            made=done_by(case.embedded),
        )
        run = Run(
            uid=case.owner.uid,
            policy=spec.run_policy,
            suspended=spec.suspend,
            started_at=case.own.started_at,
            now_s=time.time(),
            base_wait_s=self.settings.retry_s,
        )
        return facts, run

    def _due_s(self, decision: Decision, *, waits: bool) -> float:
        """Seconds until the next look."""
        runs = any(view.state == "Running" for view in decision.views.values())
        found = [self._poll_s() if runs else self.settings.resync_s]
        # No event need tell of a backend that is installed, or of the end of another's attempt or of a pod.
        found += [3 * self.settings.poll_s] if waits else []
        return min(found + ([decision.due_s] if decision.due_s is not None else []))

    def _tell(self, key: Key, before: Mapping[str, Any], status: Mapping[str, Any], seen: _Seen) -> None:
        """Log and count what happened, once it stands in the status."""
        about = {"resource": f"{key.kind}/{key.namespace}/{key.name}", "run": status.get("runId", "")}
        for begin in seen.begun:
            stage = {"stage": begin.stage.name, "attempt": begin.number}
            _log.info("attempt begins", extra=about | stage)
        for one in seen.ended:
            stage = {"stage": one.name, "attempt": one.attempt, "outcome": one.outcome, "reason": one.reason}
            _log.info("attempt ended", extra=about | stage)
            self.telemetry.ended(key, one)
        if status.get("phase") != before.get("phase"):
            _log.info("phase is %s", status.get("phase"), extra=about)
        self.telemetry.changed(key, before, status)

    def _plan(
        self,
        body: Body,
        before: Mapping[str, Any],
        resource: Resource,
        others: Mapping[str, Resource],
        place: Place,
        related: Mapping[str, Body],
    ) -> Plan:
        """The plan, laid out anew only where something that it is made of changed."""
        about = tuple(
            (name, other["metadata"]["uid"], other["metadata"].get("generation"))
            for name, other in sorted(related.items())
        )
        metadata, run_id = body["metadata"], run_of(body, before)
        fingerprint = (metadata["uid"], metadata["generation"], requested(body), place.identity, about)
        found = self._plans.get(
            fingerprint, lambda: planned(resource, others, place=place, glances=self._glances, run_id=run_id)
        )
        assert found is not None
        return found

    def _delegated(
        self, given: Sequence[Delegate], related: Mapping[str, Body], manifests: Mapping[str, StageManifest]
    ) -> dict[str, View]:
        """Key -> how it stands with each stage that another resource runs."""
        wanted = [one for one in given if not one.keys <= manifests.keys()]
        # A reward model is made of its debate: made at the same time, the two would vie for one stage.
        early = any(one.kind == "DebateRun" and one.body is not None for one in wanted)
        ready = [one for one in wanted if one.kind != "PRMTraining" or not early or one.label in related]
        wrong = self.actor.delegate(ready, related)
        views: dict[str, View] = {}
        for one in wanted:
            view = wrong.get(one.label) or standing(one, related.get(one.label))
            if view is not None:
                views |= dict.fromkeys(one.keys - manifests.keys(), view)
        return views

    def _begun(
        self, decision: Decision, case: _Case, used: Mapping[str, Sequence[Served]]
    ) -> tuple[Decision, tuple[str, str] | None]:
        """Begin what is to begin; what cannot says why."""
        views, tracks = dict(decision.views), dict(decision.tracks)
        owner, plan, place = case.owner, case.plan, case.place
        stalled: tuple[str, str] | None = None
        for begin in decision.begin:
            key = begin.stage.key
            taken = self.actor.taken(key, place, owner)
            view, began = taken or self.teachers.waited_for(used.get(key, ()), owner, place.source), False
            if view is None:
                view, began = self.actor.begin(begin, case.resource, owner, plan, place, addressed(plan, used))
            if began:
                name = child_name(owner, begin.stage.kind, key, begin.number)
                tracks[key] = replace(tracks[key], attempt=begin.number, next_attempt_at="")
                views[key] = starting(f"{begin.stage.resources.backend}/{name}")
            elif view is not None:
                views[key] = view
                if view.reason in STALLING:
                    stalled = view.reason, f"{begin.stage.name}: {view.message}"
        return replace(decision, views=views, tracks=tracks), stalled

    def _observed(
        self, plain: Observed, case: _Case, facts: Sequence[Facts], decision: Decision, *, suspended: bool
    ) -> Observed:
        plan, place, manifests = case.plan, case.place, case.manifests
        stages = [
            ObservedStage(
                stage.name, stage.kind, stage.key, decision.views[stage.key], decision.tracks[stage.key], one.progress
            )
            for stage, one in zip(plan.stages, facts, strict=True)
        ]
        ran = [manifests[one.key] for one in stages if one.state == "Done"]
        gpu_seconds = sum(track.gpu_seconds for track in decision.tracks.values()) + gpu_seconds_of(case.embedded)
        compare = next((one.key for one in plan.stages if one.kind == "compare" and one.key in manifests), "")
        scores = self._read_scores(place, manifests[compare]) if compare else []
        return replace(
            plain,
            run_id=plan.run_id,
            stages=stages,
            suspended=suspended,
            ended=decision.ended,
            scores=scores,
            score=results.headline(scores),
            usage=results.usage(ran, gpu_seconds, self.settings.prices, self.settings.currency),
            outputs=results.outputs(plan, manifests, place.store),
        )

    def _released(self, body: Body, before: dict[str, Any]) -> Outcome:
        """A pass over a ModelRelease, which has no stages."""
        try:
            release = parsed(body)
            assert isinstance(release, ModelRelease)
            observed = self._releases.look(release, before)
        except InvalidInput as error:
            observed = ObservedRelease(stalled=("InvalidSpec", str(error)), seen=False)
        except AgentArkError as error:
            text = self.stores.told(parsed(body), error)
            observed = ObservedRelease(waiting=("StoreUnavailable", text), later=text, seen=False)
        status = release_status(observed, before, generation=body["metadata"]["generation"], now=now())
        version = ""
        if status != before:
            try:
                version = self.kube.write_status(body, status)
            except Gone:
                return Outcome(before)
            self.kube.tell(events(body, before, status, now=now()))
        return Outcome(status, version, self.settings.resync_s, observed.later)

    def _read_scores(self, place: Place, compare: StageManifest) -> list[dict[str, str]]:
        found = self._scores.get((place.identity, compare.key), lambda: results.read_scores(place.store, compare))
        return found or []

    def _poll_s(self) -> float:
        """Time between two looks at progress, so that all of them together stay cheap."""
        return max(self.settings.poll_s, self.running / 10)

    def _tidied(self, key: Key, body: Body, before: dict[str, Any]) -> Outcome:
        """A run that has ended: its objects go when their time is over."""
        left_s = self._left_s(body, before)
        if left_s is not None and left_s <= 0:
            uid = body["metadata"]["uid"]
            self.actor.remove([one for one in self.children.of(uid) if one["kind"] in BACKENDS])
            self.actor.remove(self._embedded(key, body))
            left_s = None
        elif before["phase"] == "Failed":
            self._stop_embedded(key, body)  # what was made as the run ended was not seen then
        return Outcome(before, due_s=left_s)

    def _stop_embedded(self, key: Key, body: Body) -> None:
        self.actor.remove([one for one in self._embedded(key, body) if not over(one.get("status") or {})])

    def _embedded(self, key: Key, body: Body) -> list[Body]:
        """The resources that were made of what this one embeds."""
        made = [self.resources.find(other) for other in self.resources.naming(key)]
        return [one for one in made if one is not None and owner_uid(one) == body["metadata"]["uid"]]

    def _left_s(self, body: Body, status: Mapping[str, Any]) -> float | None:
        """Seconds until the objects of an ended run go; None where there are none."""
        uid = body["metadata"]["uid"]
        key = Key(body["kind"], body["metadata"]["namespace"], body["metadata"]["name"])
        if not self.children.of(uid) and not self._embedded(key, body):
            return None
        spec = (body.get("spec") or {}).get("runPolicy") or {}
        ttl_s = spec.get("ttlSecondsAfterFinished", RunPolicy().ttl_seconds_after_finished)
        return moment(str(status["completedAt"])) + float(ttl_s) - time.time()


def _needed(decision: Decision, used: Mapping[str, Sequence[Served]], *, suspended: bool) -> set[str]:
    """Names of the teachers that stages ask now, or wait for."""
    views = decision.views
    beginning = {begin.stage.key for begin in decision.begin if views[begin.stage.key].reason != "SharedStage"}
    keys = [] if suspended else [key for key in used if views[key].state == "Running" or key in beginning]
    return {one.name for key in keys for one in used[key]}
