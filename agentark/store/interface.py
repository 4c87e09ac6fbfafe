"""What every artifact store offers, whatever keeps the bytes.

A store maps paths to immutable-feeling blobs. It must not know what a stage, a run or a model is: those live in the
modules beside this one and use nothing but this protocol, so a laptop's folder and a bucket behave the same.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from agentark.errors import InvalidInput

RESERVED = ".store"
"""First path component that the stores keep for themselves (temporary files, probes); never listed."""


class Patience(NamedTuple):
    """How long a server is waited for before an operation fails."""

    connect_s: float = 5.0
    """For a connection, at each try."""
    read_s: float = 60.0
    """For the next bytes of an answer, at each try."""
    tries: int = 5
    """How often a request is made."""


class Entry(NamedTuple):
    """One stored object."""

    path: str
    """Path inside the store, '/'-separated."""
    size: int
    """Length in bytes."""
    etag: str
    """Opaque token that changes when the content is replaced."""


class Store(Protocol):
    """Blobs under '/'-separated relative paths; every method is safe to call from many threads.

    A path names an object or a folder of objects, never both. All methods raise InvalidInput for a malformed path
    and StoreError when the store cannot be reached, refuses, or is full.
    """

    @property
    def uri(self) -> str:
        """Address with which `open_store` finds this store again (without endpoint and credentials)."""
        ...

    def read(self, path: str) -> bytes:
        """Return the whole content.

        Raises:
            NotFound: If no object has this path.
        """
        ...

    def write(self, path: str, data: bytes) -> None:
        """Put `data` there, replacing what was there; readers see the old or the new content, nothing between."""
        ...

    def create(self, path: str, data: bytes) -> bool:
        """Put `data` there only if nothing is there; of racing callers exactly one gets True.

        After a cut connection the outcome of a first try can be unknown; then equal stored bytes count as one's own.
        So put something unique into `data` where that matters.
        """
        ...

    def upload(self, path: str, source: Path) -> None:
        """Like `write`, from a local file, in bounded memory."""
        ...

    def download(self, path: str, target: Path) -> None:
        """Copy an object into a local file in bounded memory; `target` appears whole or not at all.

        Raises:
            NotFound: If no object has this path.
        """
        ...

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Yield every object below the folder `prefix` ("" = all), at any depth, sorted by path."""
        ...

    def stat(self, path: str) -> Entry | None:
        """Describe the object at `path`; None if there is none."""
        ...

    def delete(self, prefix: str) -> int:
        """Delete the object at `prefix` and everything below the folder `prefix`; return how many went."""
        ...


def checked(path: str) -> str:
    """Return `path` if it may name an object.

    Raises:
        InvalidInput: If it is empty, absolute, has empty, '.' or '..' components, backslashes or control
            characters, cannot be encoded, or lies in the part that stores keep for themselves.
    """
    parts = path.split("/")
    if not path or any(part in ("", ".", "..") for part in parts):
        raise InvalidInput(f"store path {path!r}: must be relative, '/'-separated, without empty, '.' or '..' parts")
    # SeaweedFS takes '\' for '/'; XML listings cannot hold control characters.
    if any(char == "\\" or ord(char) < 0x20 or ord(char) == 0x7F or 0xD800 <= ord(char) <= 0xDFFF for char in path):
        raise InvalidInput(f"store path {path!r}: backslashes, control characters and lone surrogates are not allowed")
    if parts[0] == RESERVED:
        raise InvalidInput(f"store path {path!r}: {RESERVED!r} is kept for the store itself, choose another name")
    return path


def checked_folder(prefix: str) -> str:
    """Return `prefix` without its trailing '/' if it may name a folder; "" is the whole store.

    Raises:
        InvalidInput: As `checked`.
    """
    folder = prefix.removesuffix("/")
    return checked(folder) if folder else ""
