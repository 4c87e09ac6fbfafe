"""The student as files: loading what training starts from, writing what it ends with."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM

from agentark import pretrained
from agentark.api import Lora
from agentark.devices import Purpose
from agentark.errors import AgentArkError, InvalidInput
from agentark.generation import saveable_generation


@dataclass(frozen=True, slots=True)
class Base:
    """What a training starts from, without the weights."""

    folder: Path
    config: Any
    tokenizer: Any
    generation: Any
    """Its generation settings, as far as they can be saved with a checkpoint."""

    @property
    def context(self) -> int:
        """Tokens that the model can read."""
        return int(self.config.get_text_config().max_position_embeddings)

    @property
    def ends(self) -> frozenset[int]:
        """Token ids that end an answer."""
        named = self.generation.eos_token_id
        named = named if isinstance(named, list) else [named]
        return frozenset(one for one in [*named, self.tokenizer.eos_token_id] if one is not None)

    @property
    def pad(self) -> int:
        """Token id for padding; what it is does not matter, padding is masked."""
        ids = (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id, 0)
        return next(int(one) for one in ids if one is not None)


def read_base(folder: Path) -> Base:
    """Read a model's configuration and tokenizer.

    Raises:
        InvalidInput: If the folder is not a causal language model that can be loaded.
    """
    with _loading(folder):
        config = pretrained.read_config(folder)
        tokenizer = pretrained.read_tokenizer(folder)
        generation = saveable_generation(folder)
    return Base(folder, config, tokenizer, generation)


def load_weights(base: Base, purpose: Purpose, folder: Path | None = None) -> Any:
    """Load the model, with other weights of the same shape where `folder` is given.

    Raises:
        InvalidInput: If it cannot be loaded.
    """
    with _loading(folder or base.folder):
        return pretrained.load_weights(
            AutoModelForCausalLM, folder or base.folder, purpose, config=base.config, generation_config=base.generation
        )


def adapters(lora: Lora | None) -> LoraConfig | None:
    """Adapters on every linear layer but the output; None where all weights are trained."""
    if lora is None:
        return None
    return LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
    )


def write_student(base: Base, checkpoint: Path, out: Path, *, lora: bool) -> None:
    """Write a checkpoint as a plain model folder with tokenizer and chat template, whole or not at all.

    Weights are stored in the type in which the base stores them; adapters are merged into them in 32 bits.

    Raises:
        InvalidInput: If `out` exists and is no model folder.
        AgentArkError: If it cannot be written.
    """
    if out.exists() and not (out / "config.json").is_file():
        raise InvalidInput(f"{out}: exists and is not a model folder; it is not replaced, name another one")
    if lora:
        model = load_weights(base, "writing")
        model = PeftModel.from_pretrained(model, checkpoint, torch_device="cpu").merge_and_unload()
    else:
        model = load_weights(base, "writing", checkpoint)
    model = model.to(base.config.dtype or torch.float32)
    partial = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(partial)
        base.tokenizer.save_pretrained(partial)
        if out.exists():
            shutil.rmtree(out)
        partial.rename(out)
    except (OSError, SafetensorError) as error:
        raise AgentArkError(f"{out}: the student cannot be written: {error}; free space or fix the folder") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _loading(folder: Path) -> Iterator[None]:
    if not (folder / "config.json").is_file():
        raise InvalidInput(f"student model: {folder} holds no config.json, so it is not a model folder")
    try:
        yield
    except (OSError, ValueError, KeyError, SafetensorError, RuntimeError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise InvalidInput(f"student model: {folder} cannot be loaded: {error}") from error
