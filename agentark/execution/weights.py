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
from agentark.store import open_store, sha256_tree


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


def _download(pin: Pin, target: Path) -> Path:
    folder, _, name = pin.uri.rpartition("/")
    store = open_store(folder, endpoint=pin.endpoint, region=pin.region)
    for entry in store.entries(name):
        file = target / entry.path.removeprefix(f"{name}/")
        if not file.exists():
            store.download(entry.path, file)
    if not (target / "config.json").is_file():
        raise StoreError(f"{folder}/{name}: holds no config.json; give the folder of a Hugging Face model")
    return target


def _from_release(context: StageContext, version: ReleasedVersion) -> Path:
    # The processes of a distributed training start at once; what one still receives must not be in another's digest.
    process = "" if context.is_main else f"-{os.environ['RANK']}"
    target = context.work / "models" / f"{version.digest.removeprefix('sha256:')}{process}"
    for entry in context.store.entries(version.model.path):
        file = target / entry.path.removeprefix(f"{version.model.path}/")
        if not file.exists():
            context.store.download(entry.path, file)
    what = f"release {version.name!r}, version {version.version}: {context.store.uri}/{version.model.path}"
    mend = f"restore that folder, or use another version (agentark releases {version.name})"
    if not target.is_dir():
        raise StoreError(f"{what} is gone; {mend}")
    found = f"sha256:{sha256_tree(target)}"
    if found != version.digest:
        shutil.rmtree(target)
        raise StoreError(f"{what} is {found}, but {version.digest} was released: it was changed or damaged; {mend}")
    return target


def _from_hub(pin: Pin) -> Path:
    hub: Any = importlib.import_module("huggingface_hub")
    name = pin.uri.removeprefix("hf://").split("@", 1)[0].split("#", 1)[0]
    return Path(hub.snapshot_download(name, revision=pin.identity.removeprefix("commit:")))
