"""What the cluster has of objects that belong to custom resources, as the watches and our own writes show it.

Watches lag behind writes: what a write returned is kept at once, and an older sight of the same object changes nothing.
All methods may be called from any thread.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from agentark_operator.attempts.workload import KIND, NAME, REPLACES, STAGE, STORE, UID, attempt_number
from agentark_operator.backends import BACKENDS
from agentark_operator.informers.resources import Key

Object = dict[str, Any]
_MOST_TAKEN = 10_000
_BEGINNING_S = 60.0
"""An attempt of which nobody knows whether it was made keeps others from the stage for so long, in seconds."""


class Children:
    """Objects by the resource that they belong to."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._objects: dict[Key, Object] = {}
        self._by_owner: dict[str, set[Key]] = defaultdict(set)
        self._by_stage: dict[str, set[Key]] = defaultdict(set)
        self._by_name: dict[Key, set[Key]] = defaultdict(set)
        self._deleted: dict[str, int] = {}
        self._taken: dict[Key, str] = {}
        self._heard: dict[Key, float] = {}
        self._beginning: dict[tuple[str, str], tuple[str, float]] = {}

    def saw(self, child: Object) -> None:
        """Take an object as it is shown, unless something newer is known of it."""
        identity, metadata = _identity(child), child["metadata"]
        with self._lock:
            known = self._objects.get(identity)
            if self._deleted.get(metadata["uid"], -1) >= _version(child):
                return
            self._heard[identity] = self._clock()
            if known is not None and _version(known) >= _version(child):
                return
            if known is not None:
                self._unindex(identity, known)
            slim = {name: value for name, value in metadata.items() if name != "managedFields"}
            if former := self._former(identity, known, child):
                slim[REPLACES] = former
            self._objects[identity] = {**child, "metadata": slim}
            for index, key in self._places(child):
                index[key].add(identity)

    def lost(self, child: Object) -> None:
        """Forget an object that is gone."""
        identity = _identity(child)
        with self._lock:
            # Late sights of it may still come; they are few, so all uids of the last while are kept.
            self._deleted[child["metadata"]["uid"]] = _version(child)
            if len(self._deleted) > 20_000:
                for uid in list(self._deleted)[:10_000]:
                    del self._deleted[uid]
            known = self._objects.get(identity)
            if known is None or known["metadata"]["uid"] != child["metadata"]["uid"]:
                return
            # The last sight of one that is deleted at once says when, too; one with a grace period was seen in it.
            if _works(known):
                self._take(identity, known)
            del self._objects[identity]
            self._heard.pop(identity, None)
            self._unindex(identity, known)

    def _take(self, identity: Key, known: Object) -> None:
        self._taken[identity] = known["metadata"]["uid"]
        if len(self._taken) > _MOST_TAKEN:
            del self._taken[next(iter(self._taken))]

    def _former(self, identity: Key, known: Object | None, child: Object) -> str:
        """Uid of the pod of that name which ran and was gone without having been asked to end; empty for none."""
        metadata = child["metadata"]
        if known is not None and known["metadata"]["uid"] == metadata["uid"]:
            # Deleted at once, and kept by a finalizer.
            if _works(known) and metadata.get("deletionGracePeriodSeconds") == 0:
                self._take(identity, known)
            return str(known["metadata"].get(REPLACES, ""))
        if known is not None and _works(known):
            self._take(identity, known)
        return self._taken.pop(identity, "")

    def _unindex(self, identity: Key, known: Object) -> None:
        for index, key in self._places(known):
            index[key].discard(identity)
            if not index[key]:
                del index[key]

    def _places(self, child: Object) -> Iterator[tuple[dict[Any, set[Key]], Any]]:
        """Where an object is to be found."""
        yield from ((self._by_owner, uid) for uid in _owners(child))
        if key := stage_key(child):
            yield self._by_stage, key
        if owner_uid(child):
            yield self._by_name, owner_key(child)

    def of(self, uid: str) -> list[Object]:
        """Everything that belongs to the resource with this uid, pods and shared teachers included."""
        with self._lock:
            return [self._objects[identity] for identity in sorted(self._by_owner.get(uid, ()))]

    def of_former(self, key: Key, uid: str) -> list[Object]:
        """What belongs to resources that had a name before.

        The garbage collector misses a resource that is deleted and made anew while it does not watch.

        Args:
            key: The name.
            uid: Of the resource that has the name now.
        """
        with self._lock:
            children = [self._objects[identity] for identity in sorted(self._by_name.get(key, ()))]
        return [child for child in children if owner_uid(child) != uid]

    def silent(self, uid: str, seconds: float) -> list[Object]:
        """What belongs to a resource, may still run something, and was not heard of for so long.

        A watch that begins anew after a gap does not tell what vanished in it; so somebody has to ask.
        """
        with self._lock:
            return self._silent(self._by_owner.get(uid, ()), seconds)

    def silent_at(self, key: str, seconds: float) -> list[Object]:
        """The same for whatever works on a stage."""
        with self._lock:
            return self._silent(self._by_stage.get(key, ()), seconds)

    def _silent(self, among: Collection[Key], seconds: float) -> list[Object]:
        before = self._clock() - seconds
        silent = (identity for identity in sorted(among) if self._heard.get(identity, 0.0) < before)
        return [self._objects[identity] for identity in silent if not _ended(self._objects[identity])]

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """One object; None if there is none."""
        with self._lock:
            return self._objects.get(Key(kind, namespace, name))

    def pods(self) -> list[Object]:
        """Every pod."""
        with self._lock:
            return [child for identity, child in self._objects.items() if identity.kind == "Pod"]

    def labelled(self, kind: str, namespace: str, label: str, value: str) -> list[Object]:
        """Objects of a kind in a namespace that carry a label."""
        with self._lock:
            return [
                child
                for identity, child in self._objects.items()
                if identity.kind == kind
                and identity.namespace == namespace
                and (child["metadata"].get("labels") or {}).get(label) == value
            ]

    @contextmanager
    def beginning(self, key: str, store: str, uid: str) -> Iterator[str]:
        """Begin an attempt at a stage, unless another resource's pods work on the same one; gives that one's name.

        Two resources may ask for an equal stage in one store at once; the second finds it there when the first is done.

        Args:
            key: Of the stage.
            store: Where its result goes.
            uid: Of the resource that wants to begin.
        """
        with self._lock:
            name = self.worked_on(key, store, uid)
            if not name:
                self._beginning[key, store] = uid, self._clock() + _BEGINNING_S
        yield name
        # Not where that failed: the server may have made the object, and its answer was lost.
        if not name:
            with self._lock:
                self._beginning.pop((key, store), None)

    def worked_on(self, key: str, store: str, uid: str) -> str:
        """The other resource whose pods work on a stage; empty for none. Arguments as `beginning`."""
        with self._lock:
            claimer, until = self._beginning.get((key, store), (uid, 0.0))
            if claimer != uid and self._clock() < until:
                return "another resource"
            for identity in self._by_stage.get(key, ()):
                child = self._objects[identity]
                if owner_uid(child) != uid and not _ended(child) and self._store_of(child) in (store, ""):
                    owner = owner_key(child)
                    return f"{owner.kind} {owner.namespace}/{owner.name}"
        return ""

    def _store_of(self, item: Object) -> str:
        """The store that an attempt writes to; empty for a pod whose attempt's object is gone."""
        if item["kind"] != "Pod":
            return _annotation(item, STORE)
        attempt = owner_uid(item), attempt_number(item)
        others = (self._objects[identity] for identity in self._by_stage.get(stage_key(item), ()))
        stores = (_annotation(child, STORE) for child in others if (owner_uid(child), attempt_number(child)) == attempt)
        return next((store for store in stores if store), "")


def owner_uid(child: Mapping[str, Any]) -> str:
    """Uid of the custom resource that an object or pod belongs to; empty for none."""
    return str((child["metadata"].get("labels") or {}).get(UID, ""))


def _owners(child: Mapping[str, Any]) -> set[str]:
    """Uids of the resources that an object belongs to: of one, but for a teacher, which several may share."""
    if child["kind"] == "Deployment":
        return {reference["uid"] for reference in child["metadata"].get("ownerReferences") or ()}
    return {owner_uid(child)} - {""}


def owner_key(child: Mapping[str, Any]) -> Key:
    """Kind, namespace and name of that resource."""
    labels = child["metadata"].get("labels") or {}
    return Key(labels.get(KIND, ""), child["metadata"].get("namespace", ""), labels.get(NAME, ""))


def stage_key(child: Mapping[str, Any]) -> str:
    """Key of the stage that an object or pod works on; empty for none."""
    return str((child["metadata"].get("labels") or {}).get(STAGE, ""))


def alive(pods: Iterable[Mapping[str, Any]]) -> int:
    """Pods that may still run something."""
    return sum((pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed") for pod in pods)


def _ended(child: Mapping[str, Any]) -> bool:
    if child["kind"] == "Pod":
        return not alive([child])
    return child["kind"] in BACKENDS and BACKENDS[child["kind"]].over(child)


def _works(child: Object) -> bool:
    """Whether it is a pod that runs and was not asked to end, as far as is known."""
    phase = (child.get("status") or {}).get("phase")
    return bool(child["kind"] == "Pod" and phase == "Running" and "deletionTimestamp" not in child["metadata"])


def _annotation(child: Mapping[str, Any], name: str) -> str:
    return str((child["metadata"].get("annotations") or {}).get(name, ""))


def _identity(child: Mapping[str, Any]) -> Key:
    return Key(child["kind"], child["metadata"].get("namespace", ""), child["metadata"]["name"])


def _version(child: Mapping[str, Any]) -> int:
    # Comparable as numbers by the API's own contract, within one kind.
    return int(child["metadata"].get("resourceVersion") or 0)
