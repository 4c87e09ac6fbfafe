"""Which resources name each other. Works on plain data: one that cannot be read spoils no other.

Kept as an index, since a pass over one resource must not cost more with each other one in its namespace.
"""

import json
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from agentark.api import API_VERSION, KINDS, Resource
from agentark.errors import InvalidInput

Body = dict[str, Any]

_KINDS = {"debateRef": "DebateRun", "prmRef": "PRMTraining"}


class Key(NamedTuple):
    """A resource or an object, apart from others that had its name before."""

    kind: str
    namespace: str
    name: str


class Resources:
    """All custom resources, as last seen. Methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._bodies: dict[Key, Body] = {}
        self._named: dict[Key, frozenset[Key]] = {}
        self._naming: dict[Key, set[Key]] = defaultdict(set)

    def saw(self, key: Key, body: Body) -> Body | None:
        """Keep a resource as it is; returns how it was."""
        with self._lock:
            before = self._bodies.get(key)
            self._bodies[key] = body
            if before is None or before["metadata"].get("generation") != body["metadata"].get("generation"):
                self._unlink(key)
                named = references(body) | _owners(body)
                self._named[key] = frozenset(Key(kind, key.namespace, name) for kind, name in named)
                for other in self._named[key]:
                    self._naming[other].add(key)
            return before

    def lost(self, key: Key) -> None:
        """Forget one that is gone."""
        with self._lock:
            self._bodies.pop(key, None)
            self._unlink(key)

    def find(self, key: Key) -> Body | None:
        """One resource; None if there is none."""
        with self._lock:
            return self._bodies.get(key)

    def all(self) -> list[tuple[Key, Body]]:
        """Every resource."""
        with self._lock:
            return list(self._bodies.items())

    def naming(self, key: Key) -> set[Key]:
        """The resources that name this one."""
        with self._lock:
            return set(self._naming.get(key, ()))

    def owners(self, key: Key) -> set[Key]:
        """The resources that made this one."""
        with self._lock:
            body = self._bodies.get(key)
            return {Key(kind, key.namespace, name) for kind, name in _owners(body)} if body else set()

    def related(self, key: Key) -> dict[str, Body]:
        """ "Kind/name" -> the other resources that count for the plan of one.

        These are the ones that it names or that made it, what they name in turn, and those that name it: a job that
        takes the debate's consensus for labels decides whether the debate needs gold answers.
        """
        with self._lock:
            keys = (self._reached(key) | self._naming.get(key, set())) - {key}
            return {f"{other.kind}/{other.name}": self._bodies[other] for other in keys if other in self._bodies}

    def missing(self, key: Key) -> list[str]:
        """What a resource names, directly or by another, that is not there; "Kind/name", sorted."""
        with self._lock:
            return sorted(f"{other.kind}/{other.name}" for other in self._reached(key) if other not in self._bodies)

    def _reached(self, key: Key) -> set[Key]:
        reached: set[Key] = set()
        ahead = set(self._named.get(key, ()))
        while ahead:
            other = ahead.pop()
            if other not in reached:
                reached.add(other)
                ahead |= self._named.get(other, frozenset())
        return reached

    def _unlink(self, key: Key) -> None:
        for other in self._named.pop(key, ()):
            self._naming[other].discard(key)
            if not self._naming[other]:
                del self._naming[other]


def parse_resource(body: Body) -> Resource:
    """The resource as a model.

    Raises:
        InvalidInput: If it is none, as when it was stored under another version of the definitions.
    """
    content = {name: body[name] for name in ("apiVersion", "kind", "metadata", "spec") if name in body}
    try:
        return KINDS[body["kind"]].model_validate_json(json.dumps(content))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"{place}: {first['msg']}") from None


def references(body: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Kind and name of every resource that a spec names."""
    return set(_references(body.get("spec")))


def _owners(body: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Kind and name of the resources that an embedded one was made by."""
    references = body["metadata"].get("ownerReferences") or ()
    return {(owner["kind"], owner["name"]) for owner in references if owner.get("apiVersion") == API_VERSION}


def _references(node: object) -> Iterator[tuple[str, str]]:
    if not isinstance(node, Mapping):
        return
    for field, value in node.items():
        if field in _KINDS and isinstance(value, Mapping) and isinstance(value.get("name"), str):
            yield _KINDS[field], value["name"]
        else:
            yield from _references(value)
