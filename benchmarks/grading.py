"""Measure the grader: against recorded, labelled solutions, on hostile text, and against peers' test suites.

python benchmarks/grading.py recorded FILE
python benchmarks/grading.py peers FOLDER --rows ROWS.jsonl
python benchmarks/grading.py fuzz --count 100000 --seed 7
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from agentark.tasks import CHOICE, MATH, NUMBER, TEXT, Grade, grade, symbolic
from benchmarks.grading_peers import peers

FRAGMENTS = (
    r"\boxed{",
    r"\frac{1}{2}",
    r"\frac{\frac{",
    r"\dfrac12",
    r"\sqrt{3}",
    r"\sqrt[3]{",
    r"\left(",
    r"\right]",
    r"\begin{pmatrix}1&2\\3&4\end{pmatrix}",
    r"\text{ dollars}",
    r"\infty",
    r"\cup",
    r"\pm",
    r"\pi",
    r"\sum_{n=1}^{\infty}\frac{1}{n^2}",
    r"\int_0^1 x^2 dx",
    r"\binom{90}{45}",
    "9**9**9",
    "9^{9^{9^9}}",
    "99999!",
    "((((((",
    "))))",
    "{[(<",
    "}])>",
    "10^-400",
    "1e999999999",
    "0/0",
    "1/0",
    "x^2+2x+1",
    "(x+1)^2",
    "sin(x)^2+cos(x)^2",
    "x=3",
    "1,000,000",
    "3.14159",
    "50%",
    "$18",
    "€5",
    "1 hour 30 minutes",
    "[1,2)",
    r"\{1,2,3\}",
    "1 or 2",
    "the answer is ",
    "Answer: ",
    "#### ",
    "A: ",
    "<think>",
    "</think>",
    "(B)",
    "option C",
    "vitamin D",
    "\n",
    "\t",
    "\x00",
    "\ud800",
    "\u202e",
    "½",
    "²³",
    "٣٤",
    "−",
    "√",
    "𝟜𝟚",
    "e\u0301\u0301\u0301",
    "__import__('os').system('false')",
    "lambda: 0",
    "$$",
    "\\",
    "=",
    "^",
    "_",
    "-",
    "+",
    ",",
    ";",
    ".",
    " ",
    "&",
    "!",
)


def hostile_texts(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Yield pairs of prediction and gold: shuffled fragments, digits, brackets, Unicode, repeated and nested."""
    rng = random.Random(seed)
    for _ in range(count):
        yield _text(rng), _text(rng) if rng.random() < 0.7 else rng.choice(FRAGMENTS)


def _text(rng: random.Random) -> str:
    shape = rng.random()
    if shape < 0.70:
        text = "".join(rng.choice(FRAGMENTS) for _ in range(rng.randint(1, 12)))
    elif shape < 0.80:
        text = "".join(chr(rng.randrange(0x20, 0x2FFF)) for _ in range(rng.randint(1, 200)))
    elif shape < 0.90:
        text = rng.choice(FRAGMENTS) * rng.choice((2, 3, 30, 300, 3000))
    else:
        text = "".join(rng.choice("0123456789.,-/^e") for _ in range(rng.choice((3, 10, 100, 5000))))
    return f"\\boxed{{{text}}}" if rng.random() < 0.5 else text


def fuzz(count: int, seed: int, limit_s: float) -> dict[str, float]:
    """Grade hostile pairs under all policies in turn; seconds of wall time for each pair."""
    started = time.perf_counter()
    symbolic.start()
    start_s = time.perf_counter() - started
    seconds, raised = [], 0
    for index, (prediction, gold) in enumerate(hostile_texts(count, seed)):
        policy = (MATH, NUMBER, MATH, CHOICE, MATH, TEXT)[index % 6]
        before = time.perf_counter()
        try:
            grade(prediction, gold, policy)
        except Exception as error:  # counted: that it raises is what is looked for
            raised += 1
            print(f"raised {error!r} on {prediction[:200]!r} against {gold[:200]!r}", file=sys.stderr)
        seconds.append(time.perf_counter() - before)
        if seconds[-1] > limit_s:
            print(f"{seconds[-1]:.2f} s: {prediction[:160]!r} against {gold[:160]!r}", file=sys.stderr)
    ordered = sorted(seconds)
    return {
        "count": count,
        "seed": seed,
        "raised": raised,
        "over_limit": sum(s > limit_s for s in seconds),
        "max_s": round(ordered[-1], 4),
        "p99_s": round(ordered[int(0.99 * (len(ordered) - 1))], 5),
        "total_s": round(sum(seconds), 1),
        "worker_start_s": round(start_s, 2),
    }


def recorded(file: Path) -> dict[str, float]:
    """Grade every recorded GSM8K solution and compare with its `is_correct`."""
    started = time.perf_counter()
    rows = disagreements = 0
    with file.open(encoding="utf-8") as lines:
        for solution, gold, is_correct in recorded_solutions(lines):
            rows += 1
            graded: Grade = grade(solution, gold, NUMBER)
            if graded.correct != is_correct:
                disagreements += 1
                print(f"{graded} but is_correct={is_correct}: {solution[-80:]!r} / {gold[-40:]!r}", file=sys.stderr)
    return {"rows": rows, "disagreements": disagreements, "seconds": round(time.perf_counter() - started, 2)}


def recorded_solutions(lines: Iterator[str]) -> Iterator[tuple[str, str, bool]]:
    """Yield solution, gold solution and label of a file in the form of OpenAI's example_model_solutions.jsonl."""
    for line in lines:
        row = json.loads(line)
        for column in row.values():
            if isinstance(column, dict):
                yield column["solution"], row["ground_truth"], column["is_correct"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("recorded").add_argument("file", type=Path)
    fuzzing = commands.add_parser("fuzz")
    fuzzing.add_argument("--count", type=int, default=100_000)
    fuzzing.add_argument("--seed", type=int, default=7)
    fuzzing.add_argument(
        "--limit-s", type=float, default=1.0, help="wall seconds; more on a machine that is overloaded"
    )
    comparing = commands.add_parser("peers", help="FOLDER holds the peers' repositories under their names")
    comparing.add_argument("folder", type=Path)
    comparing.add_argument("--rows", type=Path, help="file for each row with its verdicts, as JSON lines")
    comparing.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.command == "peers":
        try:
            return peers(arguments.folder, arguments.rows, as_json=arguments.json)
        except ValueError as error:
            print(error, file=sys.stderr)
            return 2
    if arguments.command == "recorded":
        result = recorded(arguments.file)
        failed = result["disagreements"]
    else:
        result = fuzz(arguments.count, arguments.seed, arguments.limit_s)
        failed = result["raised"] + result["over_limit"]
    print(json.dumps(result))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
