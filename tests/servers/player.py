"""Plays the containers of the operator's worker pods: commits what a stage would, then ends the pod as it is told.

    with Player(playground.plane.as_user("player"), endpoint=minio.endpoint) as player:
        player.act = lambda pod: Play(exit_code=75) if ... else Play()

A pod is decided over once, when it runs. It is played from threads of the player's own, so `act` must not block.
"""

import functools
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self

import urllib3

from agentark.planning import Plan
from agentark.store import Store, open_store
from tests.servers import kwok
from tests.servers.history import History, Overlap
from tests.servers.kubernetes import ApiServer
from tests.servers.process import ServerFailed
from tests.servers.s3 import ACCESS_KEY, SECRET_KEY
from tests.servers.stage_command import STAGE_LABEL, StageCommand, rank, stage_command
from tests.servers.stage_results import commit_result
from tests.servers.timing import Timetable
from tests.servers.watching import Watch

Pod = dict[str, Any]
_WORKERS = 8
_PATIENCE_S = 120.0  # with an API server that is down


@dataclass(frozen=True, slots=True)
class Play:
    """What becomes of a pod that runs."""

    exit_code: int | None = 0
    """Of its containers; None: it runs on until it is deleted, or until `Player.revisit`."""
    message: str = ""
    """Termination message."""
    reason: str = ""
    """Of the end, e.g. OOMKilled; Completed or Error by default."""
    delay_s: float = 0.0
    """How long it runs."""
    commit: bool = True
    """Whether a good end comes with a stage manifest, from the pod of rank 0."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """Of that manifest, in place of made-up ones."""
    outputs: Mapping[str, bytes] = field(default_factory=dict)
    """Contents of its outputs by name, in place of made-up ones."""


def succeed(pod: Pod) -> Play:
    """Every pod works, at once."""
    return Play()


class Player:
    """Plays pods while its context is open; `act` may be set to another at any time and holds for pods to come."""

    def __init__(
        self,
        server: ApiServer,
        *,
        endpoint: str = "",
        access_key: str = ACCESS_KEY,
        secret_key: str = SECRET_KEY,
        namespace: str = "",
        act: Callable[[Pod], Play] = succeed,
    ) -> None:
        """Prepare it.

        Args:
            server: The API server; take a user of the player's own, so that the audit log tells it from others.
            endpoint: Of the S3 server, where a container's environment names none.
            access_key: To the stores.
            secret_key: To the stores.
            namespace: The only one to play in; empty for all.
            act: Decides over each pod.
        """
        self.act = act
        self.errors: list[BaseException] = []
        """What went wrong in here; raised when the context ends."""
        self._endpoint, self._keys = endpoint, (access_key, secret_key)
        self._history = History()
        self._lock = threading.Lock()
        self._decided: dict[str, Pod] = {}
        """Pods that are decided over, by uid, while they are there."""
        self._stores: dict[tuple[str, str], Store] = {}
        self._plans: dict[tuple[str, str], Plan] = {}
        self._server = server
        self._path = (f"/api/v1/namespaces/{namespace}" if namespace else "/api/v1") + "/pods"
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        # A pool of its own: the given one keeps a single connection.
        self._pool = urllib3.PoolManager(
            ca_certs=str(self._server.authority), maxsize=_WORKERS + 1, timeout=30.0, retries=False
        )
        self._client = ApiServer(self._server.url, self._server.authority, self._pool, self._server.token)
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="player")
        self._timetable = Timetable(self._workers, self._failed)
        self._watch = Watch(self._client, self._path, STAGE_LABEL, self._see, self._replaced)
        self._watcher = threading.Thread(target=self._follow, name="player-watch", daemon=True)
        self._watcher.start()
        return self

    def __exit__(self, kind: object, exception: object, trace: object) -> None:
        self._stop.set()
        self._watch.stop()
        self._watcher.join()
        self._timetable.close()
        self._workers.shutdown(cancel_futures=True)
        self._pool.clear()
        if self.errors and exception is None:
            raise ServerFailed(f"the player failed {len(self.errors)} times, first: {self.errors[0]!r}")

    @property
    def commits(self) -> Counter[str]:
        """How often a commit was tried, by stage key. More than 1: a stage was run again."""
        return self._history.commits

    @property
    def completions(self) -> Counter[str]:
        """How many pods ran to a good end, by stage key; each pod of a workload counts."""
        return self._history.completions

    @property
    def failures(self) -> Counter[str]:
        """How many pods failed, by stage key."""
        return self._history.failures

    @property
    def pods(self) -> Counter[str]:
        """How many pods there ever were, by stage key."""
        return self._history.pods

    @property
    def overlaps(self) -> list[Overlap]:
        """Where pods of two attempts at one stage of one store were alive at the same time."""
        return self._history.overlaps

    @property
    def alive(self) -> int:
        """Pods that are there and have not ended."""
        return self._history.alive

    def revisit(self) -> None:
        """Decide anew over pods that run: those to which `Play(exit_code=None)` was given, or a delay not yet over."""
        with self._lock:
            found = list(self._decided.values())
        for pod in found:
            self._timetable.cancel(pod["metadata"]["uid"])
            self._decide(pod)

    def _follow(self) -> None:
        try:
            self._watch.run()
        except BaseException as error:
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        self.errors.append(error)

    def _replaced(self, pods: list[Pod]) -> None:
        """All pods there are, after a watch was cut: what is not among them has gone meanwhile."""
        there = {pod["metadata"]["uid"] for pod in pods}
        self._history.retain(there)
        with self._lock:
            for uid in self._decided.keys() - there:
                del self._decided[uid]
        for pod in pods:
            self._see("MODIFIED", pod)

    def _see(self, event: str, pod: Pod) -> None:
        uid = pod["metadata"]["uid"]
        self._history.see(pod, gone=event == "DELETED")
        runs = pod.get("status", {}).get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
        with self._lock:
            if not runs or event == "DELETED":
                self._decided.pop(uid, None)
                self._timetable.cancel(uid)
                return
            if uid in self._decided:
                return
            self._decided[uid] = pod
        self._decide(pod)

    def _decide(self, pod: Pod) -> None:
        try:
            play = self.act(pod)
        except Exception as error:
            self._failed(error)
            return
        if play.exit_code is not None:
            self._timetable.at(play.delay_s, pod["metadata"]["uid"], functools.partial(self._end, pod, play))

    def _end(self, pod: Pod, play: Play) -> None:
        if play.exit_code == 0 and play.commit and rank(pod) == 0:
            self._commit(pod, play)
        told = {kwok.EXIT: str(play.exit_code), kwok.REASON: play.reason, kwok.MESSAGE: play.message}
        annotations = {name: value for name, value in told.items() if value}
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        # With the uid: another pod of the same name, as a training's restart makes, must not get this one's end.
        change = {"metadata": {"uid": metadata["uid"], "annotations": annotations}}
        deadline = time.monotonic() + _PATIENCE_S
        while not self._stop.is_set():
            try:
                answer = self._client.request("PATCH", path, change, form="application/merge-patch+json")
            except (urllib3.exceptions.HTTPError, ValueError):
                answer = None
            if answer is not None and (answer.status in (200, 404) or "uid" in answer.message.lower()):
                return
            if time.monotonic() > deadline:
                raise ServerFailed(f"{path} cannot be ended: {answer.message if answer else 'no answer'}")
            self._stop.wait(0.2)

    def _commit(self, pod: Pod, play: Play) -> None:
        command = stage_command(pod)
        if command is None:
            raise ServerFailed(f"pod {pod['metadata']['name']} has no container that runs a stage")
        self._history.commits[command.key] += 1
        store = self._store(command)
        plan = self._plan(store, command.plan) if command.plan else None
        commit_result(store, command, plan=plan, metrics=play.metrics, outputs=play.outputs)

    def _store(self, command: StageCommand) -> Store:
        place = (command.store, command.endpoint or self._endpoint)
        with self._lock:
            if place not in self._stores:
                uri, endpoint = place
                access, secret = self._keys
                self._stores[place] = open_store(
                    uri, endpoint=endpoint, region="us-east-1", access_key=access, secret_key=secret
                )
            return self._stores[place]

    def _plan(self, store: Store, path: str) -> Plan:
        # A plan never changes, and all stages of a run have the same.
        place = (store.uri, path)
        if (known := self._plans.get(place)) is None:
            known = self._plans[place] = Plan.model_validate_json(store.read(path))
        return known
