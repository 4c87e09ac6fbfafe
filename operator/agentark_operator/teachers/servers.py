"""Bring teachers up before a stage asks them, and take them down when nobody does.

Each resource that uses a teacher is one of its owners and applies that reference under a field manager of its own, so
that the references of all of them stand side by side, and the garbage collector takes the server with the last one.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agentark.api import StoreSource
from agentark_operator.attempts.facts import View
from agentark_operator.attempts.pods import Image, vllm_template
from agentark_operator.attempts.workload import Owner
from agentark_operator.informers.children import Children
from agentark_operator.kube import FIELD_MANAGER, Kube, Refused
from agentark_operator.reasons import Reason
from agentark_operator.settings import Settings
from agentark_operator.teachers.demand import Served
from agentark_operator.teachers.serving import TEACHER, serving_state, teacher_objects

_LOADING = frozenset({Reason.NO_PODS, Reason.STARTING})
_TRIES = 5


class Teachers:
    """Makes and removes servers of teachers."""

    def __init__(self, kube: Kube, children: Children, settings: Settings) -> None:
        self._kube, self._children, self._settings = kube, children, settings
        self._whole: set[str] = set()
        """Uids of Deployments whose Service was made: the last operator may have ended between the two."""

    def waited_for(self, used: Sequence[Served], owner: Owner, store: StoreSource) -> View | None:
        """How a stage stands whose teachers do not answer yet; None where all do. Makes those that are not there.

        Args:
            used: The teachers that it asks.
            store: Endpoint and credentials for weights in S3.

        Raises:
            KubeError: The server does not answer.
        """
        if used and not self._settings.teachers:
            text = (
                "this operator is not set up to serve a teacher's weights; give the teacher by endpoint, or have it "
                "set up (AGENTARK_TEACHERS; in the chart: teachers.enabled)"
            )
            return View("Waiting", Reason.TEACHERS_NOT_ENABLED, text)
        for teacher in used:
            deployment = self._children.find("Deployment", owner.namespace, teacher.name)
            known = deployment is not None and deployment["metadata"]["uid"] in self._whole
            if deployment is None or not known or owner.uid not in users(deployment):
                try:
                    deployment = self._make(teacher, owner, store)
                except Refused as error:
                    text = f"the API server does not take teacher {teacher.name}: {error}"
                    return View("Waiting", Reason.REFUSED, text)
            pods = self._children.labelled("Pod", owner.namespace, TEACHER, teacher.name.removeprefix("teacher-"))
            state = serving_state(deployment, pods)
            if state is not None:
                reason = Reason.ENDPOINT_NOT_READY if state.reason in _LOADING else state.reason
                return View("Waiting", reason, state.message, f"Deployment/{teacher.name}")
        return None

    def keep(self, needed: Iterable[str], owner: Owner) -> None:
        """Let go of every teacher that a resource does not need now; one that nobody needs is removed.

        Args:
            needed: Names of those that it needs.

        Raises:
            KubeError: The server did not do it; the next pass tries again.
        """
        wanted = set(needed)
        for child in self._children.of(owner.uid):
            if child["kind"] == "Deployment" and child["metadata"]["name"] not in wanted:
                self._let_go(child, owner)

    def _make(self, teacher: Served, owner: Owner, store: StoreSource) -> dict[str, Any]:
        settings = self._settings
        template = vllm_template(
            uri=teacher.uri,
            identity=teacher.identity,
            served_name=teacher.model,
            serving=teacher.serving,
            image=Image(settings.teacher_image, settings.pull_policy, settings.pull_secrets),
            worker=Image(settings.worker_image, settings.pull_policy, settings.pull_secrets),
            store=store,
            offline=settings.offline,
        )
        deployment, service = teacher_objects(teacher.name, template, teacher.serving, [owner])
        applied = self._kube.apply(deployment, manager=_manager(owner))
        self._children.saw(applied)
        of = {"apiVersion": "apps/v1", "kind": "Deployment", "name": teacher.name, "uid": applied["metadata"]["uid"]}
        service["metadata"] = {**service["metadata"], "ownerReferences": [of | {"controller": True}]}
        self._kube.apply(service)
        self._whole.add(applied["metadata"]["uid"])
        return applied

    def _let_go(self, deployment: Mapping[str, Any], owner: Owner) -> None:
        metadata = deployment["metadata"]
        for _ in range(_TRIES):
            current = self._kube.read("apps/v1", "Deployment", metadata["name"], metadata["namespace"])
            if current is None or owner.uid not in users(current):
                break
            if users(current) - {owner.uid}:
                bare = {"name": metadata["name"], "namespace": metadata["namespace"]}
                unowned = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": bare}
                self._children.saw(self._kube.apply(unowned, manager=_manager(owner)))
                return
            # As it was seen: a resource that came to use it just now keeps it.
            self._kube.delete({"apiVersion": "apps/v1", "kind": "Deployment", **current}, unchanged=True)
        if current is None:
            self._children.lost(dict(deployment))


def users(deployment: Mapping[str, Any]) -> set[str]:
    """Uids of the resources that use a teacher."""
    return {reference["uid"] for reference in deployment["metadata"].get("ownerReferences") or ()}


def _manager(owner: Owner) -> str:
    return f"{FIELD_MANAGER}-{owner.uid[:8]}"
