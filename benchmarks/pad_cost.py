"""What process rewards cost: PAD's step time over that of plain GRPO on the same roll-outs.

    python benchmarks/pad_cost.py --steps 12

Trains the quickstart's base with outcome rewards alone and, within the same steps and on the same roll-outs, does all
that PAD adds: a reward model of the student's size scores every answer in one forward pass, steps are found, scores
are compared within groups and credited to tokens. The time of that is measured apart from the rest of the step.
Prints the ratio (whole step / step without it) with a 95 % bootstrap interval over steps as JSON; exits with 1 if the
ratio is above 1.10. `--scorer lines` scores without a model, to see what PAD itself costs.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agentark.distill import Checkpoints
from agentark.distill.pad import Guards, PadParams
from agentark.llm.chat import Message
from agentark.store import open_store
from agentark.tasks import task
from benchmarks.reward_hacking import QUICKSTART, Step, constant, lines, write_questions

LIMIT = 1.10


def model_scorer() -> Callable[[Sequence[Sequence[Message]], Sequence[str]], list[list[Step]]]:
    """A reward model with the student's own weights and an untrained head: its cost is that of a trained one."""
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(QUICKSTART / "base")
    torch.manual_seed(0)
    model = AutoModelForTokenClassification.from_pretrained(QUICKSTART / "base", num_labels=1).eval()

    def score(prompts: Sequence[Sequence[Message]], texts: Sequence[str]) -> list[list[Step]]:
        conversations = [
            [*({"role": turn.role, "content": turn.content} for turn in prompt), {"role": "assistant", "content": text}]
            for prompt, text in zip(prompts, texts, strict=True)
        ]
        whole = tokenizer.apply_chat_template(conversations, tokenize=False)
        batch = tokenizer(whole, return_offsets_mapping=True, add_special_tokens=False)
        order = sorted(range(len(whole)), key=lambda row: len(batch["input_ids"][row]))
        found: list[list[Step]] = [[] for _ in whole]
        for first in range(0, len(order), 32):
            rows = order[first : first + 32]
            ids = [torch.tensor(batch["input_ids"][row]) for row in rows]
            padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)
            lengths = torch.tensor([len(one) for one in ids])
            mask = torch.arange(padded.shape[1])[None] < lengths[:, None]
            with torch.no_grad():
                scores = model(input_ids=padded, attention_mask=mask.long()).logits[..., 0].sigmoid()
            for place, row in enumerate(rows):
                shift = whole[row].rindex(texts[row]) if texts[row] else 0
                ends = [end for _, end in batch["offset_mapping"][row]]
                found[row] = [
                    Step(start, end, float(scores[place, next(t for t, e in enumerate(ends) if e >= end + shift)]))
                    for start, end in lines(texts[row])
                ]
        return found

    return score


def measure(steps: int, scorer: Any, seed: int) -> tuple[list[float], list[float]]:
    """Seconds of each step, and those of it that PAD added."""
    from agentark.distill.pad import training
    from agentark.distill.pad.assessing import Assessor, advantages, process_rewards
    from agentark.distill.student import read_base

    added: list[float] = []
    whole: list[float] = []

    class Timed(Assessor):
        """Assesses outcomes; then does again what PAD does, and keeps the time that it takes longer."""

        def __call__(self, prompts: Any, ids: Any, golds: Any) -> Any:
            started = time.perf_counter()
            plain = Assessor(tokenizer, ends, policy, None)(prompts, ids, golds)
            advantages(plain, process_rewards(plain, params), params)
            between = time.perf_counter()
            scored = Assessor(tokenizer, ends, policy, scorer)(prompts, ids, golds)
            advantages(scored, process_rewards(scored, params), params)
            added.append((time.perf_counter() - between) - (between - started))
            repeated.append(time.perf_counter() - started)
            return super().__call__(prompts, ids, golds)

    base = read_base(QUICKSTART / "base")
    tokenizer, ends, policy = base.tokenizer, base.ends, task("gsm8k").policy
    repeated: list[float] = []
    off = Guards(step_drift=None, length_drift=None, disagreement=None, spread=None, kl=None)
    params = PadParams(
        steps=steps, learning_rate=2e-4, max_new_tokens=72, evals=0, save_steps=steps, guards=off, seed=seed
    )
    last = 0.0

    def note(_step: int, _total: int, _metrics: Any) -> None:
        nonlocal last
        now = time.perf_counter()
        if last:
            whole.append(now - last - repeated[-1])
        last = now

    training.Assessor = Timed  # type: ignore[misc]  # The benchmark looks inside; the product has no such hook.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        training.train_pad(
            model=QUICKSTART / "base",
            questions=write_questions(folder, "train", 200),
            held_out=None,
            policy=policy,
            scorer=None,
            out=folder / "student",
            work=folder / "work",
            params=params,
            checkpoints=Checkpoints(open_store(str(folder / "store")), "checkpoints"),
            on_progress=note,
            should_stop=lambda: False,
        )
    return whole, added[1:]


def interval(whole: Sequence[float], added: Sequence[float]) -> tuple[float, float, float]:
    """Ratio of the sums, and its 95 % bootstrap interval over steps."""
    draw = random.Random(0)

    def ratio(places: Sequence[int]) -> float:
        return 1 + sum(added[place] for place in places) / sum(whole[place] for place in places)

    places = range(len(whole))
    drawn = sorted(ratio(draw.choices(places, k=len(whole))) for _ in range(2000))
    return ratio(places), drawn[50], drawn[1949]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--scorer", choices=["model", "lines"], default="model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    import torch

    torch.set_num_threads(given.threads)
    scorer = model_scorer() if given.scorer == "model" else constant
    whole, added = measure(given.steps, scorer, given.seed)
    found, low, high = interval(whole, added)
    print(json.dumps({
        "scorer": given.scorer,
        "ratio": round(found, 4),
        "interval": [round(low, 4), round(high, 4)],
        "grpo_step_s": round(sum(whole) / len(whole), 4),
        "pad_adds_s": round(sum(added) / len(added), 4),
        "steps": len(whole),
    }, indent=1))  # fmt: skip
    return int(found > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
