"""The process reward model: a backbone with one score per token, as a plain folder that other software can load."""

import json
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoModelForTokenClassification
from transformers.utils import logging as transformers_logging

from agentark.devices import Purpose
from agentark.errors import AgentArkError, InvalidInput
from agentark.pretrained import load_weights, read_config, read_tokenizer
from agentark.reward.encoding import Window
from agentark.reward.metrics import Calibration
from agentark.reward.steps import SplitRule

CARD = "prm.json"


@dataclass(frozen=True, slots=True)
class Card:
    """What `prm.json` says beside the weights."""

    rule: SplitRule
    """How the solutions it learnt from were split."""
    max_length: int
    """Tokens of a window."""
    loss: str
    calibration: Calibration


def load_tokenizer(folder: Path) -> Any:
    """Load a fast tokenizer.

    Raises:
        InvalidInput: If there is none.
    """
    with _loading(folder):
        tokenizer = read_tokenizer(folder)
    if not tokenizer.is_fast:
        raise InvalidInput(f"{folder}: its tokenizer is a slow one, which does not say which characters a token holds")
    return tokenizer


def load_config(folder: Path) -> Any:
    """Load a model's configuration without its weights.

    Raises:
        InvalidInput: If there is none that transformers knows.
    """
    with _loading(folder):
        return read_config(folder)


def load_backbone(folder: Path, purpose: Purpose) -> Any:
    """Load a model with a head of one score per token; a head that the folder does not hold starts at zero.

    A head at zero gives every step the score 0.5, so the first updates come from the labels alone.

    Raises:
        InvalidInput: If the folder is no model that transformers can classify tokens with.
    """
    with _loading(folder), _quiet():
        config = read_config(folder)
        config.num_labels = 1
        if getattr(config, "classifier_dropout", None) is None:
            config.classifier_dropout = 0.0
        model, report = load_weights(
            AutoModelForTokenClassification, folder, purpose, config=config, output_loading_info=True
        )
    missing = set(report["missing_keys"])
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name in missing and is_head(model, name):
                weight.zero_()
    return model


def is_head(model: Any, name: str) -> bool:
    """Whether a parameter belongs to the head and not to the backbone."""
    return not name.startswith(f"{model.base_model_prefix}.")


def last_layer(model: Any) -> nn.Module:
    """The last of the backbone's layers.

    Raises:
        InvalidInput: If it has no list of layers.
    """
    lists = [module for module in model.base_model.modules() if isinstance(module, nn.ModuleList)]
    if not lists:
        raise InvalidInput(
            "the reward model's backbone has no list of layers, so its last layer cannot be trained first"
        )
    layer: nn.Module = max(lists, key=len)[-1]
    return layer


def step_logits(
    model: Any, windows: Sequence[Window], pad: int, *, hidden: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Score the steps of many windows in one forward pass.

    Sequences are padded on the right and masked, so none sees another.

    Args:
        model: From `load_backbone`.
        windows: At least one, with at least one position each.
        pad: Any token id.
        hidden: Whether the last hidden states at the positions are wanted too.

    Returns:
        Raw scores, shape ``(n,)``, of all positions in order, and hidden states, shape ``(n, d)``, or None.
    """
    width = max(len(window.ids) for window in windows)
    device = next(model.parameters()).device
    ids = torch.tensor([window.ids + [pad] * (width - len(window.ids)) for window in windows], device=device)
    lengths = torch.tensor([len(window.ids) for window in windows], device=device)
    mask = (torch.arange(width, device=device)[None, :] < lengths[:, None]).long()
    output = model(input_ids=ids, attention_mask=mask, output_hidden_states=hidden)
    rows = torch.tensor([row for row, window in enumerate(windows) for _ in window.positions], device=device)
    places = torch.tensor([place for window in windows for place in window.positions], device=device)
    logits: Tensor = output.logits[rows, places, 0].float()
    return logits, output.hidden_states[-1][rows, places].float() if hidden else None


def window_tokens(config: Any, wanted: int) -> int:
    """Tokens of a window: as many as wanted, at most what the model can read."""
    longest = getattr(config.get_text_config(), "max_position_embeddings", None)
    return min(wanted, int(longest)) if longest else wanted


def write_prm(model: Any, tokenizer: Any, card: Card, out: Path) -> None:
    """Write model, tokenizer and card as one folder, whole or not at all.

    Raises:
        InvalidInput: If `out` exists and is no model folder.
        AgentArkError: If it cannot be written.
    """
    if out.exists() and not (out / "config.json").is_file():
        raise InvalidInput(f"{out}: exists and is not a model folder; it is not replaced, name another one")
    partial = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        (partial / CARD).write_text(json.dumps(asdict(card), indent=1) + "\n")
        if out.exists():
            shutil.rmtree(out)
        partial.rename(out)
    except (OSError, SafetensorError) as error:
        raise AgentArkError(
            f"{out}: the reward model cannot be written: {error}; free space or fix the folder"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def read_card(folder: Path) -> Card:
    """Read what a reward model's folder says about it.

    Raises:
        InvalidInput: If it is not a reward model of ours.
    """
    try:
        found = json.loads((folder / CARD).read_bytes())
        card = Card(
            rule=found["rule"],
            max_length=int(found["max_length"]),
            loss=str(found["loss"]),
            calibration=Calibration(**found["calibration"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"{folder}: is no process reward model: {CARD} cannot be read ({error}); "
            "name the folder that PRMTraining wrote"
        ) from error
    if card.rule not in get_args(SplitRule):
        raise InvalidInput(f"{folder / CARD}: rule is {card.rule!r}; accepted: {', '.join(get_args(SplitRule))}")
    return card


@contextmanager
def _quiet() -> Iterator[None]:
    """The report of a head that is new is no news."""
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)


@contextmanager
def _loading(folder: Path) -> Iterator[None]:
    if not (folder / "config.json").is_file():
        raise InvalidInput(f"reward model: {folder} holds no config.json, so it is not a model folder")
    try:
        yield
    except (OSError, ValueError, KeyError, SafetensorError, RuntimeError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise InvalidInput(f"reward model: {folder} cannot be loaded: {error}") from error
