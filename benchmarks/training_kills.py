"""Kill a training at random moments and compare its end with an undisturbed one.

    python benchmarks/training_kills.py --kills 5

Trains the quickstart's base model on its training questions (answers alone: what is learnt does not matter here) with
in-training evaluation, once undisturbed and once killed with SIGKILL at random moments and started again each time.
Prints one line per kill and a summary as JSON; exits with 1 if losses, accuracies or weights differ in a single bit.
"""

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agentark.api import Training
from agentark.distill import Checkpoints
from agentark.store import open_store
from agentark.tasks import task

QUICKSTART = Path(__file__).parents[1] / "examples" / "quickstart"
HELD_OUT = 40
TRAINING = Training(
    epochs=2,
    learning_rate=1e-3,
    batch_size=8,
    max_length_tokens=256,
    warmup_ratio=0.0,
    precision="Float32",
    checkpoint_steps=7,
    evaluations=4,
    seed=5,
)


def write_data(folder: Path) -> None:
    """Rows and held-out questions from the quickstart's training questions."""
    questions = [json.loads(line) for line in (QUICKSTART / "data" / "train.jsonl").read_text().splitlines()]
    held_out, rows = [], []
    for one in questions:
        prompt = [{"role": "user", "content": one["question"]}]
        answer = {"role": "assistant", "content": f"\\boxed{{{one['answer']}}}"}
        held_out.append({"prompt": prompt, "gold": one["answer"]})
        rows.append({"prompt": prompt, "completion": [answer], "weight": 1.0})
    for name, items in (("held_out", held_out[:HELD_OUT]), ("rows", rows[HELD_OUT:])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))


def train_here(data: Path, folder: Path) -> None:
    """One attempt, in this process: says when it starts and prints its result as JSON."""
    from agentark.distill.training import SupervisedRecipe
    from agentark.training.harness import run

    print("started", flush=True)
    result = run(
        SupervisedRecipe(
            model=QUICKSTART / "base",
            rows=data / "rows.jsonl",
            held_out=data / "held_out.jsonl",
            policy=task("gsm8k").policy,
            out=folder / "student",
            training=TRAINING,
            max_new_tokens=16,
        ),
        work=folder / "work",
        checkpoints=Checkpoints(open_store(str(folder / "store")), "checkpoints"),
        on_progress=lambda step, total, metrics: None,
        should_stop=lambda: False,
    )
    print(json.dumps(asdict(result)), flush=True)


def attempt(data: Path, folder: Path, *, kill_after_s: float | None) -> dict[str, Any] | None:
    """Run one attempt in a child process; None if it was killed `kill_after_s` seconds after its start."""
    command = [sys.executable, __file__, "--child", str(data), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        if child.stdout.readline() != "started\n":
            raise SystemExit(f"the training did not start: exit code {child.wait()}")
        try:
            out, _ = child.communicate(timeout=kill_after_s)
        except subprocess.TimeoutExpired:
            child.kill()
            return None
    if child.returncode:
        raise SystemExit(f"the training failed with exit code {child.returncode}")
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


def ending(result: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What must not differ."""
    weights = hashlib.sha256((folder / "student" / "model.safetensors").read_bytes()).hexdigest()
    return {name: result[name] for name in ("losses", "accuracy", "best_step", "train_tokens")} | {"weights": weights}


def compare(kills: int, seed: int) -> bool:
    """Run both trainings; True if they end alike."""
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_data(root)
        undisturbed = attempt(root, root / "undisturbed", kill_after_s=None)
        assert undisturbed is not None
        expected, seconds = ending(undisturbed, root / "undisturbed"), undisturbed["seconds"]
        print(f"undisturbed: {undisturbed['steps']} steps in {seconds:.1f} s", flush=True)
        store = open_store(str(root / "killed" / "store"))
        done, result, started = 0, None, time.monotonic()
        while result is None:
            # Early enough that all kills meet a training at work: each may make it lose a part, none all of it.
            moment = draw.uniform(0, 1.6 * seconds / kills) if done < kills else None
            result = attempt(root, root / "killed", kill_after_s=moment)
            if result is None:
                done += 1
                saved = sorted({int(entry.path.split("/")[1][:8]) for entry in store.entries("checkpoints")})
                print(f"kill {done}: {moment:.2f} s after the start; checkpoints at steps {saved}", flush=True)
        same = ending(result, root / "killed") == expected
        summary = {
            "kills": done,
            "steps": result["steps"],
            "last_resumed_from": result["resumed_from"],
            "accuracy": result["accuracy"],
            "same_losses_accuracies_and_weights": same,
            "seconds_undisturbed": round(seconds, 1),
            "seconds_killed": round(time.monotonic() - started, 1),
        }
        print(json.dumps(summary))
        return same and done == kills


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=5, help="kills before the training may end (default 5)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (default 1)")
    parser.add_argument("--child", nargs=2, type=Path, metavar=("DATA", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        train_here(*arguments.child)
        return 0
    return 0 if compare(arguments.kills, arguments.seed) else 1


if __name__ == "__main__":
    sys.exit(main())
