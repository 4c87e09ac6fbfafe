"""Scoring solutions in one pass against step by step, and a served reward model against one in process.

    python -m benchmarks.prm_scoring [--solutions 2000] [--prm FOLDER] [--url URL --name NAME]

The quickstart's base answers questions; every answer is then scored three ways: all its steps in one forward pass, each
step by a pass of its own over the answer up to there (as a loop over steps does), and the same passes in full batches.
The ways take turns on blocks of answers. Printed as JSON: seconds per solution, the ratios with 95 % bootstrap
intervals over blocks, and the largest difference between the scores. Exits with 1 if step by step is not at least 5
times slower, or the scores differ by more than 1e-4. Without --prm the reward model is the quickstart's base with a
random head, whose cost is that of a trained one. With --url the answers are also scored by a server of FOLDER
(`vllm serve FOLDER --runner pooling`).
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from agentark.llm.chat import Message, Sampling
from agentark.llm.connection import Connection
from agentark.llm.local import TransformersEngine
from agentark.reward.metrics import Calibration
from agentark.reward.model import Card, load_backbone, load_tokenizer, write_prm
from agentark.reward.remote import RemotePRM
from agentark.reward.scoring import PRM, ScoredStep
from agentark.reward.steps import split_steps

QUICKSTART = Path(__file__).parents[1] / "examples" / "quickstart"
LEAST = 5.0
TOLERANCE = 1e-4
_BLOCKS = 20
_PER_QUESTION = 8

Prompts = list[tuple[Message, ...]]
Scores = Sequence[Sequence[ScoredStep]]


class Answers(NamedTuple):
    """Prompts and the texts that answer them."""

    prompts: Prompts
    texts: list[str]

    def part(self, number: int, parts: int) -> "Answers":
        """Every so many'th answer."""
        return Answers(self.prompts[number::parts], self.texts[number::parts])


async def sampled(count: int) -> Answers:
    """Answers of the quickstart's base, several to a question."""
    lines = (QUICKSTART / "data" / "train.jsonl").read_text().splitlines()
    questions = [json.loads(line)["question"] for line in lines]
    wanted = [questions[number % len(questions)] for number in range(-(-count // _PER_QUESTION))]
    engine = TransformersEngine(QUICKSTART / "base", name="base")
    sampling = Sampling(temperature=0.8, max_tokens=140)
    try:
        replies = await asyncio.gather(
            *(
                engine.chat([Message("user", question)], sampling=sampling, n=_PER_QUESTION, seed=number)
                for number, question in enumerate(wanted)
            )
        )
    finally:
        await engine.aclose()
    answers = [
        ((Message("user", question),), completion.text)
        for question, reply in zip(wanted, replies, strict=True)
        for completion in reply.completions
    ][:count]
    return Answers([prompt for prompt, _ in answers], [text for _, text in answers])


def untrained(folder: Path) -> Path:
    """The quickstart's base with a random head, as a reward model's folder."""
    import torch

    torch.manual_seed(0)
    model = load_backbone(QUICKSTART / "base", "writing")
    model.score.weight.data.normal_(0.0, 0.1)
    card = Card(rule="Newline", max_length=512, loss="Contrastive", calibration=Calibration())
    write_prm(model, load_tokenizer(QUICKSTART / "base"), card, folder)
    return folder


def one_pass(prm: PRM, answers: Answers) -> Scores:
    """All steps of an answer at once."""
    return prm(answers.prompts, answers.texts)


def step_by_step(prm: PRM, answers: Answers) -> Scores:
    """Each step by a call of its own."""
    return [
        [prm.score([prompt], [text], [[step]])[0][0] for step in split_steps(text, prm.card.rule)]
        for prompt, text in zip(answers.prompts, answers.texts, strict=True)
    ]


def step_by_step_batched(prm: PRM, answers: Answers) -> Scores:
    """Each step by a sequence of its own, many to a forward pass."""
    steps = [split_steps(text, prm.card.rule) for text in answers.texts]
    rows = [(number, step) for number, spans in enumerate(steps) for step in spans]
    prompts = [answers.prompts[number] for number, _ in rows]
    scored = iter(prm.score(prompts, [answers.texts[number] for number, _ in rows], [[step] for _, step in rows]))
    return [[next(scored)[0] for _ in spans] for spans in steps]


WAYS: dict[str, Callable[[PRM, Answers], Scores]] = {
    "one pass": one_pass,
    "step by step": step_by_step,
    "step by step, batched": step_by_step_batched,
}


def difference(first: Scores, second: Scores) -> float:
    """Largest difference between the scores of the same steps."""
    return max(
        abs(ours.score - other.score)
        for here, there in zip(first, second, strict=True)
        for ours, other in zip(here, there, strict=True)
    )


def ratio(slow: Sequence[float], fast: Sequence[float]) -> dict[str, Any]:
    """How many times slower, with an interval over blocks."""
    rng = random.Random(0)
    draws = sorted(
        sum(slow[place] for place in places) / sum(fast[place] for place in places)
        for places in (rng.choices(range(len(slow)), k=len(slow)) for _ in range(2000))
    )
    return {"ratio": round(sum(slow) / sum(fast), 2), "interval": [round(draws[50], 2), round(draws[1949], 2)]}


def compare(prm: PRM, answers: Answers) -> dict[str, Any]:
    """Time the ways in turn, block by block."""
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    largest = 0.0
    for way in WAYS.values():
        way(prm, answers.part(0, 100))  # warms caches and threads
    for number in range(_BLOCKS):
        block = answers.part(number, _BLOCKS)
        times = {}
        for name in random.Random(number).sample(list(WAYS), len(WAYS)):
            started = time.perf_counter()
            times[name] = WAYS[name](prm, block)
            seconds[name].append(time.perf_counter() - started)
        largest = max(largest, *(difference(times["one pass"], times[name]) for name in WAYS))
        print(f"{number + 1} of {_BLOCKS} blocks", file=sys.stderr, flush=True)
    return {
        "milliseconds_per_solution": {
            name: round(1000 * sum(spent) / len(answers.texts), 3) for name, spent in seconds.items()
        },
        "slower_than_one_pass": {
            name: ratio(spent, seconds["one pass"]) for name, spent in seconds.items() if name != "one pass"
        },
        "largest_difference": largest,
    }


def served(folder: Path, prm: PRM, answers: Answers, url: str, name: str) -> dict[str, Any]:
    """The same scores from a server."""
    with RemotePRM(Connection(url, name), folder) as remote:
        remote.check()
        started = time.perf_counter()
        scored = remote(answers.prompts, answers.texts)
        seconds = time.perf_counter() - started
    return {
        "milliseconds_per_solution": round(1000 * seconds / len(answers.texts), 3),
        "largest_difference": difference(scored, one_pass(prm, answers)),
    }


def main() -> int:
    """Score, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--solutions", type=int, default=2000)
    parser.add_argument("--prm", type=Path, help="folder of a process reward model")
    parser.add_argument("--url", default="", help="a server of that folder")
    parser.add_argument("--name", default="prm", help="what the server calls the model")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.prm or untrained(Path(temporary) / "prm")
        answers = asyncio.run(sampled(options.solutions))
        prm = PRM.load(folder)
        steps = sum(len(split_steps(text, prm.card.rule)) for text in answers.texts)
        result: dict[str, Any] = {"solutions": len(answers.texts), "steps": steps} | compare(prm, answers)
        if options.url:
            result["served"] = served(folder, prm, answers, options.url, options.name)
    print(json.dumps(result, indent=1))
    differences = [result["largest_difference"], result.get("served", {}).get("largest_difference", 0.0)]
    return int(result["slower_than_one_pass"]["step by step"]["ratio"] < LEAST or max(differences) > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
