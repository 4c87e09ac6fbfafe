"""A pass over one resource: take the steps, write the status if it changed, tell of it. Every pass begins anew."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from agentark.api import OPERATOR, RunPolicy
from agentark.errors import AgentArkError, InvalidInput
from agentark.store.stages import now
from agentark_operator.apply.actor import Actor
from agentark_operator.backends import BACKENDS
from agentark_operator.decide.continuation import requested, same
from agentark_operator.informers.children import Children
from agentark_operator.informers.resources import Body, Key, Resources, parse_resource
from agentark_operator.kube import Gone, Kube
from agentark_operator.metrics.telemetry import Telemetry
from agentark_operator.reasons import Reason
from agentark_operator.reconciler.context import RESYNC_S, Conclusion, Outcome
from agentark_operator.reconciler.observation import InputNotReady
from agentark_operator.reconciler.steps import DependencyMissing, Steps
from agentark_operator.releases import Releases
from agentark_operator.settings import Settings
from agentark_operator.status.events import events
from agentark_operator.status.summary import Observed, over, summarize
from agentark_operator.storage.stores import Stores
from agentark_operator.teachers.servers import Teachers
from agentark_operator.timestamps import parse_time

_log = logging.getLogger(__name__)


class Reconciler:
    """Makes passes; each blocks its thread. One resource is looked at by one thread at a time.

    Args:
        running: How many resources run.
    """

    def __init__(
        self,
        kube: Kube,
        settings: Settings,
        resources: Resources,
        children: Children,
        telemetry: Telemetry,
        *,
        running: Callable[[], int],
    ) -> None:
        self._kube, self._settings, self._children, self._telemetry = kube, settings, children, telemetry
        self._stores = Stores(kube, settings, telemetry.stored)
        self._actor = Actor(kube, children, settings)
        self._releases = Releases(kube, resources, self._stores)
        teachers = Teachers(kube, children, settings)
        self._steps = Steps(
            kube, settings, resources, children, self._stores, self._actor, teachers, self._releases, running
        )

    def reconcile(self, key: Key, body: Body) -> Outcome:
        """Bring a resource to what its spec says, and its status to what became of that.

        Args:
            body: As last seen, with the status that was last written.

        Raises:
            KubeError: The API server did not do what it was asked; the pass is to be made again.
        """
        before = body.get("status") or {}
        if key.kind == "ModelRelease":
            status, later = self._releases.reconcile(body, before)
            outcome = self._written(body, before, status)
            return outcome if outcome.gone else outcome._replace(due_s=RESYNC_S, later=later)
        if _policy(body).get("managedBy", OPERATOR) != OPERATOR:
            return Outcome(before)
        self._actor.remove_former(body)
        if over(before) and same(body, before):
            return self._tidied(key, body, before)
        conclusion = self._concluded(key, body)
        self._telemetry.heard(key, conclusion.heard)
        history = _policy(body).get("historyLimit", RunPolicy().history_limit)
        observed = replace(conclusion.observed, requested_at=requested(body), history=history)
        status = summarize(observed, before, generation=body["metadata"]["generation"], now=now())
        if status["phase"] == "Failed":
            self._stop_embedded(key, body)
        outcome = self._written(body, before, status)
        if outcome.gone:
            return outcome
        if outcome.version:
            self._tell(key, before, status, conclusion)
        if over(status):
            return outcome._replace(due_s=self._left_s(key, body, status))
        return outcome._replace(due_s=conclusion.due_s, later=conclusion.later, sharing=conclusion.sharing)

    def _concluded(self, key: Key, body: Body) -> Conclusion:
        """What the steps come to, or what keeps them from being taken."""
        try:
            return self._steps.run(key, body)
        except DependencyMissing as error:
            waiting = Reason.DEPENDENCY_NOT_READY, str(error)
            return Conclusion(Observed(waiting=waiting), due_s=RESYNC_S)
        except InputNotReady as error:
            return Conclusion(Observed(waiting=(Reason.INPUT_NOT_READY, str(error))), later=str(error))
        except InvalidInput as error:
            return Conclusion(Observed(stalled=(Reason.INVALID_SPEC, str(error))))
        except AgentArkError as error:
            text = self._stores.told(parse_resource(body), error)
            return Conclusion(Observed(waiting=(Reason.STORE_UNAVAILABLE, text)), later=text)

    def _written(self, body: Body, before: dict[str, Any], status: dict[str, Any]) -> Outcome:
        """Write a status that has changed, and make its events."""
        if status == before:
            return Outcome(status)
        try:
            version = self._kube.write_status(body, status)
        except Gone:
            return Outcome({}, gone=True)
        self._kube.tell(events(body, before, status, now=now()))
        return Outcome(status, version)

    def _tell(self, key: Key, before: Mapping[str, Any], status: Mapping[str, Any], conclusion: Conclusion) -> None:
        """Log and count what happened, once it stands in the status."""
        about = {"resource": f"{key.kind}/{key.namespace}/{key.name}", "run": status.get("runId", "")}
        for begin in conclusion.begun:
            stage = {"stage": begin.stage.name, "attempt": begin.number}
            _log.info("attempt begins", extra=about | stage)
        for ending in conclusion.ended:
            stage = {"stage": ending.name, "attempt": ending.attempt}
            _log.info("attempt ended", extra=about | stage | {"outcome": ending.outcome, "reason": ending.reason})
            self._telemetry.ended(key, ending)
        if status.get("phase") != before.get("phase"):
            _log.info("phase is %s", status.get("phase"), extra=about)
        self._telemetry.changed(key, before, status)

    def _tidied(self, key: Key, body: Body, before: dict[str, Any]) -> Outcome:
        """A run that has ended: its objects go when their time is over."""
        left_s = self._left_s(key, body, before)
        if left_s is not None and left_s <= 0:
            objects = self._children.of(body["metadata"]["uid"])
            self._actor.remove([child for child in objects if child["kind"] in BACKENDS])
            self._actor.remove(self._steps.embedded(key, body))
            left_s = None
        elif before["phase"] == "Failed":
            self._stop_embedded(key, body)  # what was made as the run ended was not seen then
        return Outcome(before, due_s=left_s)

    def _stop_embedded(self, key: Key, body: Body) -> None:
        embedded = self._steps.embedded(key, body)
        self._actor.remove([other for other in embedded if not over(other.get("status") or {})])

    def _left_s(self, key: Key, body: Body, status: Mapping[str, Any]) -> float | None:
        """Seconds until the objects of an ended run go; None where there are none."""
        if not self._children.of(body["metadata"]["uid"]) and not self._steps.embedded(key, body):
            return None
        ttl_s = _policy(body).get("ttlSecondsAfterFinished", RunPolicy().ttl_seconds_after_finished)
        return parse_time(str(status["completedAt"])) + float(ttl_s) - time.time()


def _policy(body: Body) -> Mapping[str, Any]:
    """`spec.runPolicy` as it stands, which may hold for a spec that cannot be read as a whole."""
    return (body.get("spec") or {}).get("runPolicy") or {}
