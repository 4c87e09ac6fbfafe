"""Writes data/train.jsonl, test.jsonl and dev.jsonl: rows {"id", "question", "answer"}, the same bytes on every run."""

import json
import random
from pathlib import Path

import world

FOLDER = Path(__file__).parent / "data"
SIZES = {"train": 300, "test": 300, "dev": 500}
"""`dev` is for choosing settings; nothing was ever chosen by a look at `test`."""
_SEED = 20_261_123


def splits() -> dict[str, list[world.Problem]]:
    """The questions of all splits; no two of them ask for the same sums, whatever the names and things around them."""
    rng, taken = random.Random(_SEED), set[world.Sums]()
    by_split: dict[str, list[world.Problem]] = {}
    for name, size in SIZES.items():
        by_split[name] = fresh_problems(rng, size, taken)
        taken.update(problem.sums for problem in by_split[name])
    return by_split


def fresh_problems(rng: random.Random, count: int, taken: set[world.Sums]) -> list[world.Problem]:
    """Draws `count` problems with sums that differ from one another and from all in `taken`."""
    problems: dict[world.Sums, world.Problem] = {}
    while len(problems) < count:
        problem = world.make_problem(rng)
        if problem.sums not in taken:
            problems.setdefault(problem.sums, problem)
    return list(problems.values())


def jsonl(name: str, problems: list[world.Problem]) -> str:
    """The file's text for one split."""
    rows = [
        {"id": f"{name}-{number:04d}", "question": problem.text, "answer": str(problem.answer)}
        for number, problem in enumerate(problems, 1)
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)


def main() -> None:
    """Writes the files."""
    FOLDER.mkdir(exist_ok=True)
    for name, problems in splits().items():
        path = FOLDER / f"{name}.jsonl"
        path.write_text(jsonl(name, problems), encoding="utf-8")
        print(f"{path}: {len(problems)} questions")


if __name__ == "__main__":
    main()
