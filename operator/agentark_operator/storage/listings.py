"""What lies in S3, as it was a moment ago: many resources that name the same data ask once."""

from collections.abc import Callable, Iterator
from pathlib import Path

from agentark.planning import Listing
from agentark.store import Entry
from agentark_operator.storage.stores import Place, Recent

FRESH_S = 5.0
"""Data that was replaced counts for runs that begin so many seconds later, or more."""


class Glances:
    """Looks at data and models in S3."""

    def __init__(self) -> None:
        self._stats: Recent[tuple[str, str, str], Entry] = Recent(4096, FRESH_S)
        self._entries: Recent[tuple[str, str, str], list[Entry]] = Recent(1024, FRESH_S)

    def at(self, place: Place) -> Callable[[str], Listing]:
        """Opens addresses at a place's server, with its credentials."""
        return lambda uri: _Glance(self, place, uri)

    def stat(self, place: Place, uri: str, path: str) -> Entry | None:
        """As `Store.stat`. What is not there is asked for each time, but for what is known to be a folder."""
        if self._entries.has((place.identity, uri, path)):
            return None
        return self._stats.get((place.identity, uri, path), lambda: place.open(uri).stat(path))

    def entries(self, place: Place, uri: str, prefix: str) -> list[Entry]:
        """As `Store.entries`."""
        found = self._entries.get((place.identity, uri, prefix), lambda: list(place.open(uri).entries(prefix)) or None)
        return found or []


class _Glance:
    def __init__(self, glances: Glances, place: Place, uri: str) -> None:
        self._glances, self._place, self._uri = glances, place, uri

    def stat(self, path: str) -> Entry | None:
        return self._glances.stat(self._place, self._uri, path)

    def download(self, path: str, target: Path) -> None:
        self._place.open(self._uri).download(path, target)

    def entries(self, prefix: str) -> Iterator[Entry]:
        return iter(self._glances.entries(self._place, self._uri, prefix))
