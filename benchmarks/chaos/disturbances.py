"""What is done to the operator's surroundings, and when."""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import urllib3

from benchmarks.chaos.bucket import Bucket
from tests.operator.running import Bench
from tests.servers.faults import Front
from tests.servers.playground import Playground

Body = dict[str, Any]
Moment = tuple[float, str, Callable[[], None]]
"""Seconds after the start, what it is called, what is done."""
OURS = "app.kubernetes.io/managed-by=agentark-operator"
_PLACES = {
    "pod": ("/api/v1 pods",),
    "child": ("/apis/batch/v1 jobs", "/apis/kubeflow.org/v1 pytorchjobs"),
    "embedded": ("/apis/agentark.dev/v1alpha1 debateruns", "/apis/agentark.dev/v1alpha1 prmtrainings"),
}


@dataclass(frozen=True, slots=True)
class Amount:
    """How much is done."""

    kills: int = 0
    restarts: int = 0
    """Of the API server; every second one is killed."""
    store_down_s: float = 0.0
    faults: float = 0.0
    """Part of the operator's API calls that fail, and of its watches that are cut."""
    removals: int = 0
    """Children deleted by hand, pods evicted or deleted."""

    @property
    def seconds(self) -> float:
        """About how long it takes."""
        return max(3.4 * self.kills, 12.0 * self.restarts, 1.5 * self.store_down_s)


@dataclass
class Disturbances:
    """Does it; all methods belong to the main thread."""

    playground: Playground
    bench: Bench
    bucket: Bucket
    front: Front
    draw: random.Random
    counts: Counter[str] = field(default_factory=Counter)
    _owed: int = 0

    def repay(self) -> None:
        """Remove something now, if there was nothing to remove when it should have been."""
        if self._owed:
            self._owed -= 1
            self._remove()

    def moments(self, amount: Amount) -> list[Moment]:
        """All that is to be done, in order."""
        draw, whole_s = self.draw, amount.seconds
        planned: list[Moment] = []
        for number in range(amount.restarts):
            # Spread, else two of them would be one.
            at = whole_s * (number + draw.uniform(0.2, 0.5)) / amount.restarts
            planned.append((at, "API server restarted", lambda kill=number % 2 == 0: self._restart(kill)))
        if amount.store_down_s:
            at = draw.uniform(0.25, 0.5) * whole_s
            planned.append((at, "store stopped", self.bucket.stop))
            planned.append((at + amount.store_down_s, "store started", self.bucket.start))
        planned += [(draw.uniform(0, whole_s), "", self._remove) for _ in range(amount.removals)]
        if amount.faults:
            planned.append((0.0, "faults", lambda: self.front.set(share=amount.faults, cut=0.5, delay_most_s=0.1)))
        return sorted(planned, key=lambda moment: moment[0])

    def _restart(self, kill: bool) -> None:
        self.counts["API server " + ("killed" if kill else "restarted")] += 1
        self.playground.restart(down_s=self.draw.uniform(0.0, 3.0), kill=kill)

    def _remove(self) -> None:
        """A child or what a job embeds is deleted, or a pod is deleted, evicted, or taken by its node."""
        way = self.draw.choice(("child", "child", "embedded", "pod", "pod", "evicted", "evicted", "node", "node"))
        try:
            candidates = self._candidates(way if way in _PLACES else "pod")
            if not candidates:
                self._owed += 1
                return
            path = self.draw.choice(candidates)
            do = {"pod": self._delete, "evicted": self._evict, "node": self._take}.get(way, self._delete_child)
            answer = do(path)
        except (urllib3.exceptions.HTTPError, OSError, ValueError):
            self._owed += 1  # the server is down
            return
        self.counts[f"{way} removed" if answer < 300 else f"{way}: {answer}"] += 1

    def _candidates(self, what: str) -> list[str]:
        """Paths of objects that may still do something; also of a few that have ended."""
        candidates = []
        for place in _PLACES[what]:
            api, plural = place.split()
            folder = f"{api}/namespaces/{self.bench.namespace}/{plural}"
            listed = self.bench.server.request("GET", f"{folder}?labelSelector={OURS}").body.get("items") or ()
            candidates += [
                f"{folder}/{item['metadata']['name']}" for item in listed if _lives(item) or self.draw.random() < 0.1
            ]
        return candidates

    def _delete_child(self, path: str) -> int:
        options = {"propagationPolicy": self.draw.choice(("Background", "Foreground"))}
        return self.bench.server.request("DELETE", path, options).status

    def _delete(self, path: str) -> int:
        options = {"gracePeriodSeconds": 0} if self.draw.random() < 0.3 else {}
        return self.bench.server.request("DELETE", path, options).status

    def _evict(self, path: str) -> int:
        metadata = {"name": path.rsplit("/", 1)[1], "namespace": self.bench.namespace}
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
        return self.bench.server.request("POST", f"{path}/eviction", eviction).status

    def _take(self, path: str) -> int:
        """As a kubelet does whose node runs out of memory."""
        pod = self.bench.server.request("GET", path).body
        if pod.get("status", {}).get("phase") != "Running":
            return 404
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        told = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "TerminationByKubelet",
            "lastTransitionTime": now,
        }
        states = [
            {
                **container,
                "ready": False,
                "state": {"terminated": {"exitCode": 137, "reason": "Error", "finishedAt": now}},
            }
            for container in pod["status"].get("containerStatuses") or ()
        ]
        status = {
            "phase": "Failed",
            "reason": "Evicted",
            "message": "The node was low on resource: memory.",
            "conditions": [*(pod["status"].get("conditions") or ()), told],
            "containerStatuses": states,
        }
        change = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
        form = "application/merge-patch+json"
        return self.bench.server.request("PATCH", f"{path}/status", change, form=form).status


def _lives(body: Body) -> bool:
    status = body.get("status") or {}
    conditions = {condition["type"] for condition in status.get("conditions") or () if condition["status"] == "True"}
    return status.get("phase") not in ("Succeeded", "Failed") and not conditions & {"Complete", "Succeeded", "Failed"}
