"""Trains the quickstart's base on with longer problems: the base of the benchmark's sparse regime.

    python benchmarks/learning/pretrain_long.py --out DIR [--steps 2395] [--seed 13]

Four fifths of its drafts and reviews are about problems of 5 to 8 operations, with the same habits of the same writers.
About 900 processor seconds of one core.
"""

import argparse
import random
import sys
from pathlib import Path

import torch
from transformers import LlamaForCausalLM

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart"
sys.path.insert(0, str(QUICKSTART))

import corpus  # noqa: E402
import make_data  # noqa: E402
import pretrain  # noqa: E402
import world  # noqa: E402

RATE, DECAY_FROM, FLOOR, WARMUP_STEPS = 2e-3, 0.3, 0.02, 60
REVIEWS, DRAFTS, MARKED = 0.5, 0.25, 0.5  # shares of the batches; of the marked ones among the rest
PAGES = {corpus.Kind.REVIEW: 8, corpus.Kind.DRAFT: 40, corpus.Kind.SUMS: 20}
ECHO = 0.12  # part of the reviews in which the others' solutions are copies of the reader's own


class LongCorpus(corpus.Corpus):
    """The quickstart's pages, most of them about longer problems."""

    def page(self, kind: corpus.Kind) -> corpus.Page:
        """Writes the next page of a kind."""
        if kind in (corpus.Kind.SUMS, corpus.Kind.CHECK):
            return super().page(kind)
        problem = self._problem()
        while problem.sums in self._held_out:
            problem = self._problem()
        return self._review(problem) if kind is corpus.Kind.REVIEW else self._draft(problem)

    def _problem(self) -> world.Problem:
        return world.make_problem(self._rng, (5, 8) if self._rng.random() < 0.8 else (2, 4))

    def _review(self, problem: world.Problem) -> corpus.Page:
        rng, habits = self._rng, self._habits
        slips = habits.draft.scaled(habits.care) if rng.random() < habits.careful else habits.draft
        count = rng.choice((0, 1, 2, 4, 4, 4))
        own, *peers = [world.write_draft(problem.sums, slips, rng) for _ in range(1 + count)]
        if rng.random() < ECHO:
            peers = [own] * count
        last = world.revise(problem.sums, own, peers, habits.draft, habits.oversight, rng)
        request = world.review_request([world.solution_text(draft) for draft in peers])
        reply = "\n".join([*world.write_verdicts(own, peers), world.solution_text(last)])
        return corpus.Page(corpus.Kind.REVIEW, (problem.text, world.solution_text(own), request, reply))


def pages(source: LongCorpus, rng: random.Random) -> list[corpus.Page]:
    """The pages of the next step, all of one sort."""
    chance = rng.random()
    if chance < REVIEWS + DRAFTS:
        kind = corpus.Kind.REVIEW if chance < REVIEWS else corpus.Kind.DRAFT
        return [source.page(kind) for _ in range(PAGES[kind])]
    count = PAGES[corpus.Kind.SUMS]
    return [source.page(corpus.Kind.CHECK if k < MARKED * count else corpus.Kind.SUMS) for k in range(count)]


def main() -> None:
    """Trains and writes the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2395)
    parser.add_argument("--seed", type=int, default=13)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    tokenizer = pretrain.build_tokenizer()
    model = LlamaForCausalLM.from_pretrained(QUICKSTART / "base", trust_remote_code=False, use_safetensors=True).train()
    model.set_attn_implementation("eager")
    held_out = {problem.sums for split in make_data.splits().values() for problem in split}
    source = LongCorpus(arguments.seed, corpus.Habits(), held_out)
    rng, encoder = random.Random(arguments.seed + 1), pretrain.Encoder(tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    for step in range(arguments.steps):
        ids, labels = encoder.batch(pages(source, rng))
        left = (1 - step / arguments.steps) / (1 - DECAY_FROM)
        rate = RATE * min(1.0, (step + 1) / WARMUP_STEPS) * min(1.0, max(FLOOR, left))
        for group in optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 50 == 49:
            print(f"step {step + 1} of {arguments.steps}: loss {loss.item():.4f}", flush=True)
    model.save_pretrained(arguments.out)
    tokenizer.save_pretrained(arguments.out)


if __name__ == "__main__":
    main()
