"""The quickstart's world, its files and its base model."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import corpus
import make_data
import pytest
import verdicts
import world
import zstandard

FOLDER = Path(make_data.__file__).parent
SLOPPY = world.Slips(hard=0.62, easy=0.3)


def draft(*lines: str) -> world.Draft:
    return world.read_steps("\n".join(f"Step {number}: {line}" for number, line in enumerate(lines, 1)))


def sums_asked(text: str) -> world.Sums:
    """What a problem asks for, read from its words alone, apart from the code that wrote them."""
    start, *acts = text.split(". ")[:-1]
    operations = []
    for act in acts:
        _, verb, amount, *_ = act.split()
        match verb:
            case "doubles":
                operations.append(world.Operation("*", 2))
            case "finds" | "buys" | "gets":
                operations.append(world.Operation("+", int(amount)))
            case "loses" | "sells" | "gives":
                operations.append(world.Operation("-", int(amount)))
            case _:
                pytest.fail(f"unknown act: {act}")
    return world.Sums(int(start.split()[2]), tuple(operations))


def answer_asked(text: str) -> int:
    value, operations = sums_asked(text)
    for sign, amount in operations:
        value = {"*": value * amount, "+": value + amount, "-": value - amount}[sign]
    return value


def test_the_words_of_a_problem_ask_for_its_answer() -> None:
    rng = random.Random(1)
    for _ in range(500):
        problem = world.make_problem(rng)
        assert sums_asked(problem.text) == problem.sums
        assert answer_asked(problem.text) == problem.answer
        assert world.write_exact(problem.sums)[-1].result == problem.answer


def test_without_slips_every_route_leads_to_the_answer() -> None:
    rng = random.Random(2)
    routes = 0
    for _ in range(500):
        problem = world.make_problem(rng)
        written = world.write_draft(problem.sums, world.NO_SLIPS, rng)
        assert world.first_wrong(written) is None
        assert written[-1].result == problem.answer
        routes += written != world.write_exact(problem.sums)
    assert routes > 50


@pytest.mark.parametrize(
    ("left", "sign", "right", "slipped"), [(24, "+", 8, 22), (24, "-", 8, 26), (24, "+", 3, 27), (24, "*", 2, 48)]
)
def test_a_slip_forgets_the_carry_or_the_borrow_and_nothing_else(
    left: int, sign: str, right: int, slipped: int
) -> None:
    always = world.Slips(hard=1.0, easy=0.0)
    assert world.written_result(left, sign, right, always, random.Random(0)) == slipped


def test_a_slip_carries_on_into_later_steps() -> None:
    sums = world.Sums(25, (world.Operation("+", 9), world.Operation("-", 3)))
    written = world.write_draft(sums, world.Slips(hard=1.0, easy=0.0), random.Random(0))
    assert written == draft("25 + 9 = 24", "24 - 3 = 21")
    assert world.first_wrong(written) == 0


def test_solutions_are_read_back_as_they_were_written() -> None:
    rng = random.Random(3)
    for _ in range(200):
        written = world.write_draft(world.make_problem(rng).sums, SLOPPY, rng)
        text = world.solution_text(written)
        assert text.startswith(world.SOLUTION_MARKER)
        assert world.read_steps(text) == written
        assert world.read_answer(text) == written[-1].result


def test_a_review_shows_the_peers_as_the_prompts_of_a_debate_do() -> None:
    assert world.review_request(["Step 1: A", "Step 1: B"]) == (
        "Agent 1:\nStep 1: A\nAgent 2:\nStep 1: B\nReview these solutions and solve again."
    )


class TestRevising:
    sums = world.Sums(25, (world.Operation("+", 9),))
    right, low, high = draft("25 + 9 = 34"), draft("25 + 9 = 24"), draft("25 + 9 = 35")

    def revised(self, own: world.Draft, *peers: world.Draft, slips: world.Slips = world.NO_SLIPS) -> world.Draft:
        return world.revise(self.sums, own, peers, slips, 0.0, random.Random(0))

    def test_where_all_agree_the_own_solution_stands_even_if_wrong(self) -> None:
        assert self.revised(self.low, self.low, self.low) == self.low

    def test_a_right_solution_is_copied(self) -> None:
        assert self.revised(self.low, self.high, self.right) == self.right

    def test_where_none_is_right_the_new_draft_may_slip_again(self) -> None:
        assert self.revised(self.high, self.high, self.low, slips=world.Slips(1.0, 0.0)) == self.low


def test_committed_questions_are_what_make_data_writes() -> None:
    for name, problems in make_data.splits().items():
        assert make_data.jsonl(name, problems) == (make_data.FOLDER / f"{name}.jsonl").read_text(encoding="utf-8")


def test_no_two_questions_ask_for_the_same_sums() -> None:
    problems = [problem for split in make_data.splits().values() for problem in split]
    assert len({problem.sums for problem in problems}) == len(problems) == 1100
    texts = [(make_data.FOLDER / f"{name}.jsonl").read_text(encoding="utf-8") for name in make_data.SIZES]
    rows = [json.loads(line) for text in texts for line in text.splitlines()]
    assert len({row["id"] for row in rows}) == len(rows)
    assert all(answer_asked(row["question"]) == int(row["answer"]) for row in rows)


def test_pages_leave_out_what_is_held_out() -> None:
    def asked(held_out: set[world.Sums]) -> list[world.Sums]:
        pages = corpus.Corpus(5, corpus.Habits(), held_out)
        kinds = [corpus.Kind.DRAFT, corpus.Kind.REVIEW] * 100
        return [sums_asked(pages.page(kind).turns[0]) for kind in kinds]

    drawn = asked(set())
    assert asked(set()) == drawn, "the same seed draws the same pages"
    assert not set(drawn[:50]) & set(asked(set(drawn[:50])))


def record(first: list[str], critiques: list[str]) -> dict[str, object]:
    turns = [{"role": "agent", "round": 0, "agent": i, "critique": "", "solution": s} for i, s in enumerate(first)]
    turns += [
        {"role": "agent", "round": 1, "agent": i, "critique": c, "solution": first[i]} for i, c in enumerate(critiques)
    ]
    return {"turns": turns}


def test_verdicts_are_counted_against_the_arithmetic(tmp_path: Path) -> None:
    right, wrong = (world.solution_text(draft(f"25 + 9 = {result}")) for result in (34, 24))
    careful = [
        "Mine: right\nAgent 1: step 1 is wrong, 25 + 9 = 34 not 24\n",
        "Mine: right\nAgent 1: step 2 is wrong, x\n",
    ]
    shard = tmp_path / "000000.jsonl.zst"
    shard.write_bytes(zstandard.compress((json.dumps(record([right, wrong], careful)) + "\n").encode()))
    shell = [sys.executable, str(FOLDER / "verdicts.py"), str(shard)]
    shown = subprocess.run(shell, capture_output=True, text=True, check=True).stdout.splitlines()
    assert shown == [
        "reviews: 2, solutions without a verdict: 0",
        "right solutions called right: 1 of 2 (50.0%)",
        "wrong solutions called wrong: 1 of 2 (50.0%)",
        "  and the first wrong step named: 1 of 2 (50.0%)",
    ]


def test_a_careful_readers_verdicts_are_all_right() -> None:
    rng = random.Random(8)
    counts = verdicts.Tally()
    for _ in range(100):
        sums = world.make_problem(rng).sums
        drafts = [world.write_draft(sums, SLOPPY, rng) for _ in range(5)]
        counts.add("\n".join(world.write_verdicts(drafts[0], drafts[1:])), [world.solution_text(one) for one in drafts])
    assert counts.missing == 0
    assert counts.right_called_right == counts.right > 0
    assert counts.wrong_called_wrong == counts.step_named == counts.wrong > 0


def test_the_world_and_its_data_need_no_torch() -> None:
    code = "import sys, world, corpus, make_data, verdicts; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=FOLDER, env=os.environ | {"PYTHONPATH": str(FOLDER)}, check=True)
