"""The running operator: Kopf's events fill the queue, workers take keys from it. The only module that knows Kopf."""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import kopf

from agentark.api import API_VERSION, KINDS
from agentark_operator.kube import Kube
from agentark_operator.queueing import WorkQueue
from agentark_operator.reconciling import Body, Outcome, reconcile
from agentark_operator.referring import references
from agentark_operator.settings import Settings
from agentark_operator.telemetry import Telemetry, serve

_log = logging.getLogger(__name__)
_ASKING = ("uid", "generation", "labels", "annotations", "deletionTimestamp")
"""Metadata whose change asks for a pass. A change of the status alone is nearly always this operator's own."""
_GROUP, _VERSION = API_VERSION.split("/")


class Key(NamedTuple):
    """A resource."""

    kind: str
    namespace: str
    name: str


class Operator:
    """What has been seen, and what is done about it.

    Args:
        settings: How to run.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._queue: WorkQueue[Key] = WorkQueue()
        self._seen: dict[Key, Body] = {}
        self._written: dict[Key, tuple[str, dict[str, Any]]] = {}
        self._telemetry = Telemetry()

    async def run(self, stop: threading.Event) -> None:
        """Work until told to stop.

        Raises:
            InvalidInput: There is no cluster, or no address to listen on.
            BaseException: What ended Kopf or a worker; the process should end too, and be started again.
        """
        options = kopf.OperatorSettings()
        options.posting.enabled = False
        options.peering.standalone = True
        options.scanning.disabled = bool(self._settings.namespaces)
        options.process.ultimate_exiting_timeout = None
        logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # it has a line for every event
        kube = Kube(connections=self._settings.workers)
        watched = asyncio.Event()
        probes = await serve(
            self._settings.address,
            metrics=self._metrics,
            alive=lambda: self._telemetry.alive(len(self._queue)),
            ready=watched.is_set,
        )
        with ThreadPoolExecutor(self._settings.workers, "reconcile") as threads:
            workers = [asyncio.create_task(self._work(kube, threads)) for _ in range(self._settings.workers)]
            watching = asyncio.create_task(
                kopf.operator(
                    registry=self._registry(),
                    settings=options,
                    clusterwide=not self._settings.namespaces,
                    namespaces=self._settings.namespaces,
                    standalone=True,
                    stop_flag=stop,
                    ready_flag=watched,
                )
            )
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

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(_login)
        for kind in KINDS:
            handler = self._handler(kind)
            kopf.on.event(_GROUP, _VERSION, f"{kind.lower()}s", id=kind.lower(), registry=registry)(handler)
        return registry

    def _handler(self, kind: str) -> Callable[..., Awaitable[None]]:
        async def seen(type: str | None, namespace: str, name: str, body: kopf.Body, **_: Any) -> None:
            key = Key(kind, namespace, name)
            if type == "DELETED":
                self._seen.pop(key, None)
                self._written.pop(key, None)
                self._queue.forget(key)
                self._wake(key)
                return
            before, now = self._seen.get(key), {"apiVersion": API_VERSION, "kind": kind, **_plain(body)}
            self._seen[key] = now
            if before is None or any(before["metadata"].get(one) != now["metadata"].get(one) for one in _ASKING):
                self._queue.add(key)
                self._wake(key)

        return seen

    def _wake(self, key: Key) -> None:
        """Look again at the resources that name this one."""
        name = f"{key.kind}/{key.name}"
        for other, body in self._seen.items():
            if other.namespace == key.namespace and name in references(body):
                self._queue.add(other)

    async def _work(self, kube: Kube, threads: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        while True:
            key = await self._queue.take()
            body = self._seen.get(key)
            if body is None or body["metadata"].get("deletionTimestamp"):
                self._queue.done(key)
                continue
            siblings = {
                f"{other.kind}/{other.name}": sibling
                for other, sibling in self._seen.items()
                if other.namespace == key.namespace and other != key
            }
            started = time.perf_counter()
            outcome = "Error"
            try:
                found = await loop.run_in_executor(threads, self._pass, key, body, siblings, kube)
                outcome = "Later" if found.later else "Done"
            except Exception:
                wait_s = self._queue.failed(key)
                _log.exception("%s %s/%s: the pass failed; again in %.1f s", *key, wait_s)
                continue
            finally:
                self._telemetry.passed(key.kind, outcome, time.perf_counter() - started)
            self._written[key] = (body["metadata"]["uid"], found.status)
            if found.later:
                wait_s = self._queue.failed(key)
                _log.warning("%s %s/%s: %s; again in %.1f s", *key, found.later, wait_s)
                continue
            self._queue.done(key)
            if not found.ended:
                self._queue.add_later(key, self._settings.resync_s)

    def _metrics(self) -> bytes:
        phases = (
            (key.kind, key.namespace, str((body.get("status") or {}).get("phase", "Unknown")))
            for key, body in self._seen.items()
        )
        return self._telemetry.render(phases, len(self._queue))

    def _pass(self, key: Key, body: Body, siblings: dict[str, Body], kube: Kube) -> Outcome:
        # What the watch shows may be older than what was written: a pass that went by it would write twice.
        uid, status = self._written.get(key, ("", {}))
        if uid == body["metadata"]["uid"]:
            body = {**body, "status": status}
        return reconcile(body, siblings, kube=kube, settings=self._settings)


async def _login(**arguments: Any) -> kopf.ConnectionInfo | None:
    """As the client logs in, so that both see the same cluster as the same account."""
    return kopf.login_via_client(**arguments)


def _plain(body: kopf.Body) -> dict[str, Any]:
    """A copy without what only the API server needs."""
    metadata = {name: value for name, value in body["metadata"].items() if name != "managedFields"}
    return {"metadata": metadata, "spec": body.get("spec", {}), "status": body.get("status", {})}
