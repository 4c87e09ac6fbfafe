"""The quickstart's tokenizer and base model, as they are shipped and as the script makes them."""

import json
from pathlib import Path

import make_data
import pretrain
import pytest
import torch
import world
from safetensors.torch import load_file
from tokenizer import build_tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

BASE = Path(make_data.__file__).parent / "base"


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(BASE)


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    torch.set_num_threads(1)
    return AutoModelForCausalLM.from_pretrained(BASE).eval()


def test_every_number_is_one_token(tokenizer: PreTrainedTokenizerBase) -> None:
    for number in range(200):
        assert len(tokenizer.tokenize(f" {number}")) == 1
        assert tokenizer.tokenize(f"\\boxed{{{number}}}".removeprefix("\\boxed{"))[0] == str(number)


def test_any_text_survives_the_tokenizer(tokenizer: PreTrainedTokenizerBase) -> None:
    solution = world.solution_text(world.read_steps("Step 1: 12 + 9 = 21"))
    for text in (solution, world.review_request([solution] * 4), "Ünïcode, tabs\tand  1000000 \\boxed{}\n", ""):
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_the_shipped_tokenizer_is_the_one_that_the_script_trains() -> None:
    shipped = json.loads((BASE / "tokenizer.json").read_text(encoding="utf-8"))
    built = json.loads(build_tokenizer().backend_tokenizer.to_str())
    for part in ("model", "pre_tokenizer", "decoder", "added_tokens"):
        assert built[part] == shipped[part]


def test_the_chat_template_marks_what_the_assistant_wrote(tokenizer: PreTrainedTokenizerBase) -> None:
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Sums"},
        {"role": "assistant", "content": "2 + 2 = 4"},
    ]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert text == "<|system|>Be brief.<|end|><|user|>Sums<|end|><|assistant|>2 + 2 = 4<|end|><|assistant|>"
    coded = tokenizer.apply_chat_template(turns, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
    marked = [token for token, mark in zip(coded["input_ids"], coded["assistant_masks"], strict=True) if mark]
    assert tokenizer.decode(marked) == "2 + 2 = 4<|end|>"


def test_the_base_answers_more_than_chance_and_less_than_well(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    rows = [
        json.loads(line) for line in (make_data.FOLDER / "train.jsonl").read_text(encoding="utf-8").splitlines()[:100]
    ]
    chats = [[{"role": "user", "content": row["question"]}] for row in rows]
    prompts = tokenizer.apply_chat_template(
        chats, add_generation_prompt=True, return_dict=True, return_tensors="pt", padding=True
    )
    ids = model.generate(**prompts, do_sample=False, max_new_tokens=80)
    replies = tokenizer.batch_decode(ids[:, prompts["input_ids"].shape[1] :], skip_special_tokens=True)
    right = sum(world.read_answer(reply) == int(row["answer"]) for reply, row in zip(replies, rows, strict=True))
    assert all(reply.startswith(world.SOLUTION_MARKER) for reply in replies)
    assert 35 <= right <= 80


@pytest.mark.long
def test_training_with_the_same_seed_gives_the_same_model(tmp_path: Path) -> None:
    def trained(name: str, seed: int) -> dict[str, torch.Tensor]:
        pretrain.train(tmp_path / name, pretrain.Length(steps=2, cpu_seconds=0), seed, pretrain.Recipe())
        weights: dict[str, torch.Tensor] = load_file(tmp_path / name / "model.safetensors")
        return weights

    first, again, other = trained("first", 3), trained("again", 3), trained("other", 4)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)
