"""One pass over one resource: observe, decide, act, write the status if it changed. Every pass starts from nothing."""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from pydantic import ValidationError

from agentark.api import KINDS, OPERATOR, DebateRun, DistillJob, ModelRelease, PRMTraining, Resource, RunPolicy
from agentark.errors import AgentArkError, InvalidInput
from agentark.planning import Plan
from agentark.store import StageManifest
from agentark.store.stages import now
from agentark_operator import results
from agentark_operator.acting import STALLING, Actor
from agentark_operator.backends import BACKENDS
from agentark_operator.children import Children, owner_uid
from agentark_operator.continuing import kept, requested, run_of, same
from agentark_operator.deciding import Begin, Decision, Facts, Run, View, decide, starting
from agentark_operator.delegating import Delegate, content_of, delegates, done_by, gpu_seconds_of, standing
from agentark_operator.endings import Ending, endings
from agentark_operator.eventing import events
from agentark_operator.glancing import Glances
from agentark_operator.instants import parsed as moment
from agentark_operator.kube import Gone, Kube
from agentark_operator.observing import InputNotReady, facts_of, manifests_of, planned
from agentark_operator.referring import Body, Key, Resources
from agentark_operator.releasing import ObservedRelease, Releases, release_status
from agentark_operator.settings import Settings
from agentark_operator.stores import Place, Recent, Stores
from agentark_operator.summarizing import Observed, ObservedStage, over, summarize, tracks_of
from agentark_operator.teachers import Teachers
from agentark_operator.teaching import Served, addressed, teachers
from agentark_operator.telemetry import Telemetry
from agentark_operator.workload import Owner, child_name, owner_of

_log = logging.getLogger(__name__)
Runs = DebateRun | PRMTraining | DistillJob


class Outcome(NamedTuple):
    """What a pass came to."""

    status: dict[str, Any]
    """Of the resource, as it is on the server now."""
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
        status = summarize(seen.observed, before, generation=body["metadata"]["generation"], now=now())
        if status["phase"] == "Failed":
            self._stop_embedded(key, body)
        if status != before:
            try:
                self.kube.write_status(body, status)
            except Gone:
                return Outcome({}, gone=True)
            self._tell(key, before, status, seen)
            self.kube.tell(events(body, before, status, now=now()))
        if over(status):
            return Outcome(status, self._left_s(body, status))
        return Outcome(status, seen.due_s, seen.later, seen.sharing)

    def _seen(self, key: Key, body: Body, before: Mapping[str, Any]) -> _Seen:
        resource = parsed(body)
        assert not isinstance(resource, ModelRelease)  # they have no stages
        policy = resource.spec.run_policy
        plain = Observed(requested_at=requested(body), history=policy.history_limit)
        if absent := self.resources.missing(key):
            message = (
                f"waits for {' and '.join(absent)}, which this namespace does not have; apply it, or correct the name"
            )
            return _Seen(replace(plain, waiting=("DependencyNotReady", message)), self.settings.resync_s)
        place = self.stores.of(resource)
        # Seen before the store is asked: what had ended well by now has committed.
        related = self.resources.related(key)
        uid = body["metadata"]["uid"]
        self.actor.ask_about(self.children.silent(uid, max(3 * self.settings.poll_s, self.running / 10)))
        objects = self.children.of(uid)
        others = {name: parsed(other) for name, other in related.items()}
        plan = self._plan(body, before, resource, others, place, related)
        manifests = manifests_of(plan, place, self.stores)
        owner = owner_of(body)
        left = [stage for stage in plan.stages if stage.key not in manifests]
        given = delegates(resource, owner, others, plan) if left else []
        views = self._delegated(given, related, manifests) if left else {}
        embedded = self._embedded(key, body)
        if left:
            wanted = {one.label for one in given}
            self.actor.remove([one for one in embedded if f"{one['kind']}/{one['metadata']['name']}" not in wanted])
        own = kept(body, before, plan, manifests.keys(), objects)
        facts = facts_of(
            plan,
            place,
            done=manifests,
            children=own.objects,
            tracks=own.tracks,
            delegated=views,
            warnings=self.kube.warnings,
            content=content_of(resource),
            made=done_by(embedded),
        )
        run = Run(
            uid=owner.uid,
            policy=policy,
            suspended=resource.spec.suspend,
            started_at=own.started_at,
            now_s=time.time(),
            base_wait_s=self.settings.retry_s,
        )
        decision = decide(facts, run)
        self.actor.carry_out(decision)
        self.actor.remove(own.superseded)
        for one in facts:
            if one.current is not None and not one.current.over:
                attempt = Begin(one.stage, one.current.number)
                self.actor.complete(attempt, resource, owner, plan, place, one.current.body)
        used = teachers(resource, others, plan) if left else {}
        decision, stalled = self._begun(decision, resource, owner, plan, place, used)
        self.teachers.keep(_needed(decision, used, suspended=run.suspended), owner)
        observed = self._observed(plain, plan, place, facts, decision, manifests, embedded, suspended=run.suspended)
        note = self._releases.announce(resource, plan, manifests) if isinstance(resource, DistillJob) else ""
        observed = replace(observed, stalled=stalled, note=note)
        runs = any(view.state == "Running" for view in decision.views.values())
        waits = [self._poll_s() if runs else self.settings.resync_s]
        sharing = frozenset(name for name, view in decision.views.items() if view.reason == "SharedStage")
        if stalled is not None or sharing:
            waits.append(3 * self.settings.poll_s)  # no event need tell of a backend installed, or of another's end
        waits += [decision.due_s] if decision.due_s is not None else []
        ended = endings(facts, tracks_of(before), decision, manifests, run.now_s)
        begun = [begin for begin in decision.begin if decision.tracks[begin.stage.key].attempt == begin.number]
        # Whoever refused an object does not say when it would take it.
        later = next((view.message for view in decision.views.values() if view.reason == "Refused"), "")
        return _Seen(observed, min(waits), later, sharing, ended, begun)

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
        wrong = self.actor.delegate(wanted, related)
        views: dict[str, View] = {}
        for one in wanted:
            view = wrong.get(one.label) or standing(one, related.get(one.label))
            if view is not None:
                views |= dict.fromkeys(one.keys - manifests.keys(), view)
        return views

    def _begun(
        self,
        decision: Decision,
        resource: Runs,
        owner: Owner,
        plan: Plan,
        place: Place,
        used: Mapping[str, Sequence[Served]],
    ) -> tuple[Decision, tuple[str, str] | None]:
        """Begin what is to begin; what cannot says why."""
        views, tracks = dict(decision.views), dict(decision.tracks)
        stalled: tuple[str, str] | None = None
        for begin in decision.begin:
            key = begin.stage.key
            taken = self.actor.taken(key, place, owner)
            view, began = taken or self.teachers.waited_for(used.get(key, ()), owner, place.source), False
            if view is None:
                view, began = self.actor.begin(begin, resource, owner, plan, place, addressed(plan, used))
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
        self,
        plain: Observed,
        plan: Plan,
        place: Place,
        facts: Sequence[Facts],
        decision: Decision,
        manifests: Mapping[str, StageManifest],
        embedded: Sequence[Body],
        *,
        suspended: bool,
    ) -> Observed:
        stages = [
            ObservedStage(
                stage.name, stage.kind, stage.key, decision.views[stage.key], decision.tracks[stage.key], one.progress
            )
            for stage, one in zip(plan.stages, facts, strict=True)
        ]
        ran = [manifests[one.key] for one in stages if one.state == "Done"]
        gpu_seconds = sum(track.gpu_seconds for track in decision.tracks.values()) + gpu_seconds_of(embedded)
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
        if status != before:
            try:
                self.kube.write_status(body, status)
            except Gone:
                return Outcome(before)
            self.kube.tell(events(body, before, status, now=now()))
        return Outcome(status, self.settings.resync_s, observed.later)

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
        return Outcome(before, left_s)

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
