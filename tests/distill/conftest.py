"""Tiny models and data for distillation tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentark.api import Training as TrainingSettings
from tests.distill.world import Training, sums, write_held_out, write_lines, write_model

DEFAULTS: dict[str, Any] = {
    "epochs": 2.5,
    "learning_rate": 1e-2,
    "batch_size": 4,
    "max_length_tokens": 128,
    "checkpoint_steps": 3,
    "warmup_ratio": 0.1,
    "precision": "Float32",
    "seed": 7,
}


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "plain")


@pytest.fixture(scope="session")
def dropping_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with dropout, whose training depends on the random state."""
    return write_model(tmp_path_factory.mktemp("model") / "dropout", dropout=0.2)


@pytest.fixture
def training(tmp_path: Path, model: Path) -> Callable[..., Training]:
    """Make a training of the tiny model; keyword arguments replace parameters or the Training's own fields."""

    def make(
        name: str = "a", *, rows: list[dict[str, Any]] | None = None, evaluations: int = 0, **changes: Any
    ) -> Training:
        folder = tmp_path / name
        folder.mkdir()
        return Training(
            folder,
            model=changes.pop("model", model),
            rows=write_lines(folder / "rows.jsonl", sums(12) if rows is None else rows),
            held_out=write_held_out(folder / "held_out.jsonl", 6) if evaluations else None,
            dpo=changes.pop("dpo", None),
            settings=TrainingSettings(**{**DEFAULTS, "evaluations": evaluations, **changes}),
        )

    return make
