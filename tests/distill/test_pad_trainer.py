"""The loss that PAD's trainer minimises: its value and gradient against plain loops."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from trl.trainer.grpo_config import GRPOConfig

from agentark.api import PAD
from agentark.distill.pad.assessing import Assessor
from agentark.distill.pad.losses import clipped_surrogate, kl_k3, token_mean
from agentark.distill.pad.rollouts import InProcessRollouts
from agentark.distill.pad.trainer import PadTrainer
from agentark.distill.student import load_weights, read_base
from agentark.llm.chat import Sampling
from agentark.tasks import task
from tests.distill.pad_world import count_digits, question

pytestmark = pytest.mark.filterwarnings("ignore:You are using 'rollout_func'")
Make = Callable[..., PadTrainer]


@pytest.fixture
def trainer(tmp_path: Path, model: Path) -> Make:
    def make(**changes: Any) -> PadTrainer:
        # Copied, not checked: some tests reward nothing, which no manifest may.
        pad = PAD(steps=1, prompts_per_step=2, group=3).model_copy(update=changes)
        base = read_base(model)
        arguments = GRPOConfig(
            output_dir=str(tmp_path), num_generations=3, per_device_train_batch_size=6, max_completion_length=9,
            loss_type="dapo", beta=pad.kl, epsilon=pad.clip, use_cpu=True, bf16=False, report_to="none",
            gradient_checkpointing=False, dataloader_pin_memory=False, shuffle_dataset=False, seed=4,
        )  # fmt: skip
        made = PadTrainer(
            pad=pad,
            assessor=Assessor(base.tokenizer, base.ends, task("gsm8k").policy, count_digits),
            measure=None,
            model=load_weights(base, "training"),
            args=arguments,
            train_dataset=Dataset.from_list([question(0), question(1, None)]),
            processing_class=base.tokenizer,
            rollout_func=InProcessRollouts(
                base.tokenizer, sampling=Sampling(temperature=1.0, max_tokens=9), group=3, seed=4
            ),
        )
        made.current_gradient_accumulation_steps = 1
        return made

    return make


def rolled_out(trainer: PadTrainer) -> dict[str, Any]:
    rows = [row for number in range(2) for row in [trainer.train_dataset[number]] * 3]
    trainer.model.train()
    return dict(trainer._generate_and_score_completions(rows))


def loop_loss(model: Any, reference: Any, batch: dict[str, Any], pad: PAD) -> torch.Tensor:
    """Token by token, answer by answer, without padding.

    The divergence is weighed by the ratio (TRL's default), which makes its gradient that of the true divergence.
    """
    total, count = torch.zeros(()), 0
    for row in range(len(batch["completion_ids"])):
        prompt = batch["prompt_ids"][row][batch["prompt_mask"][row].bool()]
        answer = batch["completion_ids"][row][batch["completion_mask"][row].bool()]
        ids = torch.cat([prompt, answer])[None]
        chosen = torch.log_softmax(model(input_ids=ids).logits[0].float(), dim=-1)
        with torch.no_grad():
            start = torch.log_softmax(reference(input_ids=ids).logits[0].float(), dim=-1)
        for place, token in enumerate(answer.tolist()):
            before = len(prompt) + place - 1
            log_p, log_ref = chosen[before, token], start[before, token]
            old = batch["old_per_token_logps"][row, place] if "old_per_token_logps" in batch else log_p.detach()
            ratio = torch.exp(log_p - old)
            advantage = batch["advantages"][row, place]
            clipped = torch.clamp(ratio, 1 - pad.clip, 1 + pad.clip)
            divergence = torch.exp(log_ref - log_p) - 1 - (log_ref - log_p)
            total = total - torch.minimum(ratio * advantage, clipped * advantage) + pad.kl * ratio * divergence
            count += 1
    return total / count


def gradients(model: Any, loss: torch.Tensor) -> torch.Tensor:
    model.zero_grad()
    loss.backward()
    return torch.cat([one.grad.flatten() for one in model.parameters() if one.grad is not None])


@pytest.mark.parametrize("kl", [0.0, 0.3])
def test_loss_and_gradient_as_a_loop(trainer: Make, model: Path, kl: float) -> None:
    made = trainer(kl=kl)
    batch = rolled_out(made)
    assert batch["advantages"].shape == batch["completion_ids"].shape
    torch.manual_seed(1)
    for one in made.model.parameters():  # Away from the start, so that there is a divergence, and from old ratios of 1.
        one.data += 0.03 * torch.randn_like(one)
    with torch.no_grad():
        logps = made._get_per_token_logps_and_entropies(
            made.model,
            torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1),
            torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1),
            batch["completion_ids"].size(1),
        )[0]
    batch["old_per_token_logps"] = logps + 0.3 * torch.randn_like(logps)
    start = load_weights(read_base(model), "training")
    found = made.compute_loss(made.model, dict(batch))
    expected = loop_loss(made.model, start, batch, made._pad)
    assert found.item() == pytest.approx(expected.item(), abs=1e-5)
    assert torch.allclose(gradients(made.model, found), gradients(made.model, expected), atol=1e-5)
    # The formulas alone say the same.
    mask = batch["completion_mask"]
    surrogate = clipped_surrogate(logps, batch["old_per_token_logps"], batch["advantages"], 0.2)
    ratio = torch.exp(logps - batch["old_per_token_logps"])
    divergence = kl * ratio * kl_k3(logps, batch["ref_per_token_logps"], mask) if kl else 0.0
    assert token_mean(surrogate + divergence, mask).item() == pytest.approx(found.item(), abs=1e-5)


def test_the_divergence_has_a_gradient_of_its_own(trainer: Make) -> None:
    made = trainer(kl=0.5, process_weight=0.0, outcome_weight=0.0)
    batch = rolled_out(made)
    assert not batch["advantages"].any()
    at_start = gradients(made.model, made.compute_loss(made.model, dict(batch)))
    assert at_start.norm() == pytest.approx(0, abs=1e-6)
    for one in made.model.parameters():
        one.data += 0.03 * torch.randn_like(one)
    away = gradients(made.model, made.compute_loss(made.model, dict(batch)))
    assert away.norm() > 1e-3


def test_no_advantage_means_no_gradient_and_no_nan(trainer: Make) -> None:
    made = trainer(process_weight=0.0, outcome_weight=0.0)
    batch = rolled_out(made)
    found = gradients(made.model, made.compute_loss(made.model, dict(batch)))
    assert found.norm() == 0
    batch["completion_mask"] = torch.zeros_like(batch["completion_mask"])
    batch["num_items_in_batch"] = torch.tensor(0)
    masked = gradients(made.model, made.compute_loss(made.model, dict(batch)))
    assert torch.isfinite(masked).all()
    assert masked.norm() == 0


def test_without_step_scores_advantages_are_plain_grpo(trainer: Make) -> None:
    made = trainer(process_weight=0.0)
    batch = rolled_out(made)
    rewards = torch.tensor([one.outcome for one in made._assessed]).view(2, 3)
    assert rewards.unique().numel() > 1
    expected = (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + 1e-4)
    for found, value, mask in zip(batch["advantages"], expected.flatten(), batch["completion_mask"], strict=True):
        assert torch.allclose(found[mask.bool()], value, atol=1e-5)
        assert not found[~mask.bool()].any()


def test_the_token_that_ends_an_answer_is_trained(trainer: Make) -> None:
    made = trainer(temperature=1.0)
    batch = rolled_out(made)
    end = made.processing_class.eos_token_id
    places = [(row, ids.tolist().index(end)) for row, ids in enumerate(batch["completion_ids"]) if end in ids]
    assert places
    assert all(batch["completion_mask"][place] for place in places)
    assert any(batch["advantages"][place] for place in places)
