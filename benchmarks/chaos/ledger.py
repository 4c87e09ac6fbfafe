"""A player that waits for a store that is down, as a stage does, and keeps a ledger of what was finished."""

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

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

    @property
    def doubled(self) -> list[Completion]:
        """Completions of stages that were completed more than once."""
        times = Counter((one.store, one.key) for one in self.completed)
        return [one for one in self.completed if times[one.store, one.key] > 1]

    def _commit(self, pod: Pod, play: Play) -> None:
        command = stage_command(pod)
        assert command is not None, pod
        metadata = pod["metadata"]
        name = f"{metadata['namespace']}/{metadata['name']} {metadata['uid']}"
        while metadata["uid"] in self._decided and not self._stop.is_set():
            try:
                store = self._store(command)
                plan = self._plan(store, command.plan) if command.plan else None
                made = commit_result(store, command, plan=plan, metrics=play.metrics, outputs=play.outputs)
            except StoreError:
                self._stop.wait(0.5)  # it is down; a pod that is deleted meanwhile commits nothing
                continue
            self._history.commits[command.key] += 1
            self.completed.append(Completion(command.store, command.kind, command.key, name, made))
            return


def _controller(pod: Pod) -> str:
    owners: Iterable[dict[str, Any]] = pod["metadata"].get("ownerReferences") or ()
    return next((str(one["uid"]) for one in owners if one.get("controller")), str(pod["metadata"]["uid"]))
