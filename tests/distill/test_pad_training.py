"""Whole PAD trainings: what is returned, what stops them, what is refused."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from agentark.api import PAD, Lora, PADGuards
from agentark.distill.pad.rollouts import vllm_arguments
from agentark.errors import Interrupted, InvalidInput
from benchmarks.reward_hacking import QUICKSTART, REASONS, run
from tests.distill.pad_world import PadTraining, settings

Make = Callable[..., PadTraining]
SHORT: dict[str, Any] = {
    "max_new_tokens": 48,
    "outcome_weight": 0.0,
    "group": 8,
    "guards": PADGuards(),
    "checkpoint_steps": 10,
    "seed": 2,
}


@pytest.fixture
def training(tmp_path: Path, model: Path) -> Make:
    def make(name: str = "a", *, golds: Sequence[str | None] | None = None, **changes: Any) -> PadTraining:
        (tmp_path / name).mkdir()
        made = PadTraining(tmp_path / name, model, *settings(**changes))
        made.golds = made.golds if golds is None else golds
        return made

    return make


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize("scorer", ["constant", "inverted"])
@pytest.mark.long
def test_a_gamed_reward_is_noticed_and_the_student_is_no_worse(tmp_path: Path, scorer: str) -> None:
    chosen = settings(steps=6, learning_rate=1e-3, **SHORT, prompts_per_step=6, evaluations=1)
    result = run(scorer, *chosen, 10, tmp_path)
    assert REASONS[scorer] in result.stopped
    assert result.steps < 6
    assert result.best_step == 0
    assert result.best_accuracy == result.start_accuracy
    assert weights(tmp_path / "student") == weights(QUICKSTART / "base")
    # It has ended: the same call again trains no more.
    again = run(scorer, *chosen, 10, tmp_path)
    assert (again.stopped, again.steps, again.resumed_from) == (result.stopped, result.steps, result.steps)


@pytest.mark.long
def test_a_faithful_reward_alone_teaches(tmp_path: Path) -> None:
    chosen = settings(steps=8, learning_rate=4e-4, **SHORT, prompts_per_step=8, evaluations=2)
    result = run("faithful", *chosen, 40, tmp_path)
    assert result.stopped == ""
    assert result.start_accuracy is not None
    assert result.best_accuracy is not None
    assert result.best_accuracy > result.start_accuracy + 0.05
    assert [one.step for one in result.accuracy] == [0, 4, 8]
    assert [one.step for one in result.curves] == list(range(1, 9))


@pytest.mark.long
def test_what_is_taught_is_what_the_scorer_likes(training: Make) -> None:
    made = training(steps=20, golds=[None, None], outcome_weight=0.0, prompts_per_step=4, group=8)
    result = made.run()
    process = [one.process_reward for one in result.curves if one.process_reward is not None]
    assert sum(process[-3:]) / 3 > sum(process[:3]) / 3 + 0.15
    assert {one.accuracy for one in result.curves} == {None}
    assert made.seen[-1]["process_reward"] == result.curves[-1].process_reward


def test_without_anything_to_learn_the_student_stays_as_it_was(training: Make) -> None:
    # No verifiable reward and no step scores; every answer breaks off, so all are alike.
    made = training(golds=[None, None], process_weight=0.0, steps=2, max_new_tokens=1, seed=11)
    result = made.run()
    assert {one.reward for one in result.curves} == {-0.5}
    assert weights(made.out) == weights(made.model)


def test_outcome_rewards_alone_need_no_scorer(training: Make) -> None:
    made = training(steps=2)
    made.scored = False
    result = made.run()
    assert [one.process_reward for one in result.curves] == [None, None]
    assert all(one.accuracy is not None for one in result.curves)


def test_adapters_are_merged(training: Make) -> None:
    made = training(steps=2, lora=Lora(rank=2, alpha=4), kl=0.1)
    result = made.run()
    assert (made.out / "model.safetensors").is_file()
    assert not list(made.out.glob("adapter*"))
    assert all(one.kl is not None for one in result.curves)


def test_a_training_that_is_told_to_stop_goes_on_later(training: Make) -> None:
    made = training(steps=4)
    with pytest.raises(Interrupted, match="step 2 of 4"):
        made.run(should_stop=lambda: len(made.seen) >= 1)
    assert not made.out.exists()
    assert made.run().resumed_from == 2


def test_a_training_that_is_told_to_stop_first_does_not_wait_for_its_other_processes(training: Make) -> None:
    made = training(steps=4)
    with pytest.raises(Interrupted, match="before it had begun"):
        made.run(should_stop=lambda: True)
    assert not made.out.exists() and not made.seen


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"steps": 3, "iterations": 2}, "steps"),
        ({"group": 1}, "group"),
        ({"min_temperature": 0.0}, "min_temperature"),
        ({"aggregation": "Max"}, "aggregation"),
        ({"rollouts": "VLLMServer"}, "vllmUrl"),
        ({"kl": -0.1}, "kl"),
    ],
)
def test_parameters_out_of_range_are_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        settings(**changes)


def test_no_questions_are_refused(training: Make) -> None:
    with pytest.raises(InvalidInput, match="no questions"):
        training(golds=[]).run()


def test_vllm_s_settings_and_its_absence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    colocate = PAD(rollouts="VLLMColocate")
    server = PAD(rollouts="VLLMServer", vllm_url="http://localhost:8000")
    assert vllm_arguments(PAD()) == {}
    monkeypatch.setattr(sys, "path", [])
    for pad in (colocate, server):
        with pytest.raises(InvalidInput, match="vllm is not installed"):
            vllm_arguments(pad)
    (tmp_path / "vllm.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert vllm_arguments(colocate) == {"use_vllm": True, "vllm_mode": "colocate"}
    assert vllm_arguments(server) == {
        "use_vllm": True,
        "vllm_mode": "server",
        "vllm_server_base_url": "http://localhost:8000",
    }
