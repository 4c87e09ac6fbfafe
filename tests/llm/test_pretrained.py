"""Models are loaded by one function: no code of theirs runs, and no pickle is opened."""

import ast
import json
import pickle
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from agentark.api import Dataset, DebateRun, Model, StoreSource
from agentark.errors import InvalidInput
from agentark.planning import pin_addresses, pin_model
from agentark.store import open_store

ROOT = Path(__file__).parents[2]
FOLDERS = ("agentark", "benchmarks", "examples", "images", "operator")
BASE = ROOT / "examples" / "quickstart" / "base"
READS_NO_WEIGHTS = {"GenerationConfig"}
"""Classes that read JSON alone, and take no such arguments."""
OWN_CHECKPOINTS = {"PeftModel"}
"""What adapters of our own trainings are read with; it takes no such arguments."""


class Stranger:
    """Unpickled, it says that code has run."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def load_engine(folder: Path) -> object:
    from agentark.llm.local import load

    return load(folder)


def load_student(folder: Path) -> object:
    from agentark.distill.student import load_weights, read_base

    return load_weights(read_base(folder), "training")


def load_reward_model(folder: Path) -> object:
    from agentark.reward.model import load_backbone

    return load_backbone(folder, "inference")


def measure_perplexity(folder: Path) -> object:
    from agentark.evaluate.perplexity import Trace, measure
    from agentark.llm import Message

    return measure(folder, [Trace((Message("user", "a"),), "b", 1)])


def score_by_encoder(folder: Path) -> object:
    from agentark.evaluate.texts import score_texts

    config = folder / "tokenizer_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"model_max_length": 64}))
    return score_texts(["a"], [["a"]], ["BERTScore"], encoder=folder, layer=1)


def load_in_vllm(folder: Path) -> object:
    from agentark.llm.vllm import VllmEngine

    return VllmEngine(folder)


LOADERS = [load_engine, load_student, load_reward_model, measure_perplexity, score_by_encoder]


@pytest.fixture
def pickled(tmp_path: Path) -> Path:
    """A model whose weights are a pickle that would run code."""
    folder = tmp_path / "pickled"
    shutil.copytree(BASE, folder)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Stranger(tmp_path / "ran")))
    return folder


@pytest.mark.parametrize("load", LOADERS)
def test_pickled_weights_are_refused_with_the_mend(load: Callable[[Path], object], pickled: Path) -> None:
    with pytest.raises(InvalidInput, match=r"only as pytorch_model\.bin, a pickle.*convert them to safetensors"):
        load(pickled)
    assert not (pickled.parent / "ran").exists()


@pytest.mark.parametrize("load", LOADERS)
def test_code_of_a_model_is_not_run_even_where_a_person_would_say_yes(
    load: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, mark = tmp_path / "own-code", tmp_path / "ran"
    shutil.copytree(BASE, folder)
    config = json.loads((folder / "config.json").read_text())
    names = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel", "AutoModel": "own.OwnModel"}
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "strange", "auto_map": names}))
    (folder / "own.py").write_text(f"import pathlib\npathlib.Path({str(mark)!r}).touch()\n")
    monkeypatch.setattr("builtins.input", lambda _question: "y")
    with pytest.raises(InvalidInput, match=r"custom code|trust_remote_code"):
        load(folder)
    assert not mark.exists()


def test_vllm_is_told_the_same(tmp_path: Path, pickled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}
    modules = {
        "vllm": {"SamplingParams": object},
        "vllm.engine": {},
        "vllm.engine.arg_utils": {"AsyncEngineArgs": told.update},
        "vllm.sampling_params": {"RequestOutputKind": type("Kind", (), {"FINAL_ONLY": 0})},
        "vllm.v1": {},
        "vllm.v1.engine": {},
        "vllm.v1.engine.async_llm": {"AsyncLLM": type("LLM", (), {"from_engine_args": lambda _arguments: object()})},
    }
    for name, content in modules.items():
        module = ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)
    load_in_vllm(BASE)
    assert told["trust_remote_code"] is False and told["load_format"] == "safetensors"
    with pytest.raises(InvalidInput, match="a pickle"):
        load_in_vllm(pickled)


@pytest.mark.parametrize(
    ("names", "refused"),
    [
        (("config.json", "pytorch_model.bin"), True),
        (("config.json", "pytorch_model-00001-of-00002.bin", "onnx/model.safetensors"), True),
        (("params.json", "consolidated.00.pth"), True),
        (("config.json", "pytorch_model.bin", "model-00001-of-00002.safetensors"), False),
        (("config.json", "model.safetensors", "original/consolidated.00.pth"), False),
        (("config.json", "pytorch_model.bin", "adapter_model.safetensors"), True),
        (("config.json", "model.safetensors", "adapter_model.bin"), True),
        (("config.json", "model.safetensors", "adapter_model.bin", "adapter_model.safetensors"), False),
        (("config.json", "training_args.bin"), False),
        (("config.json",), False),
    ],
)
def test_what_counts_as_pickled_weights_alone(names: tuple[str, ...], refused: bool) -> None:
    from agentark.pretrained import check_weights

    if refused:
        with pytest.raises(InvalidInput, match="there: its weights"):
            check_weights(names, "there")
    else:
        check_weights(names, "there")


def test_pickled_weights_are_refused_when_the_run_is_planned(pickled: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"question": "1 + 1?", "answer": "2"}\n')
    spec = {"dataset": Dataset(uri=f"file:{tmp_path}/rows.jsonl"), "teacher": {"model": Model(uri=f"file:{pickled}")}}
    made = {"apiVersion": "agentark.dev/v1alpha1", "kind": "DebateRun", "metadata": {"name": "talk"}, "spec": spec}
    store = open_store(str(tmp_path / "store"))
    with pytest.raises(InvalidInput, match=r"DebateRun 'talk': model file:.*only as pytorch_model\.bin"):
        pin_addresses([DebateRun.model_validate(made)], base=tmp_path, store=store, source=StoreSource())


def test_pickled_weights_on_the_hub_are_refused_before_they_are_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub
    from huggingface_hub.hf_api import ModelInfo

    siblings = [{"rfilename": name} for name in ("config.json", "pytorch_model.bin")]
    info = ModelInfo(id="a/b", sha="0" * 40, siblings=siblings)
    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", lambda *_, **__: info)
    with pytest.raises(InvalidInput, match=r"model hf://a/b: its weights.*only as pytorch_model\.bin"):
        pin_model(Model(uri="hf://a/b"), store=open_store(str(tmp_path)), source=StoreSource())


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """Every `X.from_pretrained(...)` of the project: where it is, X, and the call."""
    for file in (file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(value=owner, attr="from_pretrained")):
                    yield f"{file.relative_to(ROOT)}:{node.lineno}", ast.unparse(owner), node


def test_every_call_that_loads_says_so() -> None:
    wrong, seen = [], 0
    for where, owner, call in calls():
        if owner in READS_NO_WEIGHTS | OWN_CHECKPOINTS:
            continue
        seen += 1
        said = {one.arg: ast.unparse(one.value) for one in call.keywords}
        wanted = {"trust_remote_code": "False"}
        if owner not in ("AutoTokenizer", "AutoConfig"):
            wanted["use_safetensors"] = "True"
        if not wanted.items() <= said.items():
            wrong.append(f"{where}: {owner}.from_pretrained says {said}, not {wanted}")
    assert not wrong
    assert seen >= 4, "the search has lost what it looks for"


def test_the_package_loads_in_one_place() -> None:
    places = {where.partition(":")[0] for where, owner, _ in calls() if owner not in READS_NO_WEIGHTS | OWN_CHECKPOINTS}
    assert {place for place in places if place.startswith("agentark/")} == {"agentark/pretrained.py"}
