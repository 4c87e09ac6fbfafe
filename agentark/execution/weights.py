"""Model weights as a local folder, wherever their address points."""

import importlib
from pathlib import Path
from typing import Any

from agentark.errors import InvalidInput, StoreError
from agentark.execution.context import StageContext, local_path
from agentark.planning import Pin
from agentark.store import open_store


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
    raise InvalidInput(f"{uri}: released models can be used once the release stage is available")


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


def _from_hub(pin: Pin) -> Path:
    hub: Any = importlib.import_module("huggingface_hub")
    name = pin.uri.removeprefix("hf://").split("@", 1)[0].split("#", 1)[0]
    return Path(hub.snapshot_download(name, revision=pin.identity.removeprefix("commit:")))
