"""Resolve addresses to identities, once per run.

The only part of planning that reads anything: files, object stores, the model hub.
"""

import hashlib
import importlib
import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from agentark.api import Dataset, Model, Resource, StoreSource
from agentark.errors import InvalidInput, NotFound, StoreRefused, StoreUnavailable, StoreUnreachable
from agentark.planning.addresses import addresses
from agentark.planning.stage import Pin
from agentark.pretrained import check_weights
from agentark.release import parse_address, read_release
from agentark.store import Entry, Store, open_store, sha256_file, sha256_tree
from agentark.store.digests import hash_file, remembered_digest, tree_digest

_COUNT_BYTES = 1 << 20


class Listing(Protocol):
    """What is asked of a store to find out what an address in it stands for."""

    def download(self, path: str, target: Path) -> None:
        """Copy an object into a file."""
        ...

    def stat(self, path: str) -> Entry | None:
        """The object at a path; None if there is none."""
        ...

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Every object below a folder, sorted by path."""
        ...


def pin_addresses(
    resources: Iterable[Resource],
    *,
    base: Path,
    store: Store,
    source: StoreSource,
    opened: Callable[[str], Listing] | None = None,
) -> dict[str, Pin]:
    """Find out what every address of the resources stands for now.

    Args:
        resources: Checked resources.
        base: Folder that `file:` addresses are relative to: the manifest's.
        store: The artifact store, for `release://`.
        source: Its address and endpoint; `s3://` data is read through the same endpoint.
        opened: Opens an `s3://` folder at that endpoint; by default with the credentials of the environment.

    Raises:
        InvalidInput: Something is not there, or its digest is not the one that the manifest gives.
        StoreError: A store cannot be reached.
    """
    pins: dict[str, Pin] = {}
    near = opened or (lambda uri: open_store(uri, endpoint=source.endpoint or "", region=source.region))
    items = list(_items(resources))
    # Where one of those who name an address gives its digest, the content is looked at, and all get the same pin.
    items.sort(key=lambda named: named[1].digest is None)
    for owner, item in items:
        if item.uri not in pins:
            pins[item.uri] = _pin(item, base=base, store=store, source=source, near=near, owner=owner)
        _check_digest(item, pins[item.uri], owner)
    return pins


def _items(resources: Iterable[Resource]) -> Iterator[tuple[str, Dataset | Model]]:
    for resource in resources:
        datasets, models = addresses(resource)
        items: list[Dataset | Model] = [*datasets, *models]
        for item in items:
            yield f"{resource.kind} {resource.metadata.name!r}", item


def pin_model(model: Model, *, store: Store, source: StoreSource) -> Pin:
    """Find out what the address of one model stands for now; `file:` addresses are relative to the working directory.

    Raises:
        InvalidInput: It is not there.
        StoreError: A store cannot be reached.
    """

    def near(uri: str) -> Store:
        return open_store(uri, endpoint=source.endpoint or "", region=source.region)

    return _pin(model, base=Path(), store=store, source=source, near=near, owner="fetch")


def _pin(
    item: Dataset | Model,
    *,
    base: Path,
    store: Store,
    source: StoreSource,
    near: Callable[[str], Listing],
    owner: str,
) -> Pin:
    what = "data set" if isinstance(item, Dataset) else "model"
    scheme = item.uri.split(":", 1)[0]
    if scheme == "file":
        return _pin_file(item, base, f"{owner}: {what} {item.uri}")
    if scheme == "s3":
        return _pin_s3(item, source, near, f"{owner}: {what} {item.uri}")
    if scheme == "hf":
        if item.digest is not None:
            mend = "leave the digest out and name the commit, as hf://org/name@COMMIT"
            raise InvalidInput(f"{owner}: {what} {item.uri}: digests of the hub's content are not looked at; {mend}")
        return _pin_hub(item.uri, f"{owner}: {what} {item.uri}", dataset=isinstance(item, Dataset))
    if isinstance(item, Dataset):
        raise InvalidInput(f"{owner}: data set {item.uri}: only models are released; give file:, s3:// or hf://")
    return _pin_release(item.uri, store, f"{owner}: model {item.uri}")


def _pin_file(item: Dataset | Model, base: Path, what: str) -> Pin:
    path = (base / item.uri.removeprefix("file:").removeprefix("//")).resolve()
    if not path.exists():
        raise InvalidInput(f"{what}: {path} does not exist; file: addresses are relative to the manifest's folder")
    if isinstance(item, Model):
        if not (path / "config.json").is_file():
            raise InvalidInput(f"{what}: {path} holds no config.json; give the folder of a Hugging Face model")
        check_weights((file.name for file in path.iterdir()), what)
        return Pin(uri=item.uri, identity=f"sha256:{sha256_tree(path)}", path=str(path))
    if not path.is_file():
        raise InvalidInput(f"{what}: {path} is not a file; give a .jsonl, .jsonl.gz, .jsonl.zst or .json file")
    rows = _count_rows(path) if path.suffix == ".jsonl" else None
    return Pin(uri=item.uri, identity=f"sha256:{sha256_file(path)}", rows=rows, path=str(path))


def _count_rows(path: Path) -> int:
    lines, last = 0, b"\n"
    with path.open("rb") as file:
        while block := file.read(_COUNT_BYTES):
            lines, last = lines + block.count(b"\n"), block[-1:]
    return lines + (last != b"\n")


def _pin_s3(item: Dataset | Model, source: StoreSource, opened: Callable[[str], Listing], what: str) -> Pin:
    folder, _, name = item.uri.rpartition("/")
    near = opened(folder)
    try:
        found = near.stat(name)
        files = [found] if found is not None else list(near.entries(name))
        if not files:
            raise InvalidInput(f"{what}: nothing is there; upload it, or correct bucket and key")
        if isinstance(item, Model):
            check_weights((file.path.removeprefix(f"{name}/") for file in files), what)
        # What changes with every new content, and costs no look at it.
        below = json.dumps([(one.path, one.etag, one.size) for one in files])
        seen = f"etags:{hashlib.sha256(below.encode()).hexdigest()}"
        identity = f"etag:{found.etag}:{found.size}" if found is not None else seen
        if item.digest is not None:
            place = f"{source.endpoint or ''} {item.uri} {seen}"
            paths = [one.path for one in files]
            digest = remembered_digest(place, lambda: _content(near, paths, "" if found is not None else name))
            identity = f"sha256:{digest}"
    except StoreUnreachable:
        raise
    except StoreRefused as error:
        raise StoreRefused(f"{what}: {error.what}", error.rights) from error
    except StoreUnavailable as error:
        raise StoreUnavailable(f"{what}: {error}") from error
    return Pin(uri=item.uri, identity=identity, endpoint=source.endpoint or "", region=source.region)


def _content(near: Listing, paths: Iterable[str], folder: str) -> str:
    """The digest of a file or of a folder as it would be on this machine; file by file, so no disk holds it all."""
    digests = {}
    with tempfile.TemporaryDirectory(prefix="agentark-digest-") as room:
        for path in paths:
            copy = Path(room) / "file"
            near.download(path, copy)
            digests[path.removeprefix(f"{folder}/")] = hash_file(copy)
            copy.unlink()
    return tree_digest(digests) if folder else digests.popitem()[1]


_HUB = re.compile(r"^hf://(?P<repo>[^@#]+)(@(?P<revision>[^#]+))?(#.*)?$")


def _pin_hub(uri: str, what: str, *, dataset: bool) -> Pin:
    match = _HUB.match(uri)
    if match is None:
        raise InvalidInput(f"{what}: write it as hf://org/name or hf://org/name@revision")
    try:
        hub: Any = importlib.import_module("huggingface_hub")
    except ImportError:
        raise InvalidInput(f"{what}: needs the package huggingface_hub; pip install 'agentark[train]'") from None
    kind = "dataset" if dataset else "model"
    try:
        info = hub.HfApi().repo_info(match["repo"], revision=match["revision"], repo_type=kind)
    except Exception as error:
        if type(error).__name__ == "OfflineModeIsEnabled":
            raise InvalidInput(
                f"{what}: the hub is not asked here (HF_HUB_OFFLINE is set); upload it and give its s3:// address, or "
                "on a laptop a file: address"
            ) from error
        # The hub client raises its own, requests' and httpx's errors; all mean that the address gave no commit.
        raise InvalidInput(
            f"{what}: the hub gave no commit for it ({type(error).__name__}); check name, revision and network, "
            "or download it and use a file: address"
        ) from error
    if not dataset:
        check_weights((file.rfilename for file in info.siblings or ()), what)
    return Pin(uri=uri, identity=f"commit:{info.sha}")


def _pin_release(uri: str, store: Store, what: str) -> Pin:
    name, version = parse_address(uri)
    try:
        # The digest is what the run keeps: whatever becomes the current version later, these weights are loaded.
        return Pin(uri=uri, identity=read_release(store, name, version).digest)
    except NotFound as error:
        raise InvalidInput(f"{what}: {error}") from None


def _check_digest(item: Dataset | Model, pin: Pin, owner: str) -> None:
    if item.digest is not None and item.digest != pin.identity:
        raise InvalidInput(
            f"{owner}: {item.uri} has {pin.identity}, the manifest says {item.digest}; "
            "the content changed: correct the digest or restore the content"
        )
