"""Trains the quickstart's base model from scratch on pages of its small world, on one CPU core.

    python examples/quickstart/pretrain.py --out DIR --cpu-seconds 1200 --seed 7

The same `--steps` and seed give the same model on the same kind of machine; with `--cpu-seconds` the number of steps
depends on how fast the machine is. DIR holds a loadable model from the first tenth of the run on, but only the
finished one is any good: the learning rate falls to almost nothing over the last 40 % of the run, and accuracy comes
with that.
"""

import argparse
import enum
import math
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import make_data
import torch
from corpus import Corpus, Habits, Kind, Page
from tokenizer import ASSISTANT, END, LARGEST_NUMBER, MAX_TOKENS, PAD, USER, build_tokenizer
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

IGNORED = -100  # label of a token that is read but not learnt


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything about the training but its length and seed."""

    hidden: int = 96
    layers: int = 4
    heads: int = 3
    learning_rate: float = 3e-3
    warmup_steps: int = 60
    decay_from: float = 0.6  # share of the run after which the learning rate falls
    floor: float = 0.02  # of the learning rate, at the end
    sums_until: float = 0.08  # share of the run that is mostly pages of true sums: the words come after the numbers
    number_scale: float = 3.0  # size of the number embeddings at the start, against the others


class Mix(enum.Enum):
    """Shares of the batches: reviews, drafts; then, the share of marked sums on the pages of sums that are the rest."""

    START = (0.15, 0.10, 0.0)
    MAIN = (0.55, 0.10, 0.5)


_BATCH = {Kind.DRAFT: 64, Kind.REVIEW: 14, Kind.SUMS: 20}  # pages, 2,000 to 6,000 tokens


@dataclass(frozen=True, slots=True)
class Length:
    """How long to train: a number of steps, or seconds of processor time."""

    steps: int | None
    cpu_seconds: float

    def done(self, steps: int, cpu_seconds: float) -> float:
        """The share of the run that is over, 1 or more at its end."""
        return steps / self.steps if self.steps is not None else cpu_seconds / self.cpu_seconds


def new_model(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """An untrained Llama whose number embeddings already lie on circles (see `number_features`)."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden,
        intermediate_size=3 * recipe.hidden,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=MAX_TOKENS,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = LlamaForCausalLM(config)
    model.set_attn_implementation("eager")  # for short pages on a CPU a third faster than the fused kernel
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, max_new_tokens=160
    )
    embedding = model.get_input_embeddings().weight.data
    features = number_features(LARGEST_NUMBER + 1)
    directions = torch.linalg.qr(torch.randn(recipe.hidden, features.shape[1]))[0].T
    start = features @ directions
    start *= recipe.number_scale * embedding.std() / start.std()
    for number in range(LARGEST_NUMBER + 1):
        for token in (f"Ġ{number}", str(number)):
            index = tokenizer.convert_tokens_to_ids(token)
            if index is not None:
                embedding[index] = 0.9 * start[number] + 0.1 * embedding[index]
    return model


def number_features(count: int) -> torch.Tensor:
    """Sines and cosines of 0..count-1, shape (count, 20).

    Tokens have no order of their own; started like this, sums are learnt in a third of the time. Nothing about which
    sum has which result is in them.
    """
    periods = (2, 5, 5 / 2, 10, 10 / 3, 20, 50, 100, 200, 400)
    angles = [[2 * math.pi * number / period for period in periods] for number in range(count)]
    return torch.tensor([[wave(angle) for angle in row for wave in (math.cos, math.sin)] for row in angles])


class Encoder:
    """Turns pages into token ids and the labels to learn from."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        def index(token: str) -> int:
            token_id: int = tokenizer.convert_tokens_to_ids(token)
            return token_id

        self._fast = tokenizer.backend_tokenizer
        self._pad, self._end, self._roles = index(PAD), index(END), (index(USER), index(ASSISTANT))
        self._equals, self._marks = index("Ġ="), {index("Ġright"), index("Ġnot")}

    def batch(self, pages: Sequence[Page]) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and labels of pages, both of shape (pages, longest), padded on the right."""
        encoded = self._fast.encode_batch([turn for page in pages for turn in page.turns], add_special_tokens=False)
        turns = iter(encoding.ids for encoding in encoded)
        rows = [self._row(page.kind, [next(turns) for _ in page.turns]) for page in pages]
        width = max(len(ids) for ids, _ in rows)
        ids = torch.tensor([row + [self._pad] * (width - len(row)) for row, _ in rows])
        labels = torch.tensor([row + [IGNORED] * (width - len(row)) for _, row in rows])
        return ids, labels

    def _row(self, kind: Kind, turns: Sequence[list[int]]) -> tuple[list[int], list[int]]:
        ids: list[int] = []
        labels: list[int] = []
        for number, turn in enumerate(turns):
            answered = number % 2 == 1
            ids += [self._roles[number % 2], *turn, self._end]
            labels += [IGNORED, *self._learnt(kind, number, turn), self._end if answered else IGNORED]
        return ids, labels

    def _learnt(self, kind: Kind, number: int, turn: list[int]) -> Iterable[int]:
        """Labels of a turn: all of it but the question; of pages of sums the results, of marked ones the marks."""
        if number == 0:
            return [IGNORED] * len(turn)
        if kind is Kind.SUMS:
            pairs = zip([-1, *turn[:-1]], turn, strict=True)
            return [token if before == self._equals else IGNORED for before, token in pairs]
        if kind is Kind.CHECK:
            return [token if token in self._marks else IGNORED for token in turn]
        return turn  # peers' solutions in a review as well: a model that does not read them closely cannot use them


def next_pages(corpus: Corpus, rng: random.Random, mix: Mix) -> list[Page]:
    """The pages of the next step, all of one sort, so that they are of about one length."""
    chance, (reviews, drafts, marked) = rng.random(), mix.value
    if chance < reviews:
        return [corpus.page(Kind.REVIEW) for _ in range(_BATCH[Kind.REVIEW])]
    if chance < reviews + drafts:
        return [corpus.page(Kind.DRAFT) for _ in range(_BATCH[Kind.DRAFT])]
    count = _BATCH[Kind.SUMS]
    return [corpus.page(Kind.CHECK if number < marked * count else Kind.SUMS) for number in range(count)]


class Training:
    """A model in training: what `train` does again and again.

    Args:
        seed: of the weights and of the pages.
        recipe: all else.
    """

    def __init__(self, seed: int, recipe: Recipe) -> None:
        torch.manual_seed(seed)
        self.tokenizer = build_tokenizer()
        self.model = new_model(recipe, self.tokenizer)
        self.steps = self.pages = self.tokens = 0
        self.losses: dict[Kind, float] = {}  # running means
        held_out = {problem.sums for split in make_data.splits().values() for problem in split}
        self._corpus = Corpus(seed, Habits(), held_out)
        self._recipe, self._rng, self._encoder = recipe, random.Random(seed + 1), Encoder(self.tokenizer)
        self._optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True
        )

    def step(self, done: float) -> None:
        """Takes one optimizer step; `done` is the share of the run that is over (0 to 1)."""
        recipe = self._recipe
        mix = Mix.START if done < recipe.sums_until else Mix.MAIN
        pages = next_pages(self._corpus, self._rng, mix)
        ids, labels = self._encoder.batch(pages)
        rate = recipe.learning_rate * min(1.0, (self.steps + 1) / recipe.warmup_steps)
        rate *= min(1.0, max(recipe.floor, (1 - done) / (1 - recipe.decay_from)))
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16):
            loss = self.model(input_ids=ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self.steps, self.pages, self.tokens = self.steps + 1, self.pages + len(pages), self.tokens + ids.numel()
        kind, value = pages[-1].kind, loss.item()
        self.losses[kind] = 0.95 * self.losses.get(kind, value) + 0.05 * value

    def save(self, out: Path) -> None:
        """Writes model and tokenizer to a folder."""
        self.model.save_pretrained(out)
        self.tokenizer.save_pretrained(out)


def train(out: Path, length: Length, seed: int, recipe: Recipe) -> None:
    """Trains a model and writes it to the folder `out`, printing how far it is."""
    # A second thread costs more than it gives at this size, and one alone adds up in a fixed order.
    torch.set_num_threads(1)
    training = Training(seed, recipe)
    print(f"{sum(weight.numel() for weight in training.model.parameters()):,} parameters; {asdict(recipe)}", flush=True)
    begun, tenths, done = time.process_time(), 0, 0.0
    while done < 1:
        training.step(done)
        spent = time.process_time() - begun
        done = length.done(training.steps, spent)
        if training.steps % 50 == 0 or done >= 1:
            losses = ", ".join(f"{kind.value} {value:.4f}" for kind, value in training.losses.items())
            counts = f"step {training.steps}, {spent:.0f} s, {training.pages} pages, {training.tokens} tokens"
            print(f"{done:4.0%} {counts}; losses: {losses}", flush=True)
        if int(done * 10) > tenths:
            tenths = int(done * 10)
            training.save(out)
    print(f"{out}: {training.steps} steps, {spent:.0f} s of one core, torch {torch.__version__}", flush=True)


def main() -> None:
    """Reads the command line and trains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    parser.add_argument("--cpu-seconds", type=float, default=1200.0, help="processor time to train for")
    parser.add_argument("--steps", type=int, help="optimizer steps to train for, instead of --cpu-seconds")
    parser.add_argument("--seed", type=int, default=7, help="of the weights and of the pages")
    arguments = parser.parse_args()
    train(arguments.out, Length(arguments.steps, arguments.cpu_seconds), arguments.seed, Recipe())


if __name__ == "__main__":
    main()
