"""A cache of what lies in S3: many resources that name the same data ask once."""

from collections.abc import Callable, Iterator
from pathlib import Path

from agentark.planning import Listing
from agentark.store import Entry
from agentark_operator.storage.stores import Cache, Place

FRESH_S = 5.0
"""Data that was replaced counts for runs that begin so many seconds later, or more."""


class ListingCache:
    """Entries and listings of data and models in S3, for a few seconds."""

    def __init__(self) -> None:
        self._stats: Cache[tuple[str, str, str], Entry] = Cache(4096, FRESH_S)
        self._entries: Cache[tuple[str, str, str], list[Entry]] = Cache(1024, FRESH_S)

    def at(self, place: Place) -> Callable[[str], Listing]:
        """Opens addresses at a place's server, with its credentials."""
        return lambda uri: _CachedListing(self, place, uri)

    def stat(self, place: Place, uri: str, path: str) -> Entry | None:
        """As `Store.stat`. What is not there is asked for each time, but for what is known to be a folder."""
        if self._entries.has((place.identity, uri, path)):
            return None
        return self._stats.get((place.identity, uri, path), lambda: place.open(uri).stat(path))

    def entries(self, place: Place, uri: str, prefix: str) -> list[Entry]:
        """As `Store.entries`."""
        entries = self._entries.get(
            (place.identity, uri, prefix), lambda: list(place.open(uri).entries(prefix)) or None
        )
        return entries or []


class _CachedListing:
    def __init__(self, listings: ListingCache, place: Place, uri: str) -> None:
        self._listings, self._place, self._uri = listings, place, uri

    def stat(self, path: str) -> Entry | None:
        return self._listings.stat(self._place, self._uri, path)

    def download(self, path: str, target: Path) -> None:
        self._place.open(self._uri).download(path, target)

    def entries(self, prefix: str) -> Iterator[Entry]:
        return iter(self._listings.entries(self._place, self._uri, prefix))
