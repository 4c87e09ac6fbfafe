"""Do process rewards help? Twenty seeds of every method, where right answers are common and where they are rare.

    python -m benchmarks.learning.bench [--data DIR] [--seeds 20] [--jobs 2] [--regime dense|sparse]

Prepares what the seeds share (debates, a process reward model per regime), trains every arm for every seed, one process
per core, and prints the table. Results are lines of DIR/results.jsonl; what is there is not trained again.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.learning.regimes import REGIMES, ROOT, prepare

DATA = ROOT / ".agentark" / "learning"


def main() -> None:
    """Prepare, train, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of questions, models and results")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time, one thread each")
    parser.add_argument("--regime", choices=sorted(REGIMES), action="append", help="one of them alone")
    parser.add_argument("--arm", action="append", help="arms to train; all by default")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    data = arguments.data.resolve()
    if arguments.worker:
        regime, seed = arguments.worker.split(":")
        _work(data, regime, int(seed), arguments.arm)
        return
    names = arguments.regime or list(REGIMES)
    for name in names:
        if not (data / name / "shared.json").exists():
            prepare(REGIMES[name], data / name)
    wanted = [f"--arm={arm}" for arm in arguments.arm or ()]
    tasks = list(itertools.product(range(arguments.seeds), names))
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for number, _ in enumerate(pool.map(lambda task: _child(data, task[1], task[0], wanted), tasks), 1):
            print(f"{number} of {len(tasks)} seeds and regimes done", flush=True)
    from benchmarks.learning.table import render

    print(render(data))


def _child(data: Path, regime: str, seed: int, wanted: list[str]) -> None:
    command = [sys.executable, "-m", "benchmarks.learning.bench", "--data", str(data), "--worker", f"{regime}:{seed}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    subprocess.run([*command, *wanted], check=True, cwd=ROOT, env=environment)


def _work(data: Path, regime: str, seed: int, wanted: list[str] | None) -> None:
    from benchmarks.learning.arms import ARMS, Students, as_line

    results = data / "results.jsonl"
    rows = [json.loads(line) for line in results.open()] if results.exists() else []
    done = {row["arm"] for row in rows if (row["regime"], row["seed"]) == (regime, seed)}
    students = None
    for arm in wanted or ARMS:
        if arm in done:
            continue
        students = students or Students(REGIMES[regime], data / regime, seed)
        line = as_line(students.outcome(arm))
        with results.open("a") as stream:
            stream.write(line)
    if students:
        students.close()


if __name__ == "__main__":
    main()
