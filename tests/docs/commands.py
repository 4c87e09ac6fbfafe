"""The commands of the pages under docs/, and where each of them is run.

A block of commands is fenced as `sh` (one script) or as `console` (commands after `$ `, what they print below them). A
comment before it says where it runs:

    <!-- run: laptop -->                    here, in a folder of its own with examples/, charts/ and crds/
    <!-- run: cluster -->                   against the real API server and controllers, with pods that are played
    <!-- run: e2e -->                       on the real node, by the end-to-end scenario

and, after the place, what is special: `exit=2` (it ends with that code), `until=Succeeded` (it runs on; it is stopped
once a line of its output holds that word), `fresh` (it stands for another way than what the page did before, which is
taken away first).

    python -m tests.docs.commands e2e       prints what a place has to run, as JSON
"""

import dataclasses
import json
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

DOCS = Path(__file__).parents[2] / "docs"
Place = Literal["laptop", "cluster", "e2e"]
PLACES: tuple[Place, ...] = get_args(Place)
LANGUAGES = ("sh", "console")
"""Of blocks that hold commands."""
_RUN = re.compile(r"<!-- run: (?P<place>\S+)(?P<options>[^>]*)-->")
_FENCE = re.compile(r"^(?P<fence>`{3,})(?P<language>[\w-]*)")
_VOLATILE = re.compile(r"[\d/]")


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a page, or a script of several."""

    page: str
    """Relative to docs/."""
    line: int
    """1-based, of the block."""
    text: str
    """For bash."""
    place: Place
    expected: str = ""
    """What the page says that it prints; empty where it says nothing."""
    exit_code: int = 0
    until: str = ""
    """A word of its output after which it is stopped; empty for one that ends by itself."""
    fresh: bool = False
    """Whether it begins anew, without what commands before it installed."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str
    before: str
    """The last line above it that is not empty."""


class Unplaced(ValueError):
    """A block of commands says not, or wrongly, where it runs."""


def all_pages() -> list[str]:
    """Every page, relative to docs/."""
    return sorted(file.relative_to(DOCS).as_posix() for file in DOCS.rglob("*.md"))


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    lines = (DOCS / page).read_text().splitlines()
    at, before = 0, ""
    while at < len(lines):
        opened = _FENCE.match(lines[at])
        if opened is None:
            before = lines[at].strip() or before
            at += 1
            continue
        end = next(n for n in range(at + 1, len(lines)) if lines[n].rstrip() == opened["fence"])
        yield Block(page, at + 1, opened["language"], "\n".join(lines[at + 1 : end]) + "\n", before)
        before, at = "", end + 1


def commands(page: str) -> list[Command]:
    """The commands of a page, in order.

    Raises:
        Unplaced: A block of commands does not say where it runs.
    """
    return [command for block in blocks(page) if block.language in LANGUAGES for command in _of_block(block)]


def commands_at(place: Place) -> list[Command]:
    """The commands of all pages that run at a place, page by page."""
    return [command for page in all_pages() for command in commands(page) if command.place == place]


def differences(expected: str, found: str) -> list[str]:
    """The lines that a page shows and a run does not print.

    Words with digits (times, ages, scores, names of pods), paths, the widths of columns and the order of lines may
    differ; a line "..." stands for any others.
    """
    printed = [line.split() for line in found.splitlines()]
    lacking = []
    for line in expected.splitlines():
        words = [word for word in line.split() if not _VOLATILE.search(word) and word != "..."]
        if words and not any(_in_order(words, one) for one in printed):
            lacking.append(line)
    return lacking


def _in_order(words: list[str], among: list[str]) -> bool:
    rest = iter(among)
    return all(word in rest for word in words)


def _of_block(block: Block) -> Iterator[Command]:
    said = _RUN.fullmatch(block.before)
    where = f"{block.page}:{block.line}"
    if said is None:
        raise Unplaced(f"{where}: no <!-- run: {'|'.join(PLACES)} --> right above the block")
    place = next((one for one in PLACES if one == said["place"]), None)
    if place is None:
        raise Unplaced(f"{where}: run: {said['place']}; give {', '.join(PLACES)}")
    options = dict(one.partition("=")[::2] for one in shlex.split(said["options"]))
    if unknown := options.keys() - {"exit", "until", "fresh"}:
        raise Unplaced(f"{where}: {', '.join(sorted(unknown))}; known are exit=CODE, until=WORD and fresh")
    code, until = int(options.get("exit", 0)), options.get("until", "")
    for number, (text, expected) in enumerate(_split(block)):
        fresh = "fresh" in options and number == 0
        yield Command(block.page, block.line, text, place, expected, code, until, fresh)


def _split(block: Block) -> Iterator[tuple[str, str]]:
    """Commands and what they print."""
    if block.language == "sh":
        yield block.text, ""
        return
    if not block.text.startswith("$ "):
        raise Unplaced(f"{block.page}:{block.line}: a console block begins with a command, '$ …'")
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        size = next(n for n, line in enumerate(lines, 1) if not line.endswith("\\"))
        yield "\n".join(lines[:size]) + "\n", "\n".join(lines[size:])


def main(arguments: list[str]) -> int:
    """Print the commands of the given places, or of all."""
    places = [one for one in PLACES if one in arguments or not arguments]
    json.dump([dataclasses.asdict(one) for place in places for one in commands_at(place)], sys.stdout, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
