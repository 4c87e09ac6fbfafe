"""The methods on GSM8K with a real chat model, in bfloat16 on one GPU.

    python -m benchmarks.learning.gsm8k --gsm8k DIR --model DIR [--data DIR] [--seeds 1] [--jobs 6] [--arm ARM]

DIR of --gsm8k holds `train.jsonl` and `test.jsonl` of openai/grade-school-math; --model is a chat model that
`examples/gsm8k/convert_smollm2.py` makes. SmolLM2-135M-Instruct answers next to nothing of GSM8K, and there would be
nothing to distil: so it first learns the written solutions of --taught questions, which is the start of all arms.
The start debates over other questions (by vLLM in process where that is installed), a process reward model learns from
the debate, and every arm is trained and then measured on all test questions, greedily. Each arm and seed is a process
of its own, since a small model leaves most of a GPU idle. Results are lines of DATA/results.jsonl; what is there, in
the store or trained already is not done again. Prints the table.
"""

import argparse
import itertools
import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from agentark.statistics import wilson
from agentark.store import open_store
from agentark.tasks import task
from benchmarks.learning.regimes import PROMPTS, ROOT, Regime, accuracy, manifest, output, run, write_lines, write_rows

DATA = ROOT / ".agentark" / "learning-gsm8k"
ARM_NAMES = ("answer only", "R-SFT", "PAD", "GRPO", "R-SFT+PAD", "PAD, vLLM samples")
_NOTE = re.compile(r"<<.*?>>")
_GRPO = {"steps": 16, "learning_rate": 5e-6, "prompts_per_step": 32}


def regime(data: Path, questions: int) -> Regime:
    """GSM8K as a regime of the learning benchmark; its base is the model that learnt from written solutions."""
    return Regime(
        name="gsm8k",
        base=data / "gsm8k" / "start" / "student",
        operations=(0, 0),
        slips=0,
        max_tokens=256,
        prm_questions=0,
        prm_operations=(0, 0),
        prm_training={"epochs": "3", "learningRate": "5e-5"},
        sft={
            "epochs": 2.0,
            "learning_rate": 5e-5,
            "batch_size": 32,
            "checkpoint_steps": 100_000,
            "precision": "BFloat16",
        },
        pad=_GRPO,
        grpo=_GRPO,
        pad_training={"evaluations": 1, "precision": "BFloat16"},
        task="gsm8k",
        questions=questions,
    )


def split(rows: Sequence[Mapping[str, str]], taught: int, debated: int) -> tuple[list[Any], list[Any]]:
    """Rows to be taught by their solutions, and others to be debated, drawn by a fixed seed."""
    drawn = random.Random("gsm8k").sample(list(rows), taught + debated)
    return drawn[:taught], drawn[taught:]


def solution(row: Mapping[str, str]) -> str:
    """A written solution as the students are to write theirs: without the calculator's notes, the answer at the end."""
    text, _, answer = row["answer"].rpartition("####")
    return f"{_NOTE.sub('', text).strip()}\nThe answer is {answer.strip()}."


def prepare(of: Regime, folder: Path, gsm8k: Path, model: Path, *, taught: int, engine: str) -> None:
    """Teach the start, let it debate, train the reward model, write the rows of all methods."""
    folder.mkdir(parents=True, exist_ok=True)
    store = folder.parent / "store"
    rows = [json.loads(line) for line in (gsm8k / "train.jsonl").open(encoding="utf-8")]
    to_teach, to_debate = split(rows, taught, of.questions)
    write_lines(folder / "train.jsonl", to_debate)
    _write_test(folder, gsm8k / "test.jsonl")
    _timed("start", lambda: _teach(of, folder, to_teach, model))
    debate = _debate(of, engine)
    key = _timed("debate", lambda: run(folder, store, manifest("DebateRun", "gsm8k-train", debate), "debate"))
    write_rows(folder, store, key, of.task)
    (folder / "debated").write_text(json.dumps({"accuracy": accuracy(store, key, of.task), "questions": of.questions}))
    prm = _timed(
        "reward model", lambda: run(folder, store, manifest("PRMTraining", "gsm8k-prm", _prm(of, debate)), "prm")
    )
    card = json.loads(output(store, "prm", prm, "history").read_text())["held_out"]
    shared = {"prm_folder": str(output(store, "prm", prm, "model")), "prm": card}
    (folder / "shared.json").write_text(json.dumps(shared, indent=1))


def _write_test(folder: Path, path: Path) -> None:
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    asked = [
        {"id": str(number), "question": row["question"], "answer": row["answer"].rpartition("####")[2].strip()}
        for number, row in enumerate(rows)
    ]
    write_lines(folder / "test.jsonl", asked)


def _teach(of: Regime, folder: Path, rows: Sequence[Mapping[str, str]], model: Path) -> None:
    from agentark.api import Training
    from agentark.distill.training import SupervisedRecipe
    from agentark.training.checkpoints import Checkpoints
    from agentark.training.harness import run

    if of.base.exists():
        return
    place = of.base.parent
    place.mkdir(exist_ok=True)
    turns = [({"role": "user", "content": row["question"]}, solution(row)) for row in rows]
    learnt = [{"prompt": [asked], "completion": [{"role": "assistant", "content": text}]} for asked, text in turns]
    write_lines(place / "rows.jsonl", learnt)
    run(
        SupervisedRecipe(
            model=model,
            rows=place / "rows.jsonl",
            held_out=None,
            policy=task(of.task).policy,
            out=of.base,
            training=Training(
                epochs=3.0, learning_rate=2e-4, batch_size=32, max_length_tokens=512, warmup_ratio=0.05,
                checkpoint_steps=100_000,
            ),
            max_new_tokens=of.max_tokens,
        ),
        work=place / "work",
        checkpoints=Checkpoints(open_store(str(place / "store")), "checkpoints"),
        on_progress=lambda *_: None,
        should_stop=lambda: False,
    )  # fmt: skip


def _debate(of: Regime, engine: str) -> dict[str, Any]:
    protocol = {"agents": 5, "rounds": 2, "tie": "First", "prompts": PROMPTS}
    return {
        "dataset": {"uri": "file:train.jsonl", "task": of.task},
        "teacher": {"model": {"uri": f"file:{of.base.resolve()}"}},
        "protocol": protocol | {"sampling": {"temperature": "0.7", "maxTokens": of.max_tokens}},
        "execution": {"concurrency": 512, "engine": engine, "requestTimeoutSeconds": 600},
    }


def _prm(of: Regime, debate: Mapping[str, Any]) -> dict[str, Any]:
    training = {"batchSize": 16, "maxLengthTokens": 768, "warmupRatio": "0.1"}
    return {
        "debate": debate,
        "labels": ["Agreement"],
        "steps": "Newline",
        "headFraction": "0.1",
        "heldOutFraction": "0.2",
        "training": training | of.prm_training,
    }


def _timed(what: str, work: Callable[[], Any]) -> Any:
    started = time.monotonic()
    found = work()
    print(f"{what}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return found


def render(data: Path, questions: int) -> str:
    """Markdown: a row for each arm and seed, with the interval over test questions."""
    folder = data / "gsm8k"
    shared, debated = (json.loads((folder / name).read_text()) for name in ("shared.json", "debated"))
    with (data / "results.jsonl").open() as lines:
        found = [json.loads(line) for line in lines]
    text = [
        f"The start's debate over {debated['questions']} training questions: {debated['accuracy']:.1%} right. "
        f"Reward model, held-out: AUROC {shared['prm']['auroc']:.3f}, step accuracy {shared['prm']['accuracy']:.3f} "
        f"(base rate {shared['prm']['base_rate']:.3f}).",
        "",
        "| | seed | start % | accuracy % [95 %] | steps | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for one in sorted(found, key=lambda row: (ARM_NAMES.index(row["arm"]), row["seed"])):
        low, high = wilson(round(one["accuracy"] * questions), questions)[-2:]
        text.append(
            f"| {one['arm']} | {one['seed']} | {one['start']:.1%} | {one['accuracy']:.1%} [{low:.1%} {high:.1%}] "
            f"| {one['steps']} | {one['seconds']:.0f} |"
        )
    return "\n".join(text)


def _work(given: argparse.Namespace) -> None:
    """Train and measure one arm for one seed."""
    from benchmarks.learning.arms import Students, as_line

    seed, arm = given.worker.split(":")
    results = given.data / "results.jsonl"
    rows = [json.loads(line) for line in results.open()] if results.exists() else []
    if any((row["arm"], row["seed"]) == (arm, int(seed)) for row in rows):
        return
    students = Students(regime(given.data, given.questions), given.data / "gsm8k", int(seed))
    line = as_line(_timed(f"{arm}, seed {seed}", lambda: students.outcome(arm)))
    with results.open("a") as stream:
        stream.write(line)
    students.close()


def _children(given: argparse.Namespace) -> int:
    """Run all workers, and return how many failed."""
    options = ["--data", str(given.data), "--questions", str(given.questions)]

    def child(one: tuple[int, str]) -> int:
        command = [sys.executable, "-m", "benchmarks.learning.gsm8k", *options, "--worker", f"{one[0]}:{one[1]}"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        return subprocess.run(command, check=False, cwd=ROOT, env=environment).returncode

    with ThreadPoolExecutor(given.jobs) as pool:
        return sum(map(bool, pool.map(child, itertools.product(range(given.seeds), given.arm or ARM_NAMES))))


def main() -> int:
    """Prepare, train, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gsm8k", type=Path, help="folder of the data set")
    parser.add_argument("--model", type=Path, help="folder of a chat model")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of questions, models and results")
    parser.add_argument("--taught", type=int, default=5000, help="questions whose written solutions the start learns")
    parser.add_argument("--questions", type=int, default=1500, help="questions that are debated, and trained on")
    parser.add_argument("--engine", choices=["Auto", "Transformers", "VLLM"], default="Auto", help="of the debate")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=6, help="arms trained side by side")
    parser.add_argument("--arm", action="append", choices=ARM_NAMES, help="arms to train; all by default")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.data = given.data.resolve()
    if given.worker:
        _work(given)
        return 0
    if given.gsm8k is None or given.model is None:
        parser.error("--gsm8k and --model are needed")
    of, folder = regime(given.data, given.questions), given.data / "gsm8k"
    if not (folder / "shared.json").exists():
        prepare(of, folder, given.gsm8k, given.model.resolve(), taught=given.taught, engine=given.engine)
    failed = _children(given)
    with (folder / "test.jsonl").open() as lines:
        print(render(given.data, sum(1 for _ in lines)))
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
