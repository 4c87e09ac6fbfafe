"""Process reward models: what they learn, which weights move when, how they are saved, resumed and asked."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForTokenClassification

from agentark.api import Lora, PRMSpec, Training
from agentark.errors import Interrupted, InvalidInput
from agentark.llm.chat import Message
from agentark.reward.encoding import encode
from agentark.reward.model import load_backbone, load_tokenizer
from agentark.reward.scoring import PRM
from agentark.reward.steps import split_steps
from agentark.reward.trainer import first_phase
from tests.distill.world import write_model
from tests.reward.toys import PROMPT, PRMTraining, row, rows, write_gpt2
from tests.servers import warm

ROOT = Path(__file__).parents[2]
TRAINING: dict[str, Any] = {
    "epochs": 8,
    "learning_rate": 1e-2,
    "batch_size": 4,
    "max_length_tokens": 64,
    "warmup_ratio": 0.1,
    "precision": "Float32",
    "checkpoint_steps": 5,
    "seed": 3,
}
SPEC = PRMSpec(training=Training(**TRAINING))
Make = Callable[..., PRMTraining]


def spec(**changes: Any) -> PRMSpec:
    """The settings of tests, with changes to the reward model's own or to those of `training`."""
    own = {name: value for name, value in changes.items() if name in PRMSpec.model_fields}
    others = {name: value for name, value in changes.items() if name not in own}
    return PRMSpec(training=Training(**TRAINING | others), **own)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "plain")


@pytest.fixture
def training(tmp_path: Path, model: Path) -> Make:
    def make(name: str = "a", *, questions: int = 24, base: Path = model, **changes: Any) -> PRMTraining:
        return PRMTraining(tmp_path / name, base, spec(**changes), tuple(rows(questions)))

    return make


@pytest.mark.parametrize("loss", ["Contrastive", "CrossEntropy", "Representation"])
def test_wrong_steps_are_told_from_right_ones(training: Make, loss: str) -> None:
    made = training(loss=loss)
    result = made.run()
    assert result.losses[-1].loss < result.losses[0].loss
    assert result.held_out is not None and result.held_out.auroc is not None
    assert result.held_out.auroc > 0.9
    assert result.held_out.best_of_n is not None
    assert result.held_out.best_of_n.prm >= result.held_out.best_of_n.random
    plain, report = AutoModelForTokenClassification.from_pretrained(made.out, output_loading_info=True)
    assert plain.config.num_labels == 1
    assert not report["missing_keys"] and not report["unexpected_keys"]


def test_the_projector_of_the_representation_loss_is_trained(training: Make, tmp_path: Path) -> None:
    made = training(loss="Representation", epochs=2)
    made.run()
    saved = sorted((made.folder / "store" / "checkpoints").glob("*/model.safetensors"))
    from safetensors.torch import load_file

    first, last = load_file(saved[0]), load_file(saved[-1])
    assert any(not torch.equal(first[name], last[name]) for name in first if name.startswith("projector."))


def test_adapters_are_merged_into_a_plain_model(training: Make) -> None:
    made = training(lora=Lora(rank=4, alpha=8), epochs=4)
    made.run()
    assert not list(made.out.glob("adapter*"))
    names = {name for name, _ in AutoModelForTokenClassification.from_pretrained(made.out).named_parameters()}
    assert not any("lora" in name for name in names)


def test_the_first_phase_moves_only_the_head_and_the_last_layer(training: Make, model: Path) -> None:
    # 16 questions in batches of 4 are 8 steps, of which all but the last train head and last layer alone.
    made = training(head_fraction=0.99, epochs=2)
    stopped = 7
    with pytest.raises(Interrupted):
        made.run(stop_after=stopped)
    before = load_backbone(model, "inference")
    after = AutoModelForTokenClassification.from_pretrained(
        max((made.folder / "store" / "checkpoints").glob("*/config.json")).parent
    )
    start = dict(before.named_parameters())
    moved = {name for name, weight in after.named_parameters() if not torch.equal(weight, start[name])}
    assert moved == first_phase(before)
    assert moved and all(name.startswith(("model.layers.1.", "score.")) for name in moved)


def test_the_second_phase_moves_the_rest(training: Make, model: Path) -> None:
    made = training(head_fraction=0.2, epochs=2)
    made.run()
    start = dict(load_backbone(model, "inference").named_parameters())
    after = AutoModelForTokenClassification.from_pretrained(made.out)
    still = {name for name, weight in after.named_parameters() if torch.equal(weight, start[name])}
    assert not still


def test_a_killed_training_ends_with_the_same_weights(tmp_path: Path, model: Path, warm_processes: None) -> None:
    weights = []
    for name in ("whole", "killed"):
        folder = tmp_path / name
        folder.mkdir()
        given = {"model": str(model), "spec": spec(epochs=6).canonical(), "questions": 24}
        (folder / "given.json").write_text(json.dumps(given))
        if name == "killed":
            _kill_at_first_checkpoint(folder)
        process = _child(folder)
        _, errors = process.communicate()
        assert process.returncode == 0, errors
        weights.append((folder / "prm" / "model.safetensors").read_bytes())
    results = [json.loads((tmp_path / name / "result.json").read_text()) for name in ("whole", "killed")]
    assert results[1]["resumed_from"] >= 5
    assert results[0]["losses"] == results[1]["losses"]
    assert weights[0] == weights[1]


def _child(folder: Path) -> subprocess.Popen[str]:
    return warm.Popen(
        [sys.executable, "-m", "tests.reward.toys", str(folder)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


def _kill_at_first_checkpoint(folder: Path) -> None:
    process = _child(folder)
    while not list(folder.glob("store/checkpoints/*/_COMPLETE.json")):
        assert process.poll() is None, process.communicate()[1]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (folder / "prm").exists()


def test_a_stopped_training_goes_on(training: Make) -> None:
    whole, stopped = training("whole"), training("stopped")
    expected = whole.run()
    with pytest.raises(Interrupted, match="run it again"):
        stopped.run(stop_after=7)
    result = stopped.run()
    assert result.resumed_from >= 6
    assert result.losses == expected.losses


@pytest.fixture(scope="module")
def prm(tmp_path_factory: pytest.TempPathFactory, model: Path) -> PRM:
    made = PRMTraining(tmp_path_factory.mktemp("prm") / "a", model, SPEC, tuple(rows()))
    made.run()
    return PRM.load(made.out)


def test_what_else_is_in_the_batch_does_not_matter(prm: PRM) -> None:
    texts = [one.solution for one in rows(10)] + ["", "ab\nabz\n" * 6]
    together = prm([PROMPT] * len(texts), texts)
    alone = [prm([PROMPT], [text])[0] for text in texts]
    assert together[-2] == []
    for first, second in zip(together, alone, strict=True):
        assert [step[:2] for step in first] == [step[:2] for step in second]
        assert [step.score for step in first] == pytest.approx([step.score for step in second], abs=1e-5)


def test_long_solutions_are_read_in_windows_and_lose_no_step(prm: PRM) -> None:
    long = "\n".join(["abcd"] * 40 + ["abzd"] + ["abcd"] * 5)
    windows = encode(load_tokenizer_of(prm), PROMPT, long, split_steps(long, "Newline"), max_length=64)
    assert len(windows) > 3
    assert [step for window in windows for step in window.steps] == list(range(46))
    assert all(len(window.ids) <= 64 for window in windows)
    (scored,) = prm([PROMPT], [long])
    assert len(scored) == 46
    (short,) = prm([PROMPT], ["abcd"])
    assert scored[0].score == pytest.approx(short[0].score, abs=1e-5)
    assert scored[40].score < scored[39].score


def load_tokenizer_of(prm: PRM) -> Any:
    return prm._tokenizer


def test_a_prompt_that_leaves_no_room_is_refused(prm: PRM) -> None:
    with pytest.raises(InvalidInput, match="maxLengthTokens"):
        prm([(Message("user", "a" * 60),)], ["abcd\n" * 10])


def test_another_family_and_tokenizer_score_the_same_text(training: Make, tmp_path: Path, model: Path) -> None:
    made = training("gpt2", base=write_gpt2(tmp_path / "base"), questions=36, epochs=16)
    result = made.run()
    assert result.held_out is not None and (result.held_out.auroc or 0) > 0.8
    judge = PRM.load(made.out)
    text = "abcd\nabzd\nabcd"
    student = load_tokenizer(model)
    ids = student(text, add_special_tokens=False)["input_ids"]
    assert ids != judge_ids(judge, text)
    assert (
        "".join(text[start:end] for start, end in student(text, return_offsets_mapping=True)["offset_mapping"]) == text
    )
    (scored,) = judge([PROMPT], [text])
    assert scored == PRM.load(made.out)([PROMPT], [str(text)])[0]
    assert scored[1].score < scored[0].score
    assert [text[step.start : step.end] for step in scored] == text.split("\n")


def judge_ids(judge: PRM, text: str) -> list[int]:
    return list(load_tokenizer_of(judge)(text, add_special_tokens=False)["input_ids"])


def test_questions_without_contrast_are_named(training: Make, tmp_path: Path, model: Path) -> None:
    right = tuple(row(f"q{number}", "abcd\nabcd") for number in range(4))
    with pytest.raises(InvalidInput, match="both right and wrong steps"):
        PRMTraining(tmp_path / "b", model, SPEC, right).run()


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [("epochs", 0.0, "epochs"), ("head_fraction", 1.0, "headFraction"), ("temperature", 0.0, "temperature")],
)
def test_settings_out_of_range_are_named(name: str, value: float, named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        spec(**{name: value})
