from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

from agentark.distill.encoding import Encoded, encode, fit, order
from agentark.distill.params import TrainParams
from agentark.distill.rows import Row
from agentark.errors import InvalidInput
from agentark.training.arguments import micro_batch
from tests.distill.world import TEMPLATE, row, write_model

ROW = Row.model_validate(row("1+1", "2"))


def test_only_the_answer_and_its_end_are_learnt(model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model)
    (one,) = encode([ROW], tokenizer, {tokenizer.eos_token_id})
    assert tokenizer.decode(one.ids[: one.prompt]) == "<|user|>1+1<|end|><|assistant|>"
    assert tokenizer.decode(one.ids[one.prompt :]) == "2<|end|>"


def test_a_template_without_end_of_turn_gets_one(tmp_path: Path) -> None:
    unended = TEMPLATE.replace("+ '<|end|>'", "+ (',' if m['role'] == 'user' else '')")
    tokenizer = AutoTokenizer.from_pretrained(write_model(tmp_path / "m", template=unended))
    (one,) = encode([ROW], tokenizer, {tokenizer.eos_token_id})
    assert tokenizer.decode(one.ids) == "<|user|>1+1,<|assistant|>2<|end|>"


def rows(*lengths: int) -> list[Encoded]:
    return [Encoded(np.arange(length, dtype=np.int32), 1, 1.0) for length in lengths]


def test_rows_are_dropped_or_kept_but_never_cut() -> None:
    dropped = fit(rows(5, 10, 11), max_length=10, context=99, keep=False)
    assert ([len(one.ids) for one in dropped.rows], dropped.dropped, dropped.max_length) == ([5, 10], 1, 10)
    kept = fit(rows(5, 10, 11), max_length=10, context=99, keep=True)
    assert ([len(one.ids) for one in kept.rows], kept.dropped, kept.max_length) == ([5, 10, 11], 0, 11)
    assert fit(rows(5, 10, 11), max_length=50, context=10, keep=False).dropped == 1
    with pytest.raises(InvalidInput, match="the shortest has 5"):
        fit(rows(5, 6), max_length=4, context=99, keep=False)


def test_every_pass_takes_every_row_once_in_a_new_order() -> None:
    found = order(10, total=25, seed=3)
    assert sorted(found[:10]) == sorted(found[10:20]) == list(range(10))
    assert found[:10] != found[10:20] and len(set(found[20:])) == 5
    assert found == order(10, total=25, seed=3) != order(10, total=25, seed=4)


@pytest.mark.parametrize(
    ("share", "longest", "size"), [(32, 100, 32), (32, 1024, 16), (32, 10_000, 1), (7, 4096, 1), (1, 99_999, 1)]
)
def test_a_forward_pass_takes_a_divisor_of_the_share_within_the_budget(share: int, longest: int, size: int) -> None:
    assert micro_batch(per_process=share, longest=longest) == size


def test_steps_and_evaluations_follow_from_epochs() -> None:
    params = TrainParams(epochs=2.5, learning_rate=1.0, batch_size=4, max_length=9, evals=3)
    assert (params.total_rows(10), params.total_steps(10)) == (25, 7)
    assert params.evaluation_steps(7) == {2, 5, 7}
    assert params.evaluation_steps(1) == {1}


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 0.0},
        {"learning_rate": float("nan")},
        {"batch_size": 0},
        {"lora_rank": 4},
        {"warmup_ratio": 1.0},
        {"scheduler": "steps"},
        {"precision": "int8"},
        {"seed": -1},
    ],
)
def test_parameters_out_of_range_are_named(change: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match=f"training: .*{next(iter(change))[:4]}"):
        TrainParams(**{"epochs": 1.0, "learning_rate": 1.0, "batch_size": 4, "max_length": 9, **change})  # type: ignore[arg-type]
