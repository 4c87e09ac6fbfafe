"""What has become of the pods that were watched, counted by the stage that they ran."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from tests.servers.stage_command import ATTEMPT_LABEL, STAGE_LABEL, stage_command


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two attempts at one stage that were alive at the same time."""

    key: str
    """Of the stage."""
    store: str
    pods: tuple[str, ...]
    """NAMESPACE/NAME and attempt of each pod that was alive, the new one last."""


class History:
    """Fed from one thread, read from any."""

    def __init__(self) -> None:
        self.commits: Counter[str] = Counter()
        self.completions: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.pods: Counter[str] = Counter()
        self.overlaps: list[Overlap] = []
        self._stage_of: dict[str, tuple[str, str]] = {}
        self._alive: defaultdict[tuple[str, str], dict[str, tuple[str, str]]] = defaultdict(dict)
        """By store and key: of each pod by uid, which attempt it belongs to, and its name to show."""
        self._ended: set[str] = set()

    @property
    def alive(self) -> int:
        """Pods that are there and have not ended."""
        return sum(len(found) for found in list(self._alive.values()))

    def see(self, pod: Mapping[str, Any], *, gone: bool) -> None:
        """Take in how a pod is now."""
        uid = pod["metadata"]["uid"]
        if uid not in self._stage_of:
            self._begin(uid, pod)
        phase = pod.get("status", {}).get("phase", "")
        if phase in ("Succeeded", "Failed") and uid not in self._ended:
            self._ended.add(uid)
            (self.completions if phase == "Succeeded" else self.failures)[self._stage_of[uid][1]] += 1
        if gone or phase in ("Succeeded", "Failed"):
            self._alive[self._stage_of[uid]].pop(uid, None)

    def retain(self, uids: Collection[str]) -> None:
        """Of the pods that were alive, only these are still there."""
        for found in self._alive.values():
            for uid in found.keys() - set(uids):
                del found[uid]

    def _begin(self, uid: str, pod: Mapping[str, Any]) -> None:
        metadata = pod["metadata"]
        command = stage_command(pod)
        key = metadata["labels"][STAGE_LABEL]
        # One key in two stores is two stages.
        stage = (command.store if command else metadata["namespace"], key)
        self._stage_of[uid] = stage
        self.pods[key] += 1
        owner = next((one["uid"] for one in metadata.get("ownerReferences") or () if one.get("controller")), uid)
        attempt = metadata["labels"].get(ATTEMPT_LABEL, "")
        alive = self._alive[stage]
        alive[uid] = (f"{owner}/{attempt}", f"{metadata['namespace']}/{metadata['name']} attempt {attempt}")
        if len({which for which, _ in alive.values()}) > 1:
            self.overlaps.append(Overlap(key, stage[0], tuple(name for _, name in alive.values())))
