"""Generation settings that transformers loads but refuses to save: a training must not end at its first checkpoint."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, GenerationConfig

from agentark.api import Lora
from agentark.generation import saveable_generation
from agentark.llm.local import load
from tests.distill.pad_world import PadTraining, settings
from tests.distill.world import Training, write_model
from tests.reward.test_prm_training import SPEC
from tests.reward.toys import PRMTraining, rows

Make = Callable[..., Training]
END = 1
PUBLISHED: dict[str, Any] = {
    "eos_token_id": END, "max_new_tokens": 160, "pad_token_id": 0, "transformers_version": "5.19.0",
    "temperature": 0.6, "top_p": 0.9, "do_sample": False,
}  # fmt: skip
"""As a model was really published."""
REFUSED: dict[str, dict[str, Any]] = {
    "sampling": {"temperature": 0.6, "top_p": 0.9, "top_k": 20, "min_p": 0.1, "typical_p": 0.9, "eta_cutoff": 0.1},
    "beams": {"length_penalty": 2.0, "early_stopping": True},
    "padding": {"pad_token_id": -1},
    "outputs": {"output_scores": True, "output_attentions": True},
    "cache": {"use_cache": False, "cache_implementation": "static"},
    "samples": {"num_return_sequences": 4},
    "length": {"max_new_tokens": 0},
    "tokens": {"forced_eos_token_id": 1, "suppress_tokens": [1]},
    "arguments": {"streamer": "text"},
    "types": {"max_new_tokens": "many", "suppress_tokens": 7, "watermarking_config": "none"},
    "watermark": {"watermarking_config": 3},
}


def with_settings(model: Path, folder: Path, settings: dict[str, Any], name: str = "generation_config.json") -> Path:
    shutil.copytree(model, folder)
    (folder / "generation_config.json").unlink()
    file = folder / name
    before = json.loads(file.read_bytes()) if file.exists() else {}
    file.write_text(json.dumps(before | settings))
    return folder


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_saved_is_left_out(model: Path, tmp_path: Path, kind: str) -> None:
    folder = with_settings(model, tmp_path / "m", {"eos_token_id": END, "repetition_penalty": 1.1, **REFUSED[kind]})
    config = saveable_generation(folder)
    config.save_pretrained(tmp_path / "saved")
    saved = GenerationConfig.from_pretrained(tmp_path / "saved")
    assert (saved.eos_token_id, saved.repetition_penalty) == (END, 1.1)


def test_what_can_be_saved_stays(model: Path, tmp_path: Path) -> None:
    settings = {"temperature": 0.6, "top_p": 0.9, "do_sample": True, "eos_token_id": [END, 2], "num_beams": 2}
    config = saveable_generation(with_settings(model, tmp_path / "m", {**settings, "length_penalty": 2.0}))
    assert {name: getattr(config, name) for name in settings} == settings
    assert config.length_penalty == 2.0


def test_a_switch_counts_wherever_it_stands(model: Path, tmp_path: Path) -> None:
    settings = {"temperature": 0.6, "length_penalty": 2.0, "pad_token_id": -1, "do_sample": True}
    config = saveable_generation(with_settings(model, tmp_path / "m", settings))
    assert (config.temperature, config.do_sample) == (0.6, True)
    assert (config.length_penalty, config.pad_token_id) == (None, None)


def test_settings_among_those_of_an_older_model_are_mended_too(training: Make, model: Path, tmp_path: Path) -> None:
    older = with_settings(model, tmp_path / "m", {"temperature": 0.6}, name="config.json")
    made = training(model=older, epochs=1)
    made.run()
    assert AutoModelForCausalLM.from_pretrained(made.out).generation_config.eos_token_id == END


@pytest.mark.parametrize("settings", [PUBLISHED, *REFUSED.values()], ids=["published", *REFUSED])
def test_a_model_that_answers_loads_with_them(model: Path, tmp_path: Path, settings: dict[str, Any]) -> None:
    network, _ = load(with_settings(model, tmp_path / "m", settings))
    assert network.generation_config.eos_token_id == settings.get("eos_token_id")


def test_a_text_config_that_is_none_holds_no_settings(model: Path, tmp_path: Path) -> None:
    older = with_settings(model, tmp_path / "m", {"text_config": "x", "eos_token_id": END}, name="config.json")
    assert saveable_generation(older).eos_token_id == END


@pytest.mark.parametrize("lora", [None, Lora(rank=2, alpha=4)])
@pytest.mark.parametrize("settings", [PUBLISHED, *REFUSED.values()], ids=["published", *REFUSED])
def test_a_supervised_training_saves(
    training: Make, model: Path, tmp_path: Path, settings: dict[str, Any], lora: Lora | None
) -> None:
    made = training(model=with_settings(model, tmp_path / "m", settings), epochs=1, checkpoint_steps=1, lora=lora)
    made.run()
    saved = GenerationConfig.from_pretrained(made.out)
    saved.validate(strict=True)
    assert saved.eos_token_id == settings.get("eos_token_id")


def test_pad_saves(model: Path, tmp_path: Path) -> None:
    chosen = settings(steps=2, checkpoint_steps=1, kl=0.05)
    made = PadTraining(tmp_path, with_settings(model, tmp_path / "m", PUBLISHED), *chosen)
    assert made.run().steps == 2
    GenerationConfig.from_pretrained(made.out).validate(strict=True)


def test_a_reward_model_saves(tmp_path: Path) -> None:
    plain = write_model(tmp_path / "plain")
    made = PRMTraining(tmp_path / "a", with_settings(plain, tmp_path / "m", PUBLISHED), SPEC, tuple(rows(8)))
    assert made.run().steps
    assert (made.out / "model.safetensors").is_file()
