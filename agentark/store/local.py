"""A store in a folder of the local disk.

Every object becomes visible by one atomic step (rename, or hard link for create-only) after its bytes are on the
disk, so a killed process or a full disk leaves at most a temporary file that no reader looks at.
"""

import contextlib
import errno
import os
import shutil
import stat as modes
import time
import uuid
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from agentark.errors import NotFound, StoreError, StoreUnavailable
from agentark.store.interface import RESERVED, Entry, checked, checked_folder

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_STALE_S = 24 * 3600
_RACES = 100


class LocalStore:
    """Objects as files below one folder, which is created with the first object."""

    def __init__(self, root: Path) -> None:
        """Open the store in `root`; temporary files that killed writers left over a day ago are removed."""
        self._root = root.resolve()
        self._temporary = self._root / RESERVED / "tmp"
        if self._root.exists() and not self._root.is_dir():
            raise StoreError(f"store {self.uri}: is a file, not a folder; choose another path")
        self._sweep()

    @property
    def uri(self) -> str:
        """`file:` and the absolute path."""
        return f"file:{self._root}"

    def __repr__(self) -> str:
        return f"LocalStore({self.uri!r})"

    def read(self, path: str) -> bytes:
        """Return the whole content."""
        with self._errors("read", path), self._open(path) as source:
            return source.read()

    def write(self, path: str, data: bytes) -> None:
        """Replace the object atomically."""
        self._put(path, BytesIO(data), os.replace)

    def create(self, path: str, data: bytes) -> bool:
        """Put the object only if there is none."""
        target = self._file(path)
        with self._errors("create", path):
            if target.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if target.exists():
                return False
        try:
            # A hard link fails when the name exists, whoever made it; a rename would silently replace.
            self._put(path, BytesIO(data), os.link)
        except FileExistsError:
            return False
        return True

    def upload(self, path: str, source: Path) -> None:
        """Replace the object atomically by the content of a file."""
        try:
            stream = source.open("rb")
        except OSError as error:
            raise StoreError(f"cannot upload {source}: {error.strerror}") from error
        with stream:
            self._put(path, stream, os.replace)

    def download(self, path: str, target: Path) -> None:
        """Copy the object into `target` atomically."""
        with self._errors("download", path), self._open(path) as source, receiving(target) as sink:
            shutil.copyfileobj(source, sink, 1 << 20)

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Yield every object below `prefix`, sorted by path."""
        folder = checked_folder(prefix)
        yield from self._walk(self._root / folder, f"{folder}/" if folder else "")

    def stat(self, path: str) -> Entry | None:
        """Describe the object at `path`; None if there is none."""
        with self._errors("look up", path):
            try:
                status = self._file(path).stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return _entry(path, status) if modes.S_ISREG(status.st_mode) else None

    def delete(self, prefix: str) -> int:
        """Delete the object at `prefix` and everything below it, then the folders that became empty."""
        gone = 0
        folder = checked_folder(prefix)
        with self._errors("delete", prefix):
            paths = [entry.path for entry in self.entries(folder)]
            if folder and self.stat(folder):
                paths.append(folder)
            for path in paths:
                with contextlib.suppress(FileNotFoundError):  # another process deleted it first
                    self._file(path).unlink()
                    gone += 1
                    self._prune(self._file(path).parent)
        return gone

    def _file(self, path: str) -> Path:
        return self._root / checked(path)

    def _open(self, path: str) -> BinaryIO:
        try:
            return self._file(path).open("rb")
        except (IsADirectoryError, NotADirectoryError) as error:  # a folder is no object, nor is what lies below one
            raise FileNotFoundError from error

    def _put(self, path: str, source: BinaryIO, publish: Callable[[Path, Path], None]) -> None:
        target = self._file(path)
        with self._errors("write", path):
            if target.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            temporary = self._fill(source)
            try:
                self._publish(temporary, target, publish)
                _sync_folder(target.parent)
            finally:
                temporary.unlink(missing_ok=True)

    def _fill(self, source: BinaryIO) -> Path:
        _make_folder(self._temporary)
        temporary = self._temporary / uuid.uuid4().hex
        try:
            with temporary.open("xb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
                sink.flush()
                os.fsync(sink.fileno())
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return temporary

    def _publish(self, temporary: Path, target: Path, publish: Callable[[Path, Path], None]) -> None:
        for _ in range(_RACES):
            with contextlib.suppress(FileNotFoundError):  # a `delete` pruned a still empty folder: make it again
                _make_folder(target.parent)
                publish(temporary, target)
                return
        raise StoreError(f"store {self.uri}: the folder of {target} keeps vanishing; is something deleting it?")

    def _walk(self, folder: Path, prefix: str) -> Iterator[Entry]:
        with self._errors("list", prefix):
            try:
                with os.scandir(folder) as listing:
                    items = [(item.name, _is_folder(item)) for item in listing]
            except (FileNotFoundError, NotADirectoryError):
                return
        # 'a/x' comes after 'a-b' and before 'a0': folders sort with their '/', as the full paths do.
        for name, is_folder in sorted((f"{name}/", True) if is_dir else (name, False) for name, is_dir in items):
            if is_folder:
                if prefix or name != f"{RESERVED}/":
                    yield from self._walk(folder / name, prefix + name)
                continue
            with contextlib.suppress(NotFound):  # deleted since the folder was read
                with self._errors("list", prefix + name):
                    entry = _entry(prefix + name, _status(folder / name))
                yield entry

    def _prune(self, folder: Path) -> None:
        while folder != self._root:
            try:
                folder.rmdir()
            except OSError:  # not empty, or gone already: either way nothing is left to do above
                return
            folder = folder.parent

    def _sweep(self) -> None:
        oldest = time.time() - _STALE_S
        with self._errors("open", ""):
            if not self._temporary.is_dir():
                return
            for file in self._temporary.iterdir():
                with contextlib.suppress(FileNotFoundError):  # another process sweeps as well
                    if file.stat().st_mtime < oldest:
                        file.unlink()

    @contextlib.contextmanager
    def _errors(self, doing: str, path: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise NotFound(f"store {self.uri}: there is no object {path!r}") from error
        except FileExistsError:  # the answer of a create, not a failure
            raise
        except OSError as error:
            raise _failure(f"store {self.uri}: cannot {doing} {path!r}", error) from error


@contextlib.contextmanager
def receiving(target: Path) -> Iterator[BinaryIO]:
    """Give a stream whose bytes become the file `target` when the block ends well, and vanish otherwise.

    Raises:
        StoreError: If `target` cannot be written.
    """
    partial = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("xb") as sink:
            yield sink
            sink.flush()
            os.fsync(sink.fileno())
        partial.replace(target)
    except OSError as error:
        raise _failure(f"cannot write {target}", error) from error
    finally:
        with contextlib.suppress(OSError):  # an unwritable folder has no partial file; the first error stands
            partial.unlink(missing_ok=True)


def _is_folder(item: "os.DirEntry[str]") -> bool:
    try:
        return item.is_dir()
    except OSError:  # a link that leads in a circle
        return False


def _status(file: Path) -> os.stat_result:
    try:
        return file.stat()
    except FileNotFoundError:
        raise
    except OSError:  # such a link is listed, so that whoever reads it says what is wrong
        return file.lstat()


def _entry(path: str, status: os.stat_result) -> Entry:
    return Entry(path, status.st_size, f"{status.st_mtime_ns:x}-{status.st_ino:x}-{status.st_size:x}")


def _failure(what: str, error: OSError) -> StoreError:
    # What is full or closed can be mended while the work waits; a file in the place of a folder stays one.
    kind = StoreUnavailable if error.errno in (*_FULL, *_REFUSED) else StoreError
    return kind(f"{what}: {_advice(error)}")


def _advice(error: OSError) -> str:
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        return f"{reason}; free space there or choose another store"
    if error.errno in _REFUSED:
        return f"{reason}; give this user write access (and a file system with hard links) or choose another store"
    if error.errno in (errno.ENOTDIR, errno.EISDIR):
        return f"{reason}; a path cannot be an object and a folder at once"
    return reason


def _make_folder(folder: Path) -> None:
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for item in reversed(missing):
        try:
            item.mkdir()
        except FileExistsError as error:
            # Asked once: a `delete` may have pruned it since (FileNotFoundError), another writer made it anew.
            if not modes.S_ISDIR(item.stat().st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from error
        _sync_folder(item.parent)


def _sync_folder(folder: Path) -> None:
    # The new name is durable only when its folder is on the disk as well.
    with contextlib.suppress(FileNotFoundError):  # deleted meanwhile, nothing to keep
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
