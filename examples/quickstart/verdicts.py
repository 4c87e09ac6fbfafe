"""Says how good the critiques of a debate are, against the true arithmetic of the quickstart's world.

    python examples/quickstart/verdicts.py STORE/debate/KEY/shards/*.jsonl.zst

Reads transcripts, and only reports: no training and no vote knows of these figures.
"""

import argparse
import io
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import world
import zstandard

_VERDICT = re.compile(r"^(Mine|Agent (\d+)): (?:(right)|step (\d+) is wrong, )", re.MULTILINE)


@dataclass(slots=True)
class Tally:
    """Counts over the verdicts on single solutions."""

    replies: int = 0  # reviews read
    missing: int = 0  # solutions that a review should have judged and did not
    right: int = 0  # right solutions judged
    right_called_right: int = 0
    wrong: int = 0  # wrong solutions judged
    wrong_called_wrong: int = 0
    step_named: int = 0  # wrong solutions called wrong whose first wrong step was the one named

    def add(self, critique: str, solutions: list[str]) -> None:
        """Counts one review of `solutions` (the reader's own first, then his peers' as he saw them)."""
        self.replies += 1
        verdicts = {int(match[2] or 0): match for match in _VERDICT.finditer(critique)}
        for number, solution in enumerate(solutions):
            verdict = verdicts.get(number)
            if verdict is None:
                self.missing += 1
                continue
            called_right = verdict[3] is not None
            index = world.first_wrong(world.read_steps(solution))
            if index is None:
                self.right += 1
                self.right_called_right += called_right
            else:
                self.wrong += 1
                self.wrong_called_wrong += not called_right
                self.step_named += not called_right and int(verdict[4]) == index + 1

    def lines(self) -> list[str]:
        """The report, one figure a line."""
        return [
            f"reviews: {self.replies}, solutions without a verdict: {self.missing}",
            f"right solutions called right: {_share(self.right_called_right, self.right)}",
            f"wrong solutions called wrong: {_share(self.wrong_called_wrong, self.wrong)}",
            f"  and the first wrong step named: {_share(self.step_named, self.wrong)}",
        ]


def _share(count: int, total: int) -> str:
    return f"{count} of {total}" + (f" ({count / total:.1%})" if total else "")


def tally(records: Iterable[dict[str, Any]]) -> Tally:
    """Counts the verdicts of all reviews in transcripts (one record a question)."""
    counts = Tally()
    for record in records:
        said = {(turn["round"], turn["agent"]): turn for turn in record["turns"] if turn["role"] == "agent"}
        for (number, agent), turn in sorted(said.items()):
            before = [said[key]["solution"] for key in sorted(said) if key[0] == number - 1 and key[1] != agent]
            if number > 0:
                counts.add(turn["critique"], [said[number - 1, agent]["solution"], *before])
    return counts


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """The records of one shard (.jsonl.zst) of transcripts."""
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as plain:
        for line in io.TextIOWrapper(plain, encoding="utf-8"):
            yield json.loads(line)


def main() -> None:
    """Reports on the shards named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", type=Path, nargs="+", help="transcripts of a debate, .jsonl.zst")
    arguments = parser.parse_args()
    counts = tally(record for path in arguments.shards for record in read_records(path))
    print("\n".join(counts.lines()))


if __name__ == "__main__":
    main()
