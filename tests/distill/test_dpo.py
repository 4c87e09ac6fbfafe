"""Preference training on pairs: its loss, what it teaches, and that it goes on exactly."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from agentark.api import DPO, Lora
from agentark.distill.dpo import DPOResult, EncodedPair
from agentark.distill.encoding import Encoded
from agentark.errors import Interrupted, InvalidInput
from tests.distill.test_training import StopAfter
from tests.distill.world import Training, pairs, row, sums

Make = Callable[..., Training]
BETA = 0.5
FAST = DPO(beta=0.5, learning_rate=3e-3)


def trained(training: Training, *arguments: Any) -> DPOResult:
    result = training.run(*arguments)
    assert isinstance(result, DPOResult)
    return result


def log_probability(model: Any, text: Encoded) -> float:
    """Of the completion after its prompt, token by token, in 64 bits."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor(text.ids[None, :], dtype=torch.long)).logits[0].double()
    steps = range(text.prompt, len(text.ids))
    return sum(torch.log_softmax(logits[place - 1], dim=-1)[int(text.ids[place])].item() for place in steps)


@pytest.mark.parametrize("micro", [4, 2], ids=["whole", "accumulated"])
@pytest.mark.parametrize("lora", [0, 4], ids=["all weights", "adapters"])
def test_the_loss_is_that_of_the_paper(
    training: Make, model: Path, monkeypatch: pytest.MonkeyPatch, lora: int, micro: int
) -> None:
    monkeypatch.setattr("agentark.training.arguments.micro_batch", lambda **_: micro)
    adapted = {"lora": Lora(rank=lora, alpha=2 * lora) if lora else None}
    learning = training(rows=pairs(6), dpo=FAST, checkpoint_steps=1, epochs=2, warmup_ratio=0.0, **adapted)
    result = trained(learning)
    # Before the first step the student is its reference; the second batch meets what the first step made of it.
    assert result.losses[0].loss == pytest.approx(torch.log(torch.tensor(2.0)).item(), abs=1e-6)
    stopped = training("stopped", rows=pairs(6), dpo=FAST, checkpoint_steps=1, epochs=2, warmup_ratio=0.0, **adapted)
    with pytest.raises(Interrupted):
        stopped.run(StopAfter(1))
    kept = next((stopped.folder / "store" / "checkpoints").iterdir())
    start = AutoModelForCausalLM.from_pretrained(model).double().eval()
    reference = AutoModelForCausalLM.from_pretrained(model).double().eval()
    policy = (
        PeftModel.from_pretrained(start, kept).double().eval()
        if lora
        else AutoModelForCausalLM.from_pretrained(kept).double().eval()
    )
    recipe = stopped.recipe()
    batch: list[EncodedPair] = [recipe.fitted.rows[place] for place in recipe.order[4:8]]
    margins = torch.tensor(
        [
            BETA
            * (
                (log_probability(policy, pair.chosen) - log_probability(reference, pair.chosen))
                - (log_probability(policy, pair.rejected) - log_probability(reference, pair.rejected))
            )
            for pair in batch
        ]
    )
    assert result.losses[1].loss == pytest.approx(-torch.nn.functional.logsigmoid(margins).mean().item(), rel=1e-4)
    assert result.preferences[1].margin == pytest.approx(margins.mean().item(), rel=1e-3, abs=1e-5)
    assert result.preferences[1].accuracy == (margins > 0).double().mean().item()
    assert margins.abs().max() > 1e-3


@pytest.mark.long
def test_a_student_that_answers_wrong_learns_what_to_prefer(training: Make) -> None:
    undecided = [*sums(12, answer="1"), *sums(12, answer="2"), *sums(12, answer="2")]
    before = training("before", rows=undecided, evaluations=1, epochs=4)
    assert before.run().accuracy[-1].accuracy == 0.0
    mended = training("mended", model=before.out, rows=pairs(12), dpo=FAST, evaluations=3, epochs=10)
    result = trained(mended)
    assert (result.steps, result.rows, result.epochs) == (30, 12, 10.0)
    assert result.preferences[0].margin == pytest.approx(0.0, abs=1e-5)
    assert result.preferences[-1].margin > 1.0 and result.preferences[-1].accuracy == 1.0
    assert result.accuracy[-1].accuracy == 1.0 and result.best_step == 30


def test_the_last_batch_is_filled_from_a_further_pass(training: Make) -> None:
    result = trained(training(rows=pairs(5), dpo=FAST, epochs=1))
    assert (result.steps, result.epochs) == (2, 8 / 5)


@pytest.mark.parametrize("lora", [0, 4], ids=["all weights", "adapters"])
@pytest.mark.long
def test_a_stopped_training_goes_on_as_if_nothing_had_happened(training: Make, dropping_model: Path, lora: int) -> None:
    changes: dict[str, Any] = {"model": dropping_model, "rows": pairs(10), "dpo": FAST, "evaluations": 2}
    changes |= {"lora": Lora(rank=lora, alpha=8) if lora else None}
    undisturbed, stopped = training("whole", **changes), training("stopped", **changes)
    expected = trained(undisturbed)
    with pytest.raises(Interrupted, match="DPO stopped after step 4 of 7"):
        stopped.run(StopAfter(4))
    result = trained(stopped)
    assert result.resumed_from == 4
    assert (result.losses, result.preferences, result.accuracy) == (
        expected.losses, expected.preferences, expected.accuracy,
    )  # fmt: skip
    one, other = (load_file(made.out / "model.safetensors") for made in (stopped, undisturbed))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_another_beta_is_another_training(training: Make) -> None:
    first = training("first", rows=pairs(8), dpo=FAST)
    second = training("second", rows=pairs(8), dpo=FAST.model_copy(update={"beta": 0.2}))
    with pytest.raises(Interrupted):
        first.run(StopAfter(3))
    (second.folder / "store").symlink_to(first.folder / "store")
    assert second.run().resumed_from == 0


def test_a_pair_is_dropped_where_either_text_is_too_long(training: Make) -> None:
    long = {**pairs(1)[0], "rejected": row("", "c" * 180)["completion"]}
    result = trained(training(rows=[*pairs(6), long], dpo=FAST, epochs=1))
    assert (result.rows, result.dropped) == (6, 1)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "holds no pairs to train on; DPO needs debates in which an agent mended its wrong first attempt"),
        (sums(3), r"rows.jsonl:1: chosen: Field required"),
        ([{**pairs(1)[0], "rejected": []}], r"rows.jsonl:1: rejected"),
    ],
)
def test_rows_that_are_no_pairs_are_refused(training: Make, rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        training(rows=rows, dpo=FAST).run()
