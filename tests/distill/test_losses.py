"""The loss against a naive loop, however the batch is split."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback
from trl.trainer.sft_config import SFTConfig

from agentark.distill.encoding import Encoded, encode
from agentark.distill.losses import IGNORED, weighted_nll, weighted_tokens
from agentark.distill.rows import Row
from agentark.distill.trainer import WeightedCollator, WeightedSFTTrainer, ordered
from tests.distill.world import sums

# paper_formulas.rsft_and_da_losses of the reference vectors, computed from the paper's equations 1 and 2.
TRACES = ([-0.2, -0.5, -0.1, -0.05], [-0.9, -0.4, -0.3, -0.1])
RSFT = (0.85, 1.7)
DA_K2 = 1.275


@pytest.mark.parametrize(("trace", "expected"), list(zip(TRACES, RSFT, strict=True)))
def test_rsft_sums_reasoning_and_answer(trace: list[float], expected: float) -> None:
    assert weighted_nll(torch.tensor([trace]), torch.ones(1)).item() == pytest.approx(expected, abs=1e-5)


def test_da_averages_the_traces_of_a_question() -> None:
    assert weighted_nll(torch.tensor(TRACES), torch.full((2,), 0.5)).item() == pytest.approx(DA_K2, abs=1e-5)


def test_tokens_count_by_weight_and_without_prompt_padding_and_the_first_token() -> None:
    labels = torch.tensor([[IGNORED, 5, 6, IGNORED], [5, 6, 7, 8]])
    assert weighted_tokens(labels, torch.tensor([1.0, 0.5])).item() == 2 + 0.5 * 3


def naive(model: Any, rows: list[Encoded]) -> float:
    total = divisor = 0.0
    for row in rows:
        ids = torch.tensor(row.ids.tolist())
        log_probs = model(input_ids=ids[None]).logits[0].log_softmax(-1)
        for position in range(row.prompt, len(ids)):
            total += row.weight * -log_probs[position - 1, ids[position]].item()
            divisor += row.weight
    return total / divisor


def trained(folder: Path, model: Path, rows: list[Encoded], *, micro: int, accumulate: int, rate: float) -> list[float]:
    tokenizer = AutoTokenizer.from_pretrained(model)
    trainer = WeightedSFTTrainer(
        measure=None,
        model=AutoModelForCausalLM.from_pretrained(model),
        args=SFTConfig(
            output_dir=str(folder),
            per_device_train_batch_size=micro,
            gradient_accumulation_steps=accumulate,
            num_train_epochs=1,
            train_sampling_strategy="sequential",
            learning_rate=rate,
            bf16=False,
            use_cpu=True,
            gradient_checkpointing=False,
            dataloader_pin_memory=False,
            max_length=None,
            remove_unused_columns=False,
            dataset_kwargs={"skip_prepare_dataset": True},
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=ordered(rows, range(len(rows)), multiple=micro * accumulate),
        data_collator=WeightedCollator(tokenizer.pad_token_id),
        processing_class=tokenizer,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def test_a_steps_loss_is_the_weighted_mean_over_its_whole_batch(tmp_path: Path, model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model)
    rows = encode((Row.model_validate(one) for one in sums(13)), tokenizer, {tokenizer.eos_token_id})
    assert len(rows) == 18 and {row.weight for row in rows} == {0.5, 1.0}
    expected = [naive(AutoModelForCausalLM.from_pretrained(model), rows[first : first + 8]) for first in (0, 8, 16)]
    for micro, accumulate in ((8, 1), (2, 4), (1, 8)):
        assert trained(tmp_path, model, rows, micro=micro, accumulate=accumulate, rate=0.0) == pytest.approx(
            expected, abs=1e-5
        )


def test_gradients_do_not_depend_on_how_a_batch_is_split(tmp_path: Path, model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model)
    rows = encode((Row.model_validate(one) for one in sums(26)), tokenizer, {tokenizer.eos_token_id})
    whole = trained(tmp_path, model, rows, micro=8, accumulate=1, rate=1e-2)
    split = trained(tmp_path, model, rows, micro=2, accumulate=4, rate=1e-2)
    assert whole[-1] < whole[0] - 0.3
    assert split == pytest.approx(whole, abs=1e-4)
