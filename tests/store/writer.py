"""A process that writes to a store without end, so that a test can kill it at any moment.

Each object starts with the SHA-256 of the rest of it: whatever is readable shows whether it is whole.
"""

import hashlib
import os
import sys
from itertools import count
from pathlib import Path

from agentark.store import open_store


def sealed(size: int) -> bytes:
    """Return random bytes that follow their own digest."""
    rest = os.urandom(size)
    return hashlib.sha256(rest).digest() + rest


def is_whole(data: bytes) -> bool:
    """Say whether sealed bytes are complete."""
    return hashlib.sha256(data[32:]).digest() == data[:32]


def main(uri: str, endpoint: str, scratch: Path) -> None:
    """Write, create and upload for ever; print a line after each round."""
    store = open_store(uri, endpoint=endpoint)
    source = scratch / "source"
    for number in count(os.getpid() * 1000):
        store.write("object", sealed(3_000_000))
        store.create(f"created/{number}", sealed(1_000_000))
        source.write_bytes(sealed(20_000_000))
        store.upload("file", source)
        print(number, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
