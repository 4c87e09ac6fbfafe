"""Model weights as a local folder, wherever their address points."""

import importlib
import os
import shutil
from pathlib import Path
from typing import Any

from agentark.errors import StoreError
from agentark.execution.context import StageContext, local_path
from agentark.planning import Pin
from agentark.release import ReleasedVersion, release_with
from agentark.store import Store, open_store, sha256_tree

_WITHOUT_WEIGHTS = (".json", ".jinja", ".model", ".tiktoken", ".txt")


def model_folder(context: StageContext, uri: str) -> Path:
    """The folder that holds the model at an address of the plan.

    Raises:
        InvalidInput: The address cannot be turned into a model folder.
        StoreError: The store that holds it cannot be read.
    """
    pin = context.pin(uri)
    scheme = uri.split(":", 1)[0]
    if scheme == "file":
        return local_path(pin)
    if scheme == "hf":
        return _from_hub(pin)
    target = context.work / "models" / pin.identity.replace(":", "-")[:80]
    if scheme == "s3":
        return _download(pin, target)
    return _from_release(context, release_with(context.store, uri, pin.identity))


def tokenizer_folder(context: StageContext, uri: str) -> Path:
    """A folder that holds at least the configuration and tokenizer of the model at an address of the plan.

    Raises:
        InvalidInput: The address cannot be turned into a model folder.
        StoreError: The store that holds it cannot be read.
        Exception: Whatever the hub's client raises where it does not give the files.
    """
    pin = context.pin(uri)
    scheme = uri.split(":", 1)[0]
    if scheme == "file":
        return local_path(pin)
    if scheme == "hf":
        return _from_hub(pin, allow_patterns=[f"*{suffix}" for suffix in _WITHOUT_WEIGHTS])
    target = context.work / "tokenizers" / pin.identity.replace(":", "-")[:80]
    if scheme == "s3":
        return _download(pin, target, _WITHOUT_WEIGHTS)
    path = release_with(context.store, uri, pin.identity).model.path
    _copy(context.store, path, target, _WITHOUT_WEIGHTS)
    return target


def _download(pin: Pin, target: Path, suffixes: tuple[str, ...] = ("",)) -> Path:
    folder, _, name = pin.uri.rpartition("/")
    _copy(open_store(folder, endpoint=pin.endpoint, region=pin.region), name, target, suffixes)
    if not (target / "config.json").is_file():
        raise StoreError(f"{folder}/{name}: holds no config.json; give the folder of a Hugging Face model")
    return target


def _from_release(context: StageContext, version: ReleasedVersion) -> Path:
    # The processes of a distributed training start at once; what one still receives must not be in another's digest.
    process = "" if context.is_main else f"-{os.environ['RANK']}"
    target = context.work / "models" / f"{version.digest.removeprefix('sha256:')}{process}"
    _copy(context.store, version.model.path, target)
    what = f"release {version.name!r}, version {version.version}: {context.store.uri}/{version.model.path}"
    mend = f"restore that folder, or use another version (agentark releases {version.name})"
    if not target.is_dir():
        raise StoreError(f"{what} is gone; {mend}")
    found = f"sha256:{sha256_tree(target)}"
    if found != version.digest:
        shutil.rmtree(target)
        raise StoreError(f"{what} is {found}, but {version.digest} was released: it was changed or damaged; {mend}")
    return target


def _copy(store: Store, path: str, target: Path, suffixes: tuple[str, ...] = ("",)) -> None:
    """Copy the files below a path whose names end so, but for those that are there."""
    for entry in store.entries(path):
        file = target / entry.path.removeprefix(f"{path}/")
        if entry.path.endswith(suffixes) and not file.exists():
            store.download(entry.path, file)


def _from_hub(pin: Pin, **limits: Any) -> Path:
    hub: Any = importlib.import_module("huggingface_hub")
    name = pin.uri.removeprefix("hf://").split("@", 1)[0].split("#", 1)[0]
    return Path(hub.snapshot_download(name, revision=pin.identity.removeprefix("commit:"), **limits))
