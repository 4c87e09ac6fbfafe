"""The running operator: Kopf's events fill the queue, workers take keys from it. The only module that knows Kopf."""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import kopf

from agentark.api import API_VERSION, KINDS
from agentark_operator.attempts.workload import MANAGED_BY, MANAGER
from agentark_operator.backends import BACKENDS
from agentark_operator.informers.children import Children, owner_key, stage_key
from agentark_operator.informers.resources import Body, Key, Resources
from agentark_operator.kube import Kube, KubeError
from agentark_operator.metrics.telemetry import Telemetry, serve
from agentark_operator.reconciler.context import Outcome
from agentark_operator.reconciler.reconciler import Reconciler
from agentark_operator.releases import released_key
from agentark_operator.settings import Settings
from agentark_operator.teachers.serving import TEACHER
from agentark_operator.workqueue import WorkQueue

_log = logging.getLogger(__name__)
_ASKING = ("uid", "generation", "labels", "annotations", "deletionTimestamp")
"""Metadata whose change asks for a pass. A change of the status alone is nearly always this operator's own."""
_GROUP, _VERSION = API_VERSION.split("/")
_WORKERS = 8
"""Resources worked on at once; each pass blocks a thread for its calls."""
_KINDS_S = 5.0
"""Between two looks whether our kinds are there, in seconds."""
_CHILDREN = {
    **{backend.kind: (backend.group, backend.version, backend.plural) for backend in BACKENDS.values()},
    "Pod": ("", "v1", "pods"),
    "Deployment": ("apps", "v1", "deployments"),
}
"""Kinds of objects that the operator makes, or that come of them, and whose changes ask for a pass."""


class _Written(NamedTuple):
    """What was last written to a resource."""

    uid: str
    status: dict[str, Any]
    version: str
    """That this made."""
    older: frozenset[str]
    """Versions known to be older, which the watch may still show."""


class Operator:
    """What has been seen, and what is done about it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._queue: WorkQueue[Key] = WorkQueue(most_s=60.0)
        self._resources = Resources()
        self._children = Children()
        self._written: dict[Key, _Written] = {}
        self._running: set[Key] = set()
        self._sharing: dict[str, set[Key]] = {}
        self._telemetry = Telemetry(prices=settings.prices, currency=settings.currency, budget=settings.budget_per_hour)
        self._listed = False
        """Whether everything that was there at the start is known."""

    async def run(self, stop: threading.Event) -> None:
        """Work until told to stop.

        Raises:
            InvalidInput: There is no cluster, or no address to listen on.
            BaseException: What ended Kopf or a worker; the process should end too, and be started again.
        """
        logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # it has a line for every event
        settings = self._settings
        kube = Kube(connections=_WORKERS)
        reconciler = Reconciler(
            kube, settings, self._resources, self._children, self._telemetry, running=lambda: len(self._running)
        )
        watched = asyncio.Event()
        probes = await serve(
            settings.address,
            metrics=self._metrics,
            alive=lambda: self._telemetry.alive(len(self._queue)),
            ready=watched.is_set,
        )
        with ThreadPoolExecutor(_WORKERS, "reconcile") as threads:
            workers = [asyncio.create_task(self._work(reconciler, threads)) for _ in range(_WORKERS)]
            watching = asyncio.create_task(self._watch(kube, stop, watched))
            try:
                await asyncio.wait([watching, *workers], return_when=asyncio.FIRST_COMPLETED)
            finally:
                stop.set()
                for worker in workers:
                    worker.cancel()
                results = await asyncio.gather(watching, *workers, return_exceptions=True)
                await probes.cleanup()
                kube.close()
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                raise result

    async def _watch(self, kube: Kube, stop: threading.Event, watched: asyncio.Event) -> None:
        """Follow the cluster, as soon as it knows our kinds: Kopf looks once which there are in named namespaces."""
        loop = asyncio.get_running_loop()
        while missing := await loop.run_in_executor(None, _unknown, kube):
            text = "the cluster does not know %s yet: install the chart agentark-crds, or kubectl apply -f crds/"
            _log.warning(text, ", ".join(missing))
            if await loop.run_in_executor(None, stop.wait, _KINDS_S):
                return
        await kopf.operator(
            registry=self._registry(stop),
            settings=_options(self._settings),
            clusterwide=not self._settings.namespaces,
            namespaces=self._settings.namespaces,
            standalone=True,
            stop_flag=stop,
            ready_flag=watched,
        )

    def _registry(self, stop: threading.Event) -> kopf.OperatorRegistry:
        async def ended(**_: Any) -> None:
            # Kopf took the signals over, and waits 5 s for its own task that waits for this. It makes its cleanup only
            # after all of its root tasks have ended, so this cuts nothing short.
            stop.set()

        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(_login)
        kopf.on.cleanup(registry=registry)(ended)
        for kind in KINDS:
            handler = self._handler(kind)
            kopf.on.event(_GROUP, _VERSION, f"{kind.lower()}s", id=kind.lower(), registry=registry)(handler)
        enabled = {"Pod", *self._settings.backends} | ({"Deployment"} if self._settings.teachers else set())
        for kind, place in ((kind, place) for kind, place in _CHILDREN.items() if kind in enabled):
            # Kopf hands out no event before all indexes are complete: no pass misses an attempt that is under way.
            # After that the events tell everything, and going through the index as well would cost as much again.
            keep, tell = self._child_handlers(kind)
            kopf.index(*place, id=f"{kind.lower()}-index", labels=_OURS, when=self._lists, registry=registry)(keep)
            kopf.on.event(*place, id=kind.lower(), labels=_OURS, registry=registry)(tell)
        return registry

    def _handler(self, kind: str) -> Callable[..., Awaitable[None]]:
        async def seen(event: kopf.RawEvent, **_: Any) -> None:
            self._listed = True
            body = event["object"]
            metadata = body["metadata"]
            key = Key(kind, metadata["namespace"], metadata["name"])
            if event["type"] == "DELETED":
                self._forget(key, metadata["uid"])
                return
            now = {"apiVersion": API_VERSION, "kind": kind, **_plain(body)}
            before = self._resources.saw(key, now)
            if before is None or any(before["metadata"].get(name) != now["metadata"].get(name) for name in _ASKING):
                self._queue.add(key)
                self._wake(key)
            elif _told(before.get("status") or {}) != _told(now["status"]):
                self._wake(key)

        return seen

    def _child_handlers(self, kind: str) -> tuple[Callable[..., Awaitable[None]], Callable[..., Awaitable[None]]]:
        version = "/".join(part for part in _CHILDREN[kind][:2] if part)

        def plain(body: Mapping[str, Any]) -> Body:
            return {"apiVersion": version, "kind": kind, **_plain(body)}

        async def keep(body: kopf.Body, **_: Any) -> None:
            self._children.saw(plain(body))

        async def tell(event: kopf.RawEvent, **_: Any) -> None:
            self._listed = True
            child = plain(event["object"])
            if event["type"] == "DELETED":
                self._children.lost(child)
            else:
                self._children.saw(child)
            for owner in self._owners(child):
                if self._resources.find(owner) is not None:
                    self._queue.add(owner)
            for other in self._sharing.pop(stage_key(child), ()) if kind != "Pod" else ():
                self._queue.add(other)

        return keep, tell

    def _lists(self, **_: Any) -> bool:
        return not self._listed

    def _owners(self, child: Body) -> set[Key]:
        """The resources that an object belongs to; of a teacher's pod, those that use the teacher."""
        metadata = child["metadata"]
        teacher = (metadata.get("labels") or {}).get(TEACHER)
        if not teacher:
            return {owner_key(child)}
        namespace = metadata["namespace"]
        if child["kind"] == "Pod":
            child = self._children.find("Deployment", namespace, f"teacher-{teacher}") or child
        references = child["metadata"].get("ownerReferences") or ()
        return {Key(reference["kind"], namespace, reference["name"]) for reference in references}

    def _forget(self, key: Key, uid: str) -> None:
        """Let go of a resource that is gone, unless it was made anew under the name."""
        known = self._resources.find(key)
        if known is None or known["metadata"]["uid"] != uid:
            return
        self._wake(key)  # while it is known by whom it was made
        self._resources.lost(key)
        self._written.pop(key, None)
        self._running.discard(key)
        self._queue.forget(key)

    def _wake(self, key: Key) -> None:
        """Look again at the resources that name this one, or that made it."""
        for other in self._resources.naming(key):
            self._queue.add(other)
        for other in self._resources.owners(key):
            self._queue.add(other)
        body = self._resources.find(key)
        if body is not None and (release := released_key(body)) is not None:
            self._queue.add(release)

    async def _work(self, reconciler: Reconciler, threads: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        while True:
            key = await self._queue.take()
            body = self._resources.find(key)
            if body is None or body["metadata"].get("deletionTimestamp"):
                self._queue.done(key)
                continue
            started = time.perf_counter()
            outcome = "Error"
            try:
                ended = await loop.run_in_executor(threads, self._pass, key, body, reconciler)
                outcome = "Later" if ended.later else "Done"
            except KubeError as error:
                _log.warning("%s %s/%s: %s; again in %.1f s", *key, error, self._queue.failed(key))
                continue
            except Exception:
                wait_s = self._queue.failed(key)
                _log.exception("%s %s/%s: the pass failed; again in %.1f s", *key, wait_s)
                continue
            finally:
                self._telemetry.passed(key.kind, outcome, time.perf_counter() - started)
            self._keep(key, body, ended)
            self._after(key, ended)
            if ended.gone:
                self._forget(key, body["metadata"]["uid"])

    def _after(self, key: Key, outcome: Outcome) -> None:
        runs = outcome.status.get("phase") == "Running"
        (self._running.add if runs else self._running.discard)(key)
        for stage in outcome.sharing:
            self._sharing.setdefault(stage, set()).add(key)
        if outcome.later:
            wait_s = self._queue.failed(key)
            _log.warning("%s %s/%s: %s; again in %.1f s", *key, outcome.later, wait_s)
            return
        self._queue.done(key)
        if outcome.due_s is not None:
            self._queue.add_later(key, max(0.05, outcome.due_s))

    def _metrics(self) -> bytes:
        return self._telemetry.render(self._resources.all(), self._children.pods(), len(self._queue))

    def _pass(self, key: Key, body: Body, reconciler: Reconciler) -> Outcome:
        # What the watch shows may be older than what was written: a pass that went by it would write twice.
        metadata, last = body["metadata"], self._written.get(key)
        if last is not None and last.uid == metadata["uid"]:
            if metadata["resourceVersion"] in last.older:
                metadata = {**metadata, "resourceVersion": last.version}
            body = {**body, "metadata": metadata, "status": last.status}
        return reconciler.reconcile(key, body)

    def _keep(self, key: Key, body: Body, outcome: Outcome) -> None:
        """Remember what a pass wrote, for as long as the watch may show what was before."""
        seen, last = body["metadata"]["resourceVersion"], self._written.get(key)
        version, older = (last.version, last.older) if last is not None else ("", frozenset[str]())
        if outcome.version:
            older = older | {version} if seen in older else frozenset({seen})
            version = outcome.version
        self._written[key] = _Written(body["metadata"]["uid"], outcome.status, version, older)


class _NoEssence(kopf.DiffBaseStorage):
    """Kopf compares what its own change handlers saw before; there are none, and the copies it makes cost the most."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence({})

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        return None


class _NoProgress(kopf.ProgressStorage):
    """Nor do they make progress that would have to be kept."""

    def fetch(self, **_: Any) -> kopf.ProgressRecord | None:
        return None

    def store(self, **_: Any) -> None:
        return None

    def purge(self, **_: Any) -> None:
        return None

    def touch(self, **_: Any) -> None:
        return None

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence


def _told(status: dict[str, Any]) -> tuple[Any, ...]:
    """What others that wait for a resource tell of it."""
    ready = (condition.get("reason") for condition in status.get("conditions") or () if condition["type"] == "Ready")
    return (status.get("phase"), *ready)


def _unknown(kube: Kube) -> list[str]:
    """Those of our kinds that the server does not know; none where it does not say, for Kopf waits for it too."""
    try:
        return [kind for kind in KINDS if not kube.serves(API_VERSION, kind)]
    except KubeError:
        return []


_OURS = {MANAGED_BY: MANAGER}


def _options(settings: Settings) -> kopf.OperatorSettings:
    options = kopf.OperatorSettings()
    options.posting.enabled = False
    options.peering.standalone = True
    options.scanning.disabled = bool(settings.namespaces)
    options.process.ultimate_exiting_timeout = None
    options.persistence.diffbase_storage = _NoEssence()
    options.persistence.progress_storage = _NoProgress()
    options.networking.request_timeout = 30.0
    # A worker for each object waits for its next event. After a start the first one is the operator's own status, which
    # takes its turn behind those of all other resources: to end the worker before and begin another costs more.
    # With a minute, a thousand live resources held 66 MiB more.
    options.queueing.idle_timeout = 20.0
    for group, version, plural in _CHILDREN.values():
        options.watching.label_selectors[group, version, plural] = f"{MANAGED_BY}={MANAGER}"
    return options


async def _login(**arguments: Any) -> kopf.ConnectionInfo | None:
    """As the client logs in, so that both see the same cluster as the same account."""
    return kopf.login_via_client(**arguments)


def _plain(body: Mapping[str, Any]) -> dict[str, Any]:
    """A copy without what only the API server needs."""
    metadata = {name: value for name, value in body["metadata"].items() if name != "managedFields"}
    return {"metadata": metadata, "spec": body.get("spec", {}), "status": body.get("status", {})}
