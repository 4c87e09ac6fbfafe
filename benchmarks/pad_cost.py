"""What process rewards cost: PAD's step time over that of plain GRPO on the same roll-outs.

    python -m benchmarks.pad_cost --steps 12 [--prm FOLDER]

Trains the quickstart's base with outcome rewards alone and, within the same steps and on the same roll-outs, does all
that PAD adds: a reward model scores every answer in one forward pass, steps are found, scores are compared within
groups and credited to tokens. The time of that is measured apart from the rest of the step. Prints the ratio (whole
step / step without it) with a 95 % bootstrap interval over steps as JSON; exits with 1 if the ratio is above 1.10.
Without --prm the reward model is the quickstart's base with a random head, of the student's size and so at the cost of
a trained one. `--scorer lines` scores without a model, to see what PAD itself costs.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from agentark.api import PAD, PADGuards, Training
from agentark.distill import Checkpoints
from agentark.reward.scoring import PRM
from agentark.store import open_store
from agentark.tasks import task
from benchmarks.prm_scoring import untrained
from benchmarks.reward_hacking import QUICKSTART, constant, write_questions

LIMIT = 1.10


def measure(steps: int, scorer: Any, seed: int) -> tuple[list[float], list[float]]:
    """Seconds of each step, and those of it that PAD added."""
    from agentark.distill.pad import training
    from agentark.distill.pad.assessing import Assessor, advantages, process_rewards
    from agentark.distill.student import read_base
    from agentark.training.harness import run

    added: list[float] = []
    whole: list[float] = []

    class Timed(Assessor):
        """Assesses outcomes; then does again what PAD does, and keeps the time that it takes longer."""

        def __call__(self, prompts: Any, ids: Any, golds: Any) -> Any:
            started = time.perf_counter()
            plain = Assessor(tokenizer, ends, policy, None)(prompts, ids, golds)
            advantages(plain, process_rewards(plain, pad), pad)
            between = time.perf_counter()
            scored = Assessor(tokenizer, ends, policy, scorer)(prompts, ids, golds)
            advantages(scored, process_rewards(scored, pad), pad)
            added.append((time.perf_counter() - between) - (between - started))
            repeated.append(time.perf_counter() - started)
            return super().__call__(prompts, ids, golds)

    base = read_base(QUICKSTART / "base")
    tokenizer, ends, policy = base.tokenizer, base.ends, task("gsm8k").policy
    repeated: list[float] = []
    off = PADGuards(step_drift=0, length_drift=0, disagreement=0, spread=0, kl=0)
    pad = PAD(steps=steps, learning_rate=2e-4, checkpoint_steps=steps, guards=off)
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
        run(
            training.PadRecipe(
                model=QUICKSTART / "base",
                questions=write_questions(folder, "train", 200),
                held_out=None,
                policy=policy,
                scorer=None,
                out=folder / "student",
                pad=pad,
                training=Training(precision="Float32", schedule="Linear", warmup_ratio=0.1, evaluations=0, seed=seed),
                max_new_tokens=72,
            ),
            work=folder / "work",
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
    parser.add_argument("--prm", type=Path, help="folder of a process reward model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.prm or untrained(Path(temporary) / "prm")
        scorer = PRM.load(folder) if given.scorer == "model" else constant
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
