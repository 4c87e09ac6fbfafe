"""What the inference chart costs: throughput of a server behind it over that of the same server started by hand.

    python -m benchmarks.inference_chart --chart http://math.team-a.svc/v1 --hand http://127.0.0.1:8000/v1 --model math

Both servers run the same model with the same arguments and are asked in turns, never at once: each round both get the
same requests, `--parallel` at a time, and who begins changes from round to round, so that a machine that slows down
slows both. Answers have a fixed length (greedy, `ignore_eos`), prompts differ from round to round, since an earlier one
would be found in the prefix cache. A turn is several answers long for each of those in flight: the first ones of a turn
arrive together or in two waves, by chance, which makes short turns differ by half. There are more rounds, up to
`--most`, while the interval still holds the limit. Prints, as JSON, tokens made a second by each, and the ratio
(chart / hand), a mean over the middle half of the rounds, with a 95 % bootstrap interval; exits with 1 if it is below
0.97. A key is read from OPENAI_API_KEY.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

LIMIT = 0.97
_DRAWS = 2000


@dataclass(frozen=True, slots=True)
class Turn:
    """What one server did in a round."""

    tokens: int
    """Made, as the server counted them."""
    seconds: float
    """From the first request to the last answer."""

    @property
    def rate(self) -> float:
        """Tokens a second."""
        return self.tokens / self.seconds


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked in a round."""

    model: str
    requests: int
    parallel: int
    max_tokens: int

    def body(self, number: int, place: int) -> dict[str, Any]:
        """A request; the same for both servers, and for no two rounds or places."""
        first, second = number * self.requests + place, 7 * place + 3
        text = f"Round {number}, child {place} has {first} apples and gets {second} more. How many are that?"
        return {
            "model": self.model,
            "messages": [{"role": "user", "content": text}],
            "max_tokens": self.max_tokens,
            "min_tokens": self.max_tokens,
            "ignore_eos": True,
            "temperature": 0,
        }


async def take_turn(client: aiohttp.ClientSession, url: str, load: Load, number: int) -> Turn:
    """Send a round's requests to a server.

    Raises:
        RuntimeError: It does not answer one of them.
    """
    waiting = iter(range(load.requests))
    tokens = 0

    async def work() -> None:
        nonlocal tokens
        for place in waiting:
            async with client.post(f"{url}/chat/completions", json=load.body(number, place)) as answer:
                if answer.status != 200:
                    raise RuntimeError(f"{url} answered {answer.status}: {(await answer.text())[:500]}")
                tokens += int((await answer.json())["usage"]["completion_tokens"])

    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(load.parallel)))
    return Turn(tokens, time.perf_counter() - started)


async def measure(chart: str, hand: str, load: Load, rounds: int, most: int) -> list[tuple[Turn, Turn]]:
    """(behind the chart, by hand) of each round, after one that does not count.

    Args:
        chart: URL of the server behind the chart.
        hand: URL of the other one.
        load: What is asked in a round.
        rounds: After so many, and so many more each time, it is looked whether the limit is decided over.
        most: There are no more than these.

    Raises:
        RuntimeError: A server does not answer.
    """
    headers = {"Authorization": f"Bearer {key}"} if (key := os.environ.get("OPENAI_API_KEY")) else {}
    limits = aiohttp.ClientTimeout(total=None, sock_read=600)

    async def turn(url: str, number: int) -> Turn:
        # A server may close connections that were idle while the other one was asked, just when they are used again.
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(headers=headers, timeout=limits, connector=connector) as client:
            return await take_turn(client, url, load, number)

    measured = []
    for number in range(most + 1):
        order = (chart, hand) if number % 2 else (hand, chart)
        turns = {url: await turn(url, number) for url in order}
        if number:
            measured.append((turns[chart], turns[hand]))
            print(f"round {number}: {turns[chart].rate:.1f} and {turns[hand].rate:.1f} tokens/s", file=sys.stderr)
        if number and number % rounds == 0 and decided(interval(measured)):
            break
    return measured


def ratio(turns: Sequence[tuple[Turn, Turn]]) -> float:
    """Throughput behind the chart over that by hand: geometric mean of the middle half of the rounds.

    One disturbed turn changes little, and rounds that agree count more than in a median.
    """
    ratios = sorted(chart.rate / hand.rate for chart, hand in turns)
    outer = len(ratios) // 4
    return statistics.geometric_mean(ratios[outer : len(ratios) - outer])


def interval(turns: Sequence[tuple[Turn, Turn]]) -> tuple[float, float]:
    """95 % bootstrap interval of the ratio over rounds."""
    draw = random.Random(0)
    drawn = sorted(ratio(draw.choices(turns, k=len(turns))) for _ in range(_DRAWS))
    return drawn[_DRAWS // 40], drawn[-1 - _DRAWS // 40]


def decided(bounds: tuple[float, float]) -> bool:
    """Whether an interval lies on one side of the limit."""
    return bounds[0] >= LIMIT or bounds[1] < LIMIT


def _rates(turns: Sequence[tuple[Turn, Turn]]) -> tuple[float, float]:
    def rate(side: int) -> float:
        return sum(pair[side].tokens for pair in turns) / sum(pair[side].seconds for pair in turns)

    return rate(0), rate(1)


def main() -> int:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chart", required=True, help="URL of the Service, with /v1")
    parser.add_argument("--hand", required=True, help="URL of the server started by hand, with /v1")
    parser.add_argument("--model", required=True, help="name under which both serve it")
    parser.add_argument("--parallel", type=int, default=16, help="requests in flight")
    parser.add_argument("--requests", type=int, default=128, help="of each round, to each server")
    parser.add_argument("--max-tokens", type=int, default=64, help="length of each answer")
    parser.add_argument("--rounds", type=int, default=15, help="between two looks whether it is decided")
    parser.add_argument("--most", type=int, default=90, help="rounds after which the ratio itself decides")
    options = parser.parse_args()
    load = Load(options.model, options.requests, options.parallel, options.max_tokens)
    try:
        turns = asyncio.run(
            measure(options.chart.rstrip("/"), options.hand.rstrip("/"), load, options.rounds, options.most)
        )
    except (RuntimeError, aiohttp.ClientError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    measured, (chart, hand) = ratio(turns), _rates(turns)
    print(json.dumps({
        "parallel": load.parallel,
        "rounds": len(turns),
        "requests": load.requests * len(turns),
        "tokens": sum(turn.tokens for turn, _ in turns),
        "chart_tokens_per_s": round(chart, 1),
        "hand_tokens_per_s": round(hand, 1),
        "ratio": round(measured, 4),
        "interval": [round(bound, 4) for bound in interval(turns)],
        "limit": LIMIT,
    }, indent=1))  # fmt: skip
    return int(measured < LIMIT)


if __name__ == "__main__":
    sys.exit(main())
