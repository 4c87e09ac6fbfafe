"""Take a small random part of GSM8K: the files train.jsonl and test.jsonl of a folder.

    .venv/bin/python examples/gsm8k/sample.py --gsm8k FOLDER [--train 24] [--test 24] [--seed 0] [--out FOLDER]

The rows are copied as they are, in the order of the source, so every question keeps the id that it has in the whole set
(ids come from a row's content). The same seed and numbers give the same rows.
Exit codes: 0 done, 2 the source is not there, not GSM8K, or has too few rows.
"""

import argparse
import json
import random
import sys
from pathlib import Path

DEFAULT_OUT = Path(".agentark/data/gsm8k")


class Unusable(Exception):
    """The source cannot be sampled from."""


def sample(source: Path, count: int, seed: int) -> list[bytes]:
    """Return `count` rows of a JSON-lines file, drawn without replacement, in the file's order.

    Raises:
        Unusable: If the file is not there, has fewer rows, or a drawn row lacks a question or an answer.
    """
    try:
        lines = [line for line in source.read_bytes().splitlines() if line.strip()]
    except OSError as error:
        raise Unusable(
            f"{source}: {error.strerror}; --gsm8k takes the folder that holds train.jsonl and test.jsonl"
        ) from error
    if len(lines) < count:
        raise Unusable(f"{source} has {len(lines)} rows, {count} are asked for; ask for fewer")
    # The file's name is part of the seed, so that the two parts are drawn independently.
    numbers = sorted(random.Random(f"{source.name} {seed}").sample(range(len(lines)), count))
    for number in numbers:
        check(lines[number], f"{source}:{number + 1}")
    return [lines[number] for number in numbers]


def check(line: bytes, where: str) -> None:
    """Make sure that a row is one of GSM8K.

    Raises:
        Unusable: If it is not.
    """
    try:
        row = json.loads(line)
    except ValueError as error:
        raise Unusable(f"{where}: not JSON ({error})") from error
    if not isinstance(row, dict) or not row.get("question") or "####" not in str(row.get("answer", "")):
        raise Unusable(f"{where}: a row of GSM8K has 'question' and an 'answer' that ends in '#### number'")


def main() -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gsm8k", type=Path, required=True, help="folder with train.jsonl and test.jsonl")
    parser.add_argument("--train", type=int, default=24, help="training questions (default 24)")
    parser.add_argument("--test", type=int, default=24, help="test questions (default 24)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw (default 0)")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help=f"folder to write to (default {DEFAULT_OUT})")
    options = parser.parse_args()
    try:
        parts = {
            name: sample(options.gsm8k / name, count, options.seed)
            for name, count in (("train.jsonl", options.train), ("test.jsonl", options.test))
        }
    except Unusable as error:
        print(error, file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    for name, rows in parts.items():
        (options.out / name).write_bytes(b"".join(row + b"\n" for row in rows))
        print(f"{options.out / name}: {len(rows)} questions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
