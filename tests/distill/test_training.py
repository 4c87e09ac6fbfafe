"""Whole trainings of a tiny student."""

import json
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from agentark.api import Lora
from agentark.distill import TrainResult
from agentark.errors import AgentArkError, Interrupted, InvalidInput
from tests.distill.world import Training, row, sums, write_model

Make = Callable[..., Training]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def same(first: Path, second: Path) -> bool:
    a, b = weights(first), weights(second)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class StopAfter:
    """Asks to stop after so many steps; it is asked before the first one too."""

    def __init__(self, steps: int) -> None:
        self.left = steps + 1

    def __call__(self) -> bool:
        self.left -= 1
        return self.left <= 0


def comparable(result: TrainResult) -> tuple[object, ...]:
    return result.steps, result.losses, result.accuracy, result.best_step, result.train_tokens, result.epochs


def test_the_student_is_a_plain_model_that_learnt_to_answer_and_to_stop(training: Make, model: Path) -> None:
    made = training(evaluations=3, epochs=6)
    result = made.run()
    assert (result.steps, result.rows, result.dropped, result.epochs, result.world_size) == (24, 16, 0, 6.0, 1)
    assert [one.step for one in result.losses] == list(range(1, 25))
    assert result.losses[-1].loss < result.losses[0].loss / 2
    assert [one.step for one in result.accuracy] == [8, 16, 24]
    assert result.accuracy[-1].accuracy == 1.0 and result.accuracy[-1].n == 6 and result.best_step == 24
    assert [step for step, _, _ in made.seen] == list(range(1, 25))
    assert made.seen[-1][1] == 24 and made.seen[-1][2]["loss"] == result.losses[-1].loss

    assert {file.name for file in made.out.iterdir()} == {file.name for file in model.iterdir()}
    tokenizer = AutoTokenizer.from_pretrained(made.out)
    student = AutoModelForCausalLM.from_pretrained(made.out)
    assert student.config.use_cache and student.dtype == torch.float32
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "4+0=?"}], add_generation_prompt=True, return_tensors="pt"
    )
    answer = tokenizer.decode(student.generate(**prompt, max_new_tokens=24, do_sample=False)[0])
    assert answer.endswith("\\boxed{1}<|end|>")
    assert not list(made.folder.rglob("README.md"))


def test_a_stopped_training_goes_on_as_if_nothing_had_happened(training: Make, dropping_model: Path) -> None:
    undisturbed = training("whole", model=dropping_model, evaluations=2)
    expected = undisturbed.run()
    stopped = training("stopped", model=dropping_model, evaluations=2)
    for done in (4, 7):
        with pytest.raises(Interrupted, match=f"step {done} of 10"):
            stopped.run(StopAfter(4 if done == 4 else 3))
        assert not stopped.out.exists()
    result = stopped.run()
    assert result.resumed_from == 7
    assert comparable(result) == comparable(expected)
    assert same(stopped.out, undisturbed.out)


def test_a_torn_checkpoint_is_passed_over_and_its_steps_are_trained_again(training: Make, dropping_model: Path) -> None:
    undisturbed = training("whole", model=dropping_model)
    expected = undisturbed.run()
    stopped = training("stopped", model=dropping_model)
    with pytest.raises(Interrupted):
        stopped.run(StopAfter(5))
    latest = max(entry.path.split("/")[1] for entry in stopped.store.entries("checkpoints"))
    stopped.store.write(f"checkpoints/{latest}/optimizer.pt", b"cut")
    result = stopped.run()
    assert result.resumed_from == 3
    assert comparable(result) == comparable(expected)
    assert same(stopped.out, undisturbed.out)


def test_a_finished_training_whose_output_was_lost_only_writes_it_again(training: Make) -> None:
    made = training(evaluations=2)
    expected = made.run()
    made.out.rename(made.folder / "first")
    made.seen.clear()
    assert comparable(made.run()) == comparable(expected)
    assert not made.seen
    assert same(made.out, made.folder / "first")


def test_evaluation_does_not_disturb_the_training(training: Make, dropping_model: Path) -> None:
    measured, plain = training("measured", model=dropping_model, evaluations=5), training("plain", model=dropping_model)
    assert measured.run().losses == plain.run().losses
    last = [
        max(entry.path for entry in one.store.entries("checkpoints") if entry.path.endswith("model.safetensors"))
        for one in (measured, plain)
    ]
    assert measured.store.read(last[0]) == plain.store.read(last[1])


def test_the_best_checkpoint_is_the_output_not_the_last(training: Make) -> None:
    knows_it = training("first", evaluations=1, epochs=6)
    assert knows_it.run().accuracy[-1].accuracy == 1.0
    unlearns = training("second", model=knows_it.out, rows=sums(12, answer="2"), evaluations=10, warmup_ratio=0.3)
    result = unlearns.run()
    best = max(one.accuracy for one in result.accuracy)
    assert best > result.accuracy[-1].accuracy
    assert result.best_step == max(one.step for one in result.accuracy if one.accuracy == best)
    assert result.best_step < result.steps
    kept = next(
        entry.path.rsplit("/", 1)[0]
        for entry in unlearns.store.entries("checkpoints")
        if f"/{result.best_step:08d}-" in entry.path
    )
    assert same(unlearns.out, unlearns.folder / "store" / kept)


@pytest.mark.long
def test_adapters_are_merged_into_a_plain_model(training: Make, model: Path) -> None:
    undisturbed = training("whole", lora=Lora(rank=4, alpha=8), epochs=5)
    expected = undisturbed.run()
    assert expected.losses[-1].loss < expected.losses[0].loss - 0.3
    stored = {entry.path.rsplit("/", 1)[1] for entry in undisturbed.store.entries("checkpoints")}
    assert "adapter_model.safetensors" in stored and "model.safetensors" not in stored
    assert weights(undisturbed.out).keys() == weights(model).keys() and not same(undisturbed.out, model)
    assert "peft" not in (undisturbed.out / "config.json").read_text()

    stopped = training("stopped", lora=Lora(rank=4, alpha=8), epochs=5)
    with pytest.raises(Interrupted):
        stopped.run(StopAfter(4))
    assert comparable(stopped.run()) == comparable(expected)
    assert same(stopped.out, undisturbed.out)


def test_bfloat16_trains_with_weights_in_32_bits(training: Make) -> None:
    made = training(precision="BFloat16", epochs=5)
    result = made.run()
    assert result.losses[-1].loss < result.losses[0].loss / 2
    assert all(one.dtype == torch.float32 for one in weights(made.out).values())


def test_a_student_is_stored_in_the_type_of_its_base(training: Make, model: Path, tmp_path: Path) -> None:
    half = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
    half.save_pretrained(tmp_path / "half")
    AutoTokenizer.from_pretrained(model).save_pretrained(tmp_path / "half")
    made = training(model=tmp_path / "half", epochs=1)
    made.run()
    assert all(one.dtype == torch.bfloat16 for one in weights(made.out).values())


LONG = row("long", "c" * 180)


def test_long_traces_are_dropped_and_counted(training: Make) -> None:
    result = training(rows=[*sums(12), LONG, LONG], epochs=1).run()
    assert (result.rows, result.dropped, result.max_length) == (16, 2, 128)


def test_long_traces_are_kept_whole(training: Make) -> None:
    result = training(rows=[LONG, *sums(3)], epochs=1, long_traces="Keep").run()
    # Two role tokens, "long", the end of its turn, 180 letters and their end.
    assert (result.rows, result.dropped, result.max_length) == (5, 0, 2 + 4 + 1 + 180 + 1)


def test_a_loss_that_is_no_number_stops_the_training_at_once(training: Make) -> None:
    made = training(warmup_ratio=0.0, evaluations=1)
    made.settings = made.settings.model_copy(update={"learning_rate": 1e30})  # A manifest may not ask for it.
    with pytest.raises(AgentArkError, match=r"at step \d of 10 \(learning rate .*Lower the learning rate") as caught:
        made.run()
    assert caught.value.exit_code == 1
    assert not made.out.exists() and not list(made.store.entries("checkpoints"))


def test_another_training_at_the_same_place_starts_afresh(training: Make) -> None:
    first, second = training("first"), training("second", learning_rate=5e-3)
    with pytest.raises(Interrupted):
        first.run(StopAfter(4))
    (second.folder / "store").symlink_to(first.folder / "store")
    assert second.run().resumed_from == 0


@pytest.mark.parametrize("room", [30_000, 150_000], ids=["weights", "optimiser"])
def test_a_full_disk_is_named_and_leaves_nothing_half_done(training: Make, room: int) -> None:
    made = training()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(AgentArkError, match=r"cannot write below .*free space"):
            made.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not made.out.exists() and not list(made.store.entries("checkpoints"))
    assert made.run().resumed_from == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": [LONG]}, "all 1 rows are longer than 128 tokens"),
        ({"rows": [row("q", "c" * 300)], "long_traces": "Keep"}, "reads 256 at most"),
        ({"rows": []}, "holds no rows to train on"),
        ({"rows": [{**row("q", "a"), "weight": 0}]}, r"rows.jsonl:1: weight: .*greater than 0"),
        ({"rows": [row("q", "a"), {"prompt": []}]}, r"rows.jsonl:2: prompt"),
        ({"rows": [{**row("q", "a"), "completion": row("q", "a")["prompt"]}]}, "role 'user'"),
    ],
)
def test_rows_that_cannot_be_trained_on_are_refused(training: Make, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        training(**changes).run()


def test_a_missing_or_damaged_model_is_refused(training: Make, model: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"holds no config.json"):
        training("a", model=tmp_path / "none").run()
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in model.iterdir():
        (broken / file.name).write_bytes(file.read_bytes()[: 4000 if file.suffix == ".safetensors" else None])
    with pytest.raises(InvalidInput, match="cannot be loaded"):
        training("b", model=broken).run()


def test_a_foreign_output_folder_is_left_alone(training: Make) -> None:
    made = training(epochs=1)
    made.out.mkdir()
    (made.out / "thesis.txt").write_text("mine")
    with pytest.raises(InvalidInput, match="not a model folder"):
        made.run()
    assert (made.out / "thesis.txt").read_text() == "mine"


def test_the_template_must_write_a_prompt_the_same_way_before_an_answer(training: Make, tmp_path: Path) -> None:
    thinks = "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endfor %}"
    broken = write_model(tmp_path / "m", template=thinks + "{% if add_generation_prompt %}<|assistant|>?{% endif %}")
    with pytest.raises(InvalidInput, match="prompt of row 1 alone otherwise"):
        training(model=broken).run()
    with pytest.raises(InvalidInput, match="no chat template"):
        training("b", model=write_model(tmp_path / "n", template=None)).run()


def test_results_can_be_written_as_json(training: Make) -> None:
    from dataclasses import asdict

    assert json.loads(json.dumps(asdict(training(epochs=0.2).run())))["steps"] == 1
