"""The pages' commands for laptops run here, on fewer questions than the pages ask."""

from pathlib import Path

import pytest

from tests.docs.commands import all_pages, commands
from tests.docs.world import Reader

pytestmark = pytest.mark.long

FEWER = {
    "limit: 150}": "limit: 24}",
    'dataset: {uri: "file:data/test.jsonl"}': 'dataset: {uri: "file:data/test.jsonl", limit: 12}',
    "controls: [SelfConsistency, Debate, SelfReview, OwnAnswers, AnswerOnly]": "controls: [Debate]",
    "decoding: [Greedy, Sampled]": "decoding: [Greedy]",
    # Few questions show no gain, and what is released is to be read.
    'minGainOver: student, significance: "0.01"': 'minValue: "0"',
    'minValue: "0.8"': 'minValue: "0"',
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", [page for page in all_pages() if any(one.place == "laptop" for one in commands(page))])
def test_commands_do_what_the_page_says(page: str, tmp_path: Path) -> None:
    reader = Reader(tmp_path / "reader", FEWER)
    for command in commands(page):
        if command.place == "laptop":
            print(f"$ {command.text}{reader.follow(command)}")
