"""A tiny student and tiny data: small enough that a whole training takes about a second."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentark.api import DPO
from agentark.api import Training as TrainingSettings
from agentark.distill import Checkpoints, TrainResult
from agentark.store import Store, open_store
from agentark.tasks import task

if TYPE_CHECKING:
    from agentark.distill.training import RowsRecipe

TEMPLATE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
SPECIAL = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
CHARACTERS = " 0123456789+=?.,\\{}abcdefghijklmnopqrstuvwxyzA"


def write_model(folder: Path, *, template: str | None = TEMPLATE, context: int = 256, dropout: float = 0.0) -> Path:
    """A random Llama of about 20,000 weights whose tokens are characters."""
    import torch
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    vocabulary = {token: number for number, token in enumerate([*SPECIAL, *CHARACTERS])}
    characters = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    characters.pre_tokenizer = pre_tokenizers.Split(Regex("."), behavior="isolated")
    characters.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=characters, pad_token="<|pad|>", eos_token="<|end|>", additional_special_tokens=SPECIAL[2:]
    )
    tokenizer.chat_template = template
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        attention_dropout=dropout,
        bos_token_id=None,
        eos_token_id=vocabulary["<|end|>"],
        pad_token_id=vocabulary["<|pad|>"],
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def row(question: str, answer: str, weight: float = 1.0) -> dict[str, Any]:
    return {
        "prompt": [{"role": "user", "content": question}],
        "completion": [{"role": "assistant", "content": answer}],
        "question_id": question,
        "weight": weight,
        "form": "Solution",
    }


def sums(count: int, answer: str = "1") -> list[dict[str, Any]]:
    """Rows whose completions differ in length, some questions with two traces of half the weight."""
    rows, answer = [], f"\\boxed{{{answer}}}"
    for number in range(count):
        text = f"{number}+0=?"
        if number % 3 == 0:
            rows += [row(text, f"a{'b' * (number % 5)} {answer}", 0.5), row(text, f"cd {answer}", 0.5)]
        else:
            rows.append(row(text, f"a {answer}"))
    return rows


def pairs(count: int, chosen: str = "1", rejected: str = "2") -> list[dict[str, Any]]:
    """Pairs of answers, the texts of different lengths."""
    texts = [
        (f"{number}+0=?", f"a{'b' * (number % 3)} \\boxed{{{chosen}}}", f"a{'b' * (number % 4)} \\boxed{{{rejected}}}")
        for number in range(count)
    ]
    return [
        {"prompt": row(question, "")["prompt"]}
        | {"chosen": row("", good)["completion"], "rejected": row("", bad)["completion"]}
        for question, good, bad in texts
    ]


def write_lines(path: Path, items: Iterable[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    return path


def write_held_out(path: Path, count: int, gold: str = "1") -> Path:
    return write_lines(path, ({"prompt": row(f"{number}+0=?", "")["prompt"], "gold": gold} for number in range(count)))


@dataclass
class Training:
    """One training as a stage would call it; `run` may be called again, as after an interruption."""

    folder: Path
    model: Path
    rows: Path
    settings: TrainingSettings
    held_out: Path | None = None
    dpo: DPO | None = None
    """Trains on pairs where it is given."""
    seen: list[tuple[int, int, dict[str, float]]] = field(default_factory=list)

    @property
    def out(self) -> Path:
        return self.folder / "student"

    @property
    def store(self) -> Store:
        return open_store(str(self.folder / "store"))

    @property
    def checkpoints(self) -> Checkpoints:
        return Checkpoints(self.store, "checkpoints")

    def for_child(self) -> Path:
        """Write down what `tests.distill.child` needs; return its argument."""
        given = {"model": str(self.model), "rows": str(self.rows), "settings": self.settings.canonical()}
        given["held_out"] = str(self.held_out) if self.held_out else ""
        given["dpo"] = self.dpo.canonical() if self.dpo else None
        (self.folder / "given.json").write_text(json.dumps(given))
        return self.folder

    def recipe(self) -> "RowsRecipe[Any]":
        from agentark.distill.dpo import DPORecipe
        from agentark.distill.training import SupervisedRecipe

        arguments: dict[str, Any] = {
            "model": self.model,
            "rows": self.rows,
            "held_out": self.held_out,
            "policy": task("gsm8k").policy,
            "out": self.out,
            "training": self.settings,
            "max_new_tokens": 24,
        }
        return DPORecipe(dpo=self.dpo, **arguments) if self.dpo else SupervisedRecipe(**arguments)

    def note(self, step: int, total: int, metrics: Mapping[str, float]) -> None:
        self.seen.append((step, total, dict(metrics)))

    def run(
        self,
        should_stop: Callable[[], bool] = lambda: False,
        on_progress: Callable[[int, int, Mapping[str, float]], None] | None = None,
    ) -> TrainResult:
        from agentark.training.harness import run

        return run(
            self.recipe(),
            work=self.folder / "work",
            checkpoints=self.checkpoints,
            on_progress=on_progress or self.note,
            should_stop=should_stop,
        )
