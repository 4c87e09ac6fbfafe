"""The one place that loads models from folders of strangers: no code of theirs runs, and no pickle is opened."""

from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from agentark.devices import Purpose, placement
from agentark.errors import InvalidInput

_PICKLED = ("pytorch_model*.bin", "consolidated*.pth")
_ADAPTER = "adapter_model"


def check_weights(names: Iterable[str], what: str) -> None:
    """Refuse a model whose weights are there as pickles alone, since reading those can run code.

    Args:
        names: Its files, relative to its folder.
        what: Begins the message.

    Raises:
        InvalidInput: If it is so.
    """
    listed = sorted(names)
    pickled = [name for name in listed if any(fnmatch(name, pattern) for pattern in _PICKLED)]
    if any(fnmatch(name, "*.safetensors") and "/" not in name and not name.startswith(_ADAPTER) for name in listed):
        pickled = []
    if f"{_ADAPTER}.bin" in listed and f"{_ADAPTER}.safetensors" not in listed:
        pickled.append(f"{_ADAPTER}.bin")  # transformers adds adapters that lie beside a model
    if pickled:
        raise InvalidInput(
            f"{what}: its weights are there only as {pickled[0]}, a pickle, which can run code when it is read; "
            "convert them to safetensors where they may be read (load the model with transformers and call its "
            "save_pretrained), and give the folder that this writes"
        )


def read_tokenizer(model: str | Path, **options: Any) -> Any:
    """Load a tokenizer.

    Args:
        model: Folder or hub id.
        options: Further arguments of `from_pretrained`.

    Raises:
        OSError, ValueError: As transformers does, also for a tokenizer that needs code of its own.
    """
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model, trust_remote_code=False, **options)


def read_config(model: str | Path) -> Any:
    """Load a model's configuration without its weights.

    Raises:
        OSError, ValueError: As transformers does, also for a model that needs code of its own.
    """
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(model, trust_remote_code=False)


def load_weights(auto: Any, model: str | Path, purpose: Purpose, **options: Any) -> Any:
    """Load a model to where it runs.

    A causal model in a folder gets its generation settings without those that transformers does not load or save.

    Args:
        auto: transformers' class for the task, such as `AutoModelForCausalLM`.
        model: Folder or hub id.
        purpose: What it is loaded for; decides device and type.
        options: Further arguments of `from_pretrained`.

    Returns:
        What `from_pretrained` returns; the model is on its device.

    Raises:
        InvalidInput: If the folder holds pickled weights alone.
        OSError, ValueError: As transformers does, also for a model that needs code of its own.
    """
    folder = Path(model)
    if folder.is_dir():
        check_weights((file.name for file in folder.iterdir()), str(folder))
        if auto.__name__ == "AutoModelForCausalLM" and "generation_config" not in options:
            from agentark.generation import saveable_generation

            options["generation_config"] = saveable_generation(folder)
    place = placement(purpose)
    loaded = auto.from_pretrained(model, dtype=place.dtype, trust_remote_code=False, use_safetensors=True, **options)
    network, *report = loaded if isinstance(loaded, tuple) else (loaded,)
    network = network.to(place.device)
    return (network, *report) if report else network


def check_model(auto: Any, folder: Path) -> None:
    """Refuse a model that a package of others, which takes no such arguments, would load from pickles or by its code.

    Raises:
        InvalidInput: If the folder holds pickled weights alone.
        OSError, ValueError: As transformers does, also for a model that needs code of its own.
    """
    import torch

    check_weights((file.name for file in folder.iterdir()), str(folder))
    read_tokenizer(folder)
    with torch.device("meta"):
        auto.from_config(read_config(folder), trust_remote_code=False)
