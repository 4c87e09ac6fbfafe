"""Solutions compared by what they calculate."""

import random
import time
from functools import cache

import pytest

from agentark.tasks.operations import distance, operations


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Step 1: 3 + 5 = 8\nStep 2: 8 - 2 = 6\nThe answer is \\boxed{6}", ("3+5=8", "8-2=6", "6")),
        ("5+3=8", ("3+5=8",)),  # sums and products have no order
        ("8 - 3 = 5", ("8-3=5",)),
        ("She earns $1,200.00 × 3 = $3,600 in all.", ("1200*3=3600",)),
        ("2 \\times 3 \\div 4 = 1.50", ("2*3/4=1.5",)),
        ("3 cups x 4 = 12 cups", ("3", "4", "12")),
        ("3 cups * 4 eggs = 12 eggs", ("3*4=12",)),
        ("**12 + 4 + 1 = 17**, so \\(17 - 2 = 15\\)", ("1+12+4=17", "17-2=15")),
        ("1. First 7 \u2212 2 = 5\n2) then 5 * 2 = 10", ("7-2=5", "2*5=10")),
        ("2 - 5 = -3", ("2-5=-3",)),
        ("**Step 2:** 007 + .50 = 7.500", ("0.5+7=7.5",)),
        ("Aspirin thins the blood.", ("aspirin", "thins", "the", "blood")),
        ("", ()),
    ],
)
def test_calculations_are_read_from_many_spellings(text: str, found: tuple[str, ...]) -> None:
    assert operations(text) == found


def test_wording_layout_and_operand_order_make_no_difference() -> None:
    first = "Step 1: 3 + 5 = 8\nStep 2: 8 * 2 = 16\nThe answer is \\boxed{16}"
    second = "First, 5 + 3 = 8. Doubling gives $2 \\cdot 8 = 16$, so we get \\boxed{16.0}"
    assert distance(operations(first), operations(second)) == 0


def _naive(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    @cache
    def cost(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        change = cost(i - 1, j - 1) + (first[i - 1] != second[j - 1])
        return min(change, cost(i - 1, j) + 1, cost(i, j - 1) + 1)

    return cost(len(first), len(second))


def test_distance_is_the_normalised_edit_distance() -> None:
    rng = random.Random(4)
    for _ in range(200):
        a, b = (tuple(rng.choices("abc", k=rng.randint(0, 8))) for _ in range(2))
        longest = max(len(a), len(b))
        assert distance(a, b) == distance(b, a) == (_naive(a, b) / longest if longest else 0)


def test_hostile_texts_take_no_long_time() -> None:
    started = time.perf_counter()
    for text in (
        "1 " * 20_000,
        "1 a b + " * 5_000,
        "1+" * 20_000,
        "9" * 50_000,
        "1 aaaa bbbb " * 5_000,
        " \n" * 20_000,
    ):
        found = operations(text)
        distance(found, found[1:])
    assert time.perf_counter() - started < 10
