"""A model as a plain local folder for a server that loads it: whole, and the one that was asked for, or not there."""

import errno
import fcntl
import importlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentark.api import Model, StoreSource
from agentark.errors import AgentArkError, InvalidInput
from agentark.planning import pin_model
from agentark.pretrained import check_weights
from agentark.release import release_with
from agentark.store import Store, open_store, sha256_file
from agentark.store.digests import tree_digest

MARK = ".agentark-model.json"
"""Written first with the identity, and at the end with all files: only then is the folder whole."""
_LOCK = f"{MARK}.lock"
_NOT_OURS = {"lost+found"}
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A model that is there."""

    identity: str
    files: dict[str, int]
    """Bytes by path."""
    was_there: bool
    """Whether an earlier call had fetched it."""


def fetch_model(uri: str, folder: Path, *, identity: str, source: StoreSource) -> Fetched:
    """Fetch a model, unless it is there; what an interrupted call has fetched of it is not fetched again.

    Of several calls for one folder (pods that share a volume) one fetches, and the others wait and find it there.

    Args:
        uri: `s3://`, `hf://` or `release://`.
        folder: Where its files go: empty, or filled by an earlier call.
        identity: What a pin says that it is; empty: whatever is at the address now.
        source: The store, for `release://`; its endpoint and region are asked for `s3://`.

    Raises:
        InvalidInput: There is no model, or another one; the folder holds something else.
        StoreError: The store cannot be read.
        AgentArkError: The hub gave no files.
    """
    scheme = uri.split(":", 1)[0]
    if scheme not in ("s3", "hf", "release"):
        raise InvalidInput(f"{uri}: accepted: s3://BUCKET/FOLDER, hf://ORG/NAME@REVISION, release://NAME@VERSION")
    store = open_store(source.uri, endpoint=source.endpoint or "", region=source.region)
    wanted = identity or pin_model(Model(uri=uri), store=store, source=source).identity
    with _alone_in(folder):
        return _fetched(uri, folder, wanted, store, source)


def folder_identity(folder: Path) -> str:
    """What a model's folder is, as pins and `digest` fields hold it: `sha256:` and 64 hex digits.

    Raises:
        InvalidInput: It is no folder of a model, or cannot be read.
    """
    if not (folder / "config.json").is_file():
        raise InvalidInput(f"{folder}: holds no config.json; give the folder of a Hugging Face model")
    return _tree(folder)


def _fetched(uri: str, folder: Path, wanted: str, store: Store, source: StoreSource) -> Fetched:
    scheme = uri.split(":", 1)[0]
    mark = _read_mark(folder)
    if mark.get("identity") == wanted and mark.get("files") and mark["files"] == _sizes(folder):
        return Fetched(wanted, mark["files"], was_there=True)
    _prepare(folder, mark, wanted)
    if scheme == "hf":
        _from_hub(uri, wanted, folder)
    elif scheme == "s3":
        _from_bucket(uri, wanted, folder, store, source)
    else:
        _copy(store, release_with(store, uri, wanted).model.path, folder)
    if not (folder / "config.json").is_file():
        raise InvalidInput(f"{uri}: holds no config.json; give the folder of a Hugging Face model")
    check_weights(_sizes(folder), uri)
    if wanted.startswith("sha256:"):
        _check(uri, wanted, _tree(folder), folder)
    files = _sizes(folder)
    _write_mark(folder, {"uri": uri, "identity": wanted, "files": files})
    return Fetched(wanted, files, was_there=False)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    with _written(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / _LOCK).open("a")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            # Files arrive by renaming, so without locks, as on some network volumes, all that is lost is time.
            if error.errno not in _NO_LOCKS:
                raise AgentArkError(f"{folder}: cannot be locked: {error.strerror}") from None
        yield


def _from_bucket(uri: str, wanted: str, folder: Path, store: Store, source: StoreSource) -> None:
    def check() -> None:
        if not wanted.startswith("sha256:"):
            _check(uri, wanted, pin_model(Model(uri=uri), store=store, source=source).identity, folder)

    check()
    above, _, name = uri.rpartition("/")
    _copy(open_store(above, endpoint=source.endpoint or "", region=source.region), name, folder)
    check()  # What was replaced meanwhile must not be mixed with what was there before.


def _copy(store: Store, path: str, folder: Path) -> None:
    for entry in store.entries(path):
        file = folder / entry.path.removeprefix(f"{path}/")
        if not file.is_file() or file.stat().st_size != entry.size:
            store.download(entry.path, file)


def _from_hub(uri: str, wanted: str, folder: Path) -> None:
    name = uri.removeprefix("hf://").split("@", 1)[0].split("#", 1)[0]
    if not wanted.startswith("commit:"):
        raise InvalidInput(f"{uri}: its identity is a commit, not {wanted}; give --identity commit:HASH, or none")
    try:
        hub: Any = importlib.import_module("huggingface_hub")
    except ImportError:
        raise InvalidInput(f"{uri}: needs the package huggingface_hub; pip install 'agentark[train]'") from None
    try:
        hub.snapshot_download(name, revision=wanted.removeprefix("commit:"), local_dir=folder)
    except Exception as error:
        # The hub client raises its own errors and those of its HTTP library; what is here already is kept.
        last = str(error).strip().splitlines()[-1:]
        raise AgentArkError(
            f"{uri}: the hub did not give {wanted} ({type(error).__name__}: {''.join(last)}); check name, token and "
            "network, and run it again to go on"
        ) from error


def _check(uri: str, wanted: str, found: str, folder: Path) -> None:
    if found != wanted:
        _clear(folder)
        raise InvalidInput(
            f"{uri}: is {found} now, {wanted} was asked for: the model was changed or replaced; restore it, or plan "
            "the run again with what is there"
        )


def _prepare(folder: Path, mark: dict[str, Any], wanted: str) -> None:
    if not mark and any(_files(folder)):
        raise InvalidInput(f"{folder}: holds files that `agentark fetch` has not fetched; give an empty folder")
    if mark.get("identity") != wanted:
        _clear(folder)
    _write_mark(folder, {"identity": wanted})


def _clear(folder: Path) -> None:
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and path.name not in _NOT_OURS:
            shutil.rmtree(path)
        elif path.is_file() and path.name != _LOCK:
            path.unlink()


def _read_mark(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / MARK).read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError:
        return {"identity": ""}  # torn: what lies beside it is ours, but nobody knows what it is
    return found if isinstance(found, dict) else {"identity": ""}


def _write_mark(folder: Path, mark: dict[str, Any]) -> None:
    with _written(folder):
        partial = folder / f"{MARK}.part"
        partial.write_text(json.dumps(mark))
        partial.replace(folder / MARK)


@contextmanager
def _written(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AgentArkError(f"{folder}: cannot be written: {error.strerror}; free space or check permissions") from None


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        # The hub's client keeps notes of its own in `.cache`.
        if path.is_file() and not relative.name.startswith(MARK) and relative.parts[0] not in {".cache", *_NOT_OURS}:
            yield path


def _sizes(folder: Path) -> dict[str, int]:
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in _files(folder)}


def _tree(folder: Path) -> str:
    return f"sha256:{tree_digest({path.relative_to(folder).as_posix(): sha256_file(path) for path in _files(folder)})}"
