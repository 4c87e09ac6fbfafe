"""A toy that a tiny model learns in seconds: a step is wrong if it holds a z, and so are the steps after it."""

import json
import random
from dataclasses import dataclass
from pathlib import Path

from agentark.api import PRMSpec
from agentark.llm.chat import Message
from agentark.reward.params import PRMResult
from agentark.reward.rows import LabelledStep, PRMRow, PromptMessage, write_rows
from agentark.reward.steps import split_steps
from agentark.reward.training import PRMRecipe
from agentark.store import open_store
from agentark.training.checkpoints import Checkpoints
from agentark.training.harness import run

PROMPT = (Message("user", "go"),)


def solution(rng: random.Random, lines: int = 3) -> str:
    return "\n".join("".join(rng.choices("abcdz", weights=(3, 3, 3, 3, 2), k=4)) for _ in range(lines))


def row(question: str, text: str, *, held_out: bool = False) -> PRMRow:
    steps, wrong = [], False
    for step in split_steps(text, "Newline"):
        wrong = wrong or "z" in text[step.start : step.end]
        steps.append(LabelledStep(start=step.start, end=step.end, label=0.0 if wrong else 1.0, source="Agreement"))
    prompt = (PromptMessage(role="user", content="go"),)
    return PRMRow(
        question=question,
        prompt=prompt,
        solution=text,
        rule="Newline",
        steps=tuple(steps),
        correct=not wrong,
        answer="no" if wrong else "yes",
        held_out=held_out,
    )


def rows(questions: int = 24, seed: int = 0) -> list[PRMRow]:
    rng = random.Random(seed)
    return [row(f"q{number}", solution(rng), held_out=number % 3 == 0) for number in range(questions) for _ in range(4)]


@dataclass(frozen=True)
class PRMTraining:
    """A training in a folder of its own."""

    folder: Path
    model: Path
    spec: PRMSpec
    made: tuple[PRMRow, ...]

    @property
    def out(self) -> Path:
        return self.folder / "prm"

    def run(self, *, stop_after: int = 0) -> PRMResult:
        """Train; `stop_after` steps it is told to stop, as by SIGTERM."""
        self.folder.mkdir(exist_ok=True)
        file = self.folder / "rows.jsonl"
        file.write_bytes(write_rows(self.made))
        steps: list[int] = []
        return run(
            PRMRecipe(
                model=self.model,
                rows=file,
                out=self.out,
                spec=self.spec,
                solutions=4,
            ),
            work=self.folder / "work",
            checkpoints=Checkpoints(open_store(str(self.folder / "store")), "checkpoints"),
            on_progress=lambda step, _total, _metrics: steps.append(step),
            should_stop=lambda: bool(stop_after) and len(steps) + 1 >= stop_after,
        )


def write_gpt2(folder: Path) -> Path:
    """A tiny model of another family whose tokens are pairs of bytes."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    texts = [one.solution for one in rows(60, seed=9)]
    trainer = trainers.BpeTrainer(
        vocab_size=280,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=["<e>"],
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<e>", pad_token="<e>")
    torch.manual_seed(1)
    config = GPT2Config(vocab_size=len(tokenizer), n_positions=128, n_embd=32, n_layer=2, n_head=2)
    config.resid_pdrop = config.embd_pdrop = config.attn_pdrop = 0.0
    config.bos_token_id = config.eos_token_id = 0
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def main(folder: Path) -> None:
    """Run a training described by a file, in a process of its own."""
    given = json.loads((folder / "given.json").read_text())
    made = tuple(rows(given["questions"]))
    result = PRMTraining(folder, Path(given["model"]), PRMSpec.model_validate(given["spec"]), made).run()
    (folder / "result.json").write_text(json.dumps({"losses": result.losses, "resumed_from": result.resumed_from}))


if __name__ == "__main__":
    import sys

    main(Path(sys.argv[1]))
