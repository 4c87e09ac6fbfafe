"""A player that waits for a store that is down, as a stage does, and keeps a ledger of what was finished."""

import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import urllib3

from agentark.errors import StoreError
from benchmarks.chaos.cast import fate, fates_of, seconds
from tests.servers.player import Play, Player, Pod
from tests.servers.stage_command import ATTEMPT_LABEL, STAGE_LABEL, rank, stage_command
from tests.servers.stage_results import commit_result


@dataclass(frozen=True, slots=True)
class Completion:
    """A pod that came to the end of its stage's work."""

    store: str
    kind: str
    key: str
    pod: str
    """Namespace, name, attempt and uid."""
    made: bool
    """Whether its result is the stage's; False where there was one."""
    at_s: float
    """When, by the monotonic clock."""


class Acting:
    """Decides over pods as their manifests say: one exit code for all pods of an attempt."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tried: Counter[str] = Counter()
        self._codes: dict[str, int] = {}

    def __call__(self, pod: Pod) -> Play:
        """What becomes of a pod."""
        labels = pod["metadata"]["labels"]
        key = labels[STAGE_LABEL]
        attempt = f"{key}/{_controller(pod)}/{labels.get(ATTEMPT_LABEL)}"
        with self._lock:
            if attempt not in self._codes:
                self._codes[attempt] = fate(fates_of(pod), labels["agentark.dev/stage-kind"], self._tried[key])
                self._tried[key] += 1
        code = self._codes[attempt]
        if code and rank(pod):
            return Play(exit_code=None)  # it waits for the others until it is deleted
        return Play(exit_code=code, message="as its manifest says" if code else "", delay_s=seconds(key))


class Ledger(Player):
    """Plays pods; see `Player`."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, act=Acting(), **named)
        self.completed: list[Completion] = []
        self._began: dict[str, float] = {}

    @property
    def doubled(self) -> list[Completion]:
        """Completions of stages that were completed more than once."""
        times = Counter((completion.store, completion.key) for completion in self.completed)
        return [completion for completion in self.completed if times[completion.store, completion.key] > 1]

    def _decide(self, pod: Pod) -> None:
        self._began.setdefault(pod["metadata"]["uid"], time.monotonic())
        super()._decide(pod)

    def _finds_result(self, store: str, key: str, pod: Pod) -> bool:
        """Whether there was a result when it began: a stage looks for one first, and has nothing to do then.

        A pod of a training that was evicted as it had just ended is made anew by the Training Operator.
        """
        began_s = self._began[pod["metadata"]["uid"]]
        return any(
            (completion.store, completion.key) == (store, key) and completion.at_s < began_s
            for completion in self.completed
        )

    def _commit(self, pod: Pod, play: Play) -> None:
        command = stage_command(pod)
        assert command is not None, pod
        if self._finds_result(command.store, command.key, pod):
            return
        metadata = pod["metadata"]
        name = f"{metadata['namespace']}/{metadata['name']} {metadata['uid']}"
        while metadata["uid"] in self._decided and not self._stop.is_set():
            if not self._met(pod):
                self._stop.wait(0.2)
                continue
            try:
                store = self._store(command)
                plan = self._plan(store, command.plan) if command.plan else None
                created = commit_result(store, command, plan=plan, metrics=play.metrics, outputs=play.outputs)
            except StoreError:
                self._stop.wait(0.5)  # it is down; a pod that is deleted meanwhile commits nothing
                continue
            self._history.commits[command.key] += 1
            done = Completion(command.store, command.kind, command.key, name, created, time.monotonic())
            self.completed.append(done)
            return

    def _met(self, pod: Pod) -> bool:
        """Whether the pods of a training find each other: by the Service that is to give them names."""
        name = pod["spec"].get("subdomain")
        if not name:
            return True
        try:
            path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/services/{name}"
            return self._client.request("GET", path).status == 200
        except (urllib3.exceptions.HTTPError, OSError, ValueError):
            return False


def _controller(pod: Pod) -> str:
    owners: Iterable[dict[str, Any]] = pod["metadata"].get("ownerReferences") or ()
    return next((str(owner["uid"]) for owner in owners if owner.get("controller")), str(pod["metadata"]["uid"]))
