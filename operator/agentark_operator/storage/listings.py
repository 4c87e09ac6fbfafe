"""A cache of what lies in S3: many resources that name the same data ask once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
        self._folders: Cache[tuple[str, str, str], list[Entry]] = Cache(1024, FRESH_S)

    def at(self, place: Place) -> Callable[[str], Listing]:
        """Opens addresses at a place's server, with its credentials."""
        return lambda uri: _CachedListing(place, uri, self._stats, self._folders)


@dataclass(frozen=True, slots=True)
class _CachedListing:
    place: Place
    uri: str
    stats: Cache[tuple[str, str, str], Entry]
    folders: Cache[tuple[str, str, str], list[Entry]]

    def stat(self, path: str) -> Entry | None:
        """As `Store.stat`. What is not there is asked for each time, but for what is known to be a folder."""
        key = (self.place.identity, self.uri, path)
        return None if self.folders.has(key) else self.stats.get(key, lambda: self.place.open(self.uri).stat(path))

    def download(self, path: str, target: Path) -> None:
        self.place.open(self.uri).download(path, target)

    def entries(self, prefix: str) -> Iterator[Entry]:
        key = (self.place.identity, self.uri, prefix)
        return iter(self.folders.get(key, lambda: list(self.place.open(self.uri).entries(prefix)) or None) or ())
