from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

from agentark.api import Training
from agentark.distill.encoding import Encoded, encode, fit, order
from agentark.distill.recipe import evaluation_steps
from agentark.distill.rows import Row
from agentark.distill.training import total_rows
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
    assert total_rows(Training(epochs=2.5), 10) == 25
    assert evaluation_steps(7, evaluations=3) == {2, 5, 7}
    assert evaluation_steps(1, evaluations=3) == {1}
    assert evaluation_steps(8, evaluations=3, multiple=2) == {2, 6, 8}


@pytest.mark.parametrize(
    ("change", "named"),
    [({"epochs": 0}, "epochs"), ({"learning_rate": 0}, "learning_rate"), ({"warmup_ratio": 1}, "warmupRatio")],
)
def test_a_training_that_would_train_nothing_is_refused(change: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=rf"Training(\.|: ){named}"):
        Training(**change)


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": -1.0},
        {"learning_rate": float("nan")},
        {"batch_size": 0},
        {"lora": {"rank": 0}},
        {"warmup_ratio": 1.1},
        {"schedule": "Steps"},
        {"precision": "Int8"},
        {"seed": -1},
    ],
)
def test_settings_out_of_range_are_named(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=rf"Training\.{next(iter(change))}[:.]"):
        Training(**change)
