"""Digests of local files and folders, remembered between runs so that a large data set is hashed once.

The memory is one small JSON file in the user's cache folder. It only saves time: when it is lost, damaged or cannot
be written, digests are computed again.
"""

import contextlib
import hashlib
import json
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from agentark.errors import InvalidInput

_log = logging.getLogger(__name__)
_SMALL = 1 << 20
"""Files below this many bytes are hashed faster than they are looked up and remembered."""
_ENTRIES = 4096
_SETTLED_S = 2.0
"""A file changed more recently than this may change again without a change of its time stamp."""


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's content, 64 hex digits.

    A digest of a large file is remembered by path, size and times of change, and found again across runs.

    Raises:
        InvalidInput: If the file does not exist or cannot be read.
    """
    try:
        before = path.stat()
        if before.st_size < _SMALL:
            return hash_file(path)
        name = _fingerprint(path, before)
        if known := _remembered().get(name):
            return known
        digest = hash_file(path)
        unchanged = _fingerprint(path, path.stat()) == name
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror}") from error
    if unchanged and time.time() - max(before.st_mtime, before.st_ctime) > _SETTLED_S:
        _remember(name, digest)
    return digest


def remembered_digest(name: str, compute: Callable[[], str]) -> str:
    """Return a digest that takes long to compute, remembered across runs under a name that says what it is of.

    Args:
        name: Changes whenever the content does.
        compute: Gives the digest.
    """
    name = f"remote:{name}"
    if known := _remembered().get(name):
        return known
    digest = compute()
    _remember(name, digest)
    return digest


def sha256_tree(folder: Path) -> str:
    """Return one digest over the relative paths and contents of all files below a folder, 64 hex digits.

    Names of the folder itself, times and permissions do not matter.

    Raises:
        InvalidInput: If it is not a folder, holds no file, or a file cannot be read.
    """
    return tree_digest({relative: sha256_file(file) for relative, file in tree_files(folder)})


def tree_digest(digests: Mapping[str, str]) -> str:
    """Return the digest of a tree from its files' digests by relative '/'-separated path."""
    # JSON keeps odd names unambiguous (a line break in a name cannot fake a second file).
    lines = json.dumps(sorted(digests.items()), ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(lines.encode()).hexdigest()


def tree_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield relative '/'-separated path and path of every file below a folder, sorted.

    Raises:
        InvalidInput: If it is not a folder or holds no file.
    """
    if not folder.is_dir():
        raise InvalidInput(f"{folder}: is not a folder")
    files = sorted((file.relative_to(folder).as_posix(), file) for file in folder.rglob("*") if file.is_file())
    if not files:
        raise InvalidInput(f"{folder}: holds no files")
    yield from files


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file without looking at what is remembered."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _fingerprint(path: Path, status: os.stat_result) -> str:
    return f"{path.resolve()}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"


def _memory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "agentark" / "digests.json"


def _remembered() -> dict[str, str]:
    try:
        memory = json.loads(_memory().read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        _log.warning("%s: cannot be read and is ignored: %s", _memory(), error)
        return {}
    return {str(name): str(digest) for name, digest in memory.items()} if isinstance(memory, dict) else {}


def _remember(name: str, digest: str) -> None:
    # Two processes at once may lose one entry: it is computed again, which costs time and nothing else.
    entries = [item for item in _remembered().items() if item[0] != name][-(_ENTRIES - 1) :]
    memory = _memory()
    partial = memory.with_name(f".{uuid.uuid4().hex}.part")
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(dict([*entries, (name, digest)]), indent=0))
        partial.replace(memory)
    except OSError as error:
        _log.warning("%s: cannot be written, digests are not remembered: %s", memory, error.strerror)
        with contextlib.suppress(OSError):  # what could not be made cannot be removed either
            partial.unlink(missing_ok=True)
