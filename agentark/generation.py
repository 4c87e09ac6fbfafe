"""A model's generation settings in a form that can be saved again."""

import json
import logging
from pathlib import Path
from typing import Any

from transformers import GenerationConfig

_log = logging.getLogger(__name__)
_SWITCHES = ("do_sample", "num_beams", "return_dict_in_generate", "use_cache")
"""What other settings are valid with, or not; these are looked at first."""


def saveable_generation(folder: Path) -> GenerationConfig:
    """Read a model's generation settings, without those that transformers loads but refuses to save.

    Published models hold such settings, a temperature without `do_sample` for one. They have no effect there, but
    transformers would refuse each checkpoint of a training that keeps them. Eos and other tokens stay.

    Args:
        folder: Of the model; without a `generation_config.json` the settings of its `config.json` count.

    Raises:
        OSError: If neither can be read.
        ValueError: If it is not a JSON object.
    """
    settings = _settings(folder)
    config = _valid(settings)
    if config is not None:
        return config
    kept: dict[str, Any] = {}
    config = GenerationConfig()
    for name in sorted(settings, key=lambda name: name not in _SWITCHES):
        extended = _valid(kept | {name: settings[name]})
        if extended is not None:
            kept[name], config = settings[name], extended
    _log.warning(
        "%s: generation settings that could not be saved again are left out: %s",
        folder,
        ", ".join(sorted(settings.keys() - kept.keys())),
    )
    return config


def _settings(folder: Path) -> dict[str, Any]:
    own = folder / "generation_config.json"
    file = own if own.is_file() else folder / "config.json"
    content = json.loads(file.read_bytes())
    if not isinstance(content, dict):
        raise ValueError(f"{file} holds no JSON object")
    if file != own:
        # Older models keep them among everything else, those of several parts with the part that writes text.
        text = content.get("text_config")
        names = GenerationConfig().to_dict().keys()
        own_and_text = (text if isinstance(text, dict) else {}) | content
        content = {name: value for name, value in own_and_text.items() if name in names}
    return {name: value for name, value in content.items() if value is not None}


def _valid(settings: dict[str, Any]) -> GenerationConfig | None:
    try:
        config = GenerationConfig(**settings)
        config.validate(strict=True)
    except (ValueError, TypeError, AttributeError, KeyError):
        # transformers says no with the first; values of a wrong type make its checks fail with the others.
        return None
    return config
