"""The API server's audit log as rows: who asked for what, and what came of it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, slots=True)
class Request:
    """One request that the API server has answered."""

    user: str
    """E.g. `admin`, `system:serviceaccount:NAMESPACE:NAME`."""
    verb: str
    """As RBAC names it."""
    group: str
    """API group; empty for the core's."""
    resource: str
    """Plural; empty where the path is no resource's."""
    subresource: str
    namespace: str
    name: str
    code: int
    """HTTP status."""
    uri: str = ""

    @property
    def writes(self) -> bool:
        """Whether it changes something."""
        return self.verb in WRITES


@dataclass(frozen=True, slots=True)
class Audit:
    """An audit log that grows."""

    file: Path

    def mark(self) -> int:
        """A place in the log, to read on from."""
        return self.file.stat().st_size if self.file.exists() else 0

    def requests(self, *, since: int = 0) -> list[Request]:
        """What was answered since a mark, in order. A watch counts when it begins.

        The server writes the line just after the answer: give what is awaited a moment.
        """
        with self.file.open("rb") as log:
            log.seek(since)
            whole = log.read().rpartition(b"\n")[0]
        return list(_rows(json.loads(line) for line in whole.splitlines()))


def _rows(events: Iterable[dict[str, Any]]) -> Iterable[Request]:
    for event in events:
        # A request that streams is told of twice: where it starts and where it ends.
        if event["stage"] != ("ResponseStarted" if event["verb"] == "watch" else "ResponseComplete"):
            continue
        place = event.get("objectRef") or {}
        yield Request(
            user=event["user"].get("username", ""),
            verb=event["verb"],
            group=place.get("apiGroup", ""),
            resource=place.get("resource", ""),
            subresource=place.get("subresource", ""),
            namespace=place.get("namespace", ""),
            name=place.get("name", ""),
            code=event.get("responseStatus", {}).get("code", 0),
            uri=event["requestURI"],
        )
