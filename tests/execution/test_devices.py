"""Where each stage and command puts the weights that it loads, on a machine where torch sees GPUs.

Models stay where they are here: what is asked of `to` is written down, or ends the stage.
"""

import json
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from agentark.api import DPO, PAD, Execution, PRMSpec
from agentark.api import Training as TrainingSettings
from agentark.execution import scoring
from agentark.execution.context import StageContext
from agentark.execution.engines import build_engines, vllm_can_run, weights_engine
from agentark.execution.rewards import score_file
from agentark.execution.stages import pad, prm
from agentark.planning import Pin, Plan, Stage
from agentark.reports.diagnosis import diagnose
from agentark.reward.metrics import Calibration
from agentark.reward.model import Card, load_tokenizer, write_prm
from agentark.reward.rows import write_rows
from agentark.reward.scoring import PRM
from agentark.store import ProgressWriter, StageManifest, Store, commit, open_store, stage_path
from agentark.store.outputs import Output, put_bytes, put_folder
from tests.distill.pad_world import DEFAULTS, PadTraining
from tests.distill.world import Training, pairs, sums, write_lines, write_model
from tests.reward.toys import PROMPT, rows

ANSWER = {"id": "a", "question": "1+1=?", "prediction": "a cat", "gold": "a 1+1=2 \\boxed{2}"}
OWN = "f" * 16


class Placed(Exception):
    """A model was to be moved to a device."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "plain")


@pytest.fixture(scope="module")
def reward_model(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    from transformers import AutoModelForTokenClassification

    folder = tmp_path_factory.mktemp("reward") / "prm"
    plain = AutoModelForTokenClassification.from_pretrained(model, num_labels=1)
    write_prm(plain, load_tokenizer(model), Card("Newline", 64, "Contrastive", Calibration()), folder)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A machine with two GPUs, as torch tells it; returns the devices that models are moved to."""
    moved: list[str] = []

    def to(network: PreTrainedModel, *arguments: Any, **_: Any) -> PreTrainedModel:
        moved.extend(str(one) for one in arguments if isinstance(one, str | torch.device))
        return network

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _device: None)
    monkeypatch.setattr(PreTrainedModel, "to", to)
    return moved


@pytest.fixture
def first_device(gpus: list[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], str]:
    """Where the first model goes that a call loads; the call goes no further."""

    def to(network: PreTrainedModel, device: object) -> None:
        raise Placed(str(device))

    def first(call: Callable[[], object]) -> str:
        monkeypatch.setattr(PreTrainedModel, "to", to)
        with pytest.raises(Exception, match=r"cuda|cpu") as caught:  # loaders wrap what is raised in them
            call()
        error: BaseException | None = caught.value
        while error is not None and not isinstance(error, Placed):
            error = error.__cause__
        assert error is not None, caught.value
        return str(error)

    return first


def context_of(
    store: Store,
    work: Path,
    stage: dict[str, Any],
    inputs: dict[str, tuple[str, Callable[[str], dict[str, Output]]]] | None = None,
    model: Path | None = None,
) -> StageContext:
    """A stage's context; `inputs` are by role the kind of the stage above, and what makes its outputs below a path."""
    above = []
    for number, (role, (kind, make)) in enumerate((inputs or {}).items()):
        key = f"{number:x}" * 16
        outputs = make(stage_path(kind, key))
        times = {"started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:00:00Z"}
        commit(store, StageManifest(kind=kind, key=key, params={}, inputs={}, outputs=outputs, attempt=1, **times))
        above.append((role, Stage(kind=kind, name=role, key=key, params={})))  # type: ignore[arg-type]
    own = Stage(name=stage["kind"], key=OWN, inputs={role: one.key for role, one in above}, **stage)
    pins = {"file:model": Pin(uri="file:model", identity="sha256:0", path=str(model))} if model else {}
    stages = (*(one for _, one in above), own)
    plan = Plan(kind="DistillJob", name="a", namespace="n", run_id="a-1", manifest={}, pins=pins, stages=stages)
    return StageContext(plan, own, store, 1, work, ProgressWriter(store, own.kind, own.key), threading.Event())


First = Callable[[Callable[[], object]], str]


def test_roll_outs_debates_and_evaluations(first_device: First, store: Store, tmp_path: Path, model: Path) -> None:
    settings = {"execution": {"engine": "Transformers"}, "models": [{"model": {"uri": "file:model"}}]}
    for kind in ("steps", "debate", "evaluate"):
        context = context_of(store, tmp_path, {"kind": kind, "params": {}, "settings": settings}, model=model)
        assert first_device(lambda context=context: build_engines(context)) == "cuda:0"  # type: ignore[misc]


def test_questions_and_gates(first_device: First, model: Path) -> None:
    assert first_device(lambda: weights_engine(model, Execution(engine="Transformers"))) == "cuda:0"


def test_pads_reward_model(first_device: First, store: Store, tmp_path: Path, reward_model: Path) -> None:
    made = {"prm": ("prm", lambda path: {"model": put_folder(store, f"{path}/model", reward_model)})}
    context = context_of(store, tmp_path, {"kind": "distill", "params": {}}, made)
    assert first_device(lambda: pad._scorer(context, PAD(), ExitStack())) == "cuda:0"


def test_scores_of_a_file(first_device: First, store: Store, tmp_path: Path, reward_model: Path) -> None:
    file = write_lines(tmp_path / "rows.jsonl", [{"question": "go", "solution": "abcd"}])
    assert first_device(lambda: list(score_file(store, str(reward_model), file, namespace="n"))) == "cuda:0"


def test_perplexity(first_device: First, model: Path) -> None:
    answers = scoring.read_answers([json.dumps(ANSWER).encode()], source="rows", needs=())
    assert first_device(lambda: scoring.gold_perplexity(answers, model)) == "cuda:0"


def test_bert_score(first_device: First, tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel, BertTokenizerFast

    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n")
    shape: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 6}
    BertModel(BertConfig(intermediate_size=8, **shape)).save_pretrained(tmp_path)
    BertTokenizerFast(vocab=str(tmp_path / "vocab.txt"), model_max_length=64).save_pretrained(tmp_path)
    answers = scoring.read_answers([json.dumps(ANSWER).encode()], source="rows", needs=())
    assert first_device(lambda: scoring.text_scores(answers, ["BERTScore"], encoder=tmp_path)) == "cuda:0"


def test_trainings(first_device: First, tmp_path: Path, model: Path) -> None:
    settings = TrainingSettings(
        epochs=1, learning_rate=1e-2, batch_size=4, max_length_tokens=64, precision="Float32", evaluations=0
    )
    supervised = Training(tmp_path, model, write_lines(tmp_path / "rows.jsonl", sums(8)), settings)
    assert first_device(supervised.run) == "cuda:0"
    supervised.rows, supervised.dpo = write_lines(tmp_path / "pairs.jsonl", pairs(8)), DPO()
    assert first_device(supervised.run) == "cuda:0"

    assert first_device(PadTraining(tmp_path, model, PAD(**DEFAULTS)).run) == "cuda:0"


def prm_context(store: Store, work: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> StageContext:
    """Of a stage that trains for a moment."""
    training = TrainingSettings(epochs=1, learning_rate=1e-2, batch_size=4, max_length_tokens=64, precision="Float32")
    params = PRMSpec(training=training).keyed("PRM")
    labelled = write_rows(tuple(rows(12)))
    made = {"steps": ("steps", lambda path: {"rows": put_bytes(store, f"{path}/rows.jsonl", labelled)})}
    settings = {"model": "file:model", "checkpointSteps": 5}
    return context_of(store, work, {"kind": "prm", "params": params, "settings": settings}, made, model)


def test_a_reward_model_in_training_and_the_scores_of_held_out_rows(
    gpus: list[str], store: Store, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = prm_context(store, tmp_path, model, monkeypatch)
    with monkeypatch.context() as without:
        without.setattr(torch.cuda, "is_available", lambda: False)
        prm.run(context)
    assert "cuda:0" not in gpus
    gpus.clear()
    # The second attempt finds the training done: it writes the model, and scores with it.
    prm.run(context)
    assert gpus[-1] == "cuda:0"


def test_held_out_rows_are_scored_once(
    store: Store, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    score = PRM.score

    def counted(judge: PRM, prompts: Any, texts: Any, steps: Any) -> Any:
        asked.extend(texts)
        return score(judge, prompts, texts, steps)

    monkeypatch.setattr(PRM, "score", counted)
    result = prm.run(prm_context(store, tmp_path, model, monkeypatch))
    held_out = [row for row in rows(12) if row.held_out]
    assert asked == [row.solution for row in held_out]
    # What is shown to people are the scores of the model that was written.
    written = [json.loads(line) for line in store.read(result.outputs["scores"].path).splitlines()]
    judge = PRM.load(tmp_path / "prm")
    again = judge([PROMPT] * len(written), [line["solution"] for line in written])
    for line, steps in zip(written, again, strict=True):
        assert line["scores"] == pytest.approx([step.score for step in steps], abs=1e-5)
    assert len(written) == len(held_out)
    assert "scores" not in json.loads(store.read(result.outputs["history"].path))


@pytest.mark.parametrize(
    ("files", "there"),
    [((), False), (("nvidiactl", "nvidia-uvm", "nvidia-modeset"), False), (("nvidia0",), True), (("nvidia11",), True)],
)
def test_a_gpu_that_is_not_the_first_is_seen_without_torch(
    files: tuple[str, ...], there: bool, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agentark import devices

    for name in files:
        (tmp_path / name).touch()
    monkeypatch.setattr(devices, "_DEVICE_FILES", tmp_path)
    assert [finding.ok for finding in diagnose(store) if finding.what == "GPU"] == [there]
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: object())
    assert vllm_can_run() is there


def test_numbers_are_those_that_a_device_computes_with(monkeypatch: pytest.MonkeyPatch) -> None:
    from agentark.devices import Placement, placement

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert {placement("training"), placement("inference"), placement("writing")} == {Placement("cpu", "float32")}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for rank, count, device in (("0", 8, "cuda:0"), ("5", 8, "cuda:5"), ("5", 1, "cuda:0")):
        monkeypatch.setenv("LOCAL_RANK", rank)
        monkeypatch.setattr(torch.cuda, "device_count", lambda count=count: count)
        assert placement("training") == Placement(device, "float32")
        assert placement("inference") == Placement(device, "auto")
        assert placement("writing") == Placement("cpu", "float32")
