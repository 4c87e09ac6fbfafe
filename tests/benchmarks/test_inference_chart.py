"""The throughput benchmark of the inference chart: two servers of known speed are found to be what they are."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import inference_chart
from benchmarks.inference_chart import Load, Turn, interval, measure, ratio

ROOT = Path(__file__).parents[2]
WORDS = " ".join(["word"] * 40)


@pytest.fixture
def serve(servers: Callable[..., str]) -> Callable[[float], str]:
    """Start a server that takes this long for an answer of 40 tokens, in seconds; returns its URL."""
    return lambda latency: servers("benchmarks/server.py", "--latency-s", str(latency), "--template", WORDS)


def measured(chart: str, hand: str, *options: str, code: int) -> tuple[dict[str, Any], str]:
    """What the benchmark prints: its figures, and what it says beside them."""
    command = [sys.executable, "-m", "benchmarks.inference_chart", "--chart", chart, "--hand", hand, "--model", "test"]
    command += ["--rounds", "4", "--requests", "32", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout or "{}"), done.stderr


@pytest.mark.long
def test_a_slower_server_is_found_and_is_a_failure(serve: Callable[[float], str]) -> None:
    slow, fast = serve(0.4), serve(0.2)
    found, _ = measured(slow, f"{fast}/", code=1)
    assert found["ratio"] == pytest.approx(0.5, abs=0.1)
    low, high = found["interval"]
    assert low <= found["ratio"] <= high < 0.97
    assert found["tokens"] == 4 * 32 * 40 and found["parallel"] == 16
    assert found["hand_tokens_per_s"] == pytest.approx(16 * 40 / 0.2, rel=0.25)
    assert measured(fast, slow, code=0)[0]["ratio"] > 1.5


def test_what_is_asked_is_in_flight_and_has_a_fixed_length(serve: Callable[[float], str]) -> None:
    url = serve(0.05)
    measured(url, url, "--parallel", "5", "--max-tokens", "7", "--rounds", "1", code=0)
    with urllib.request.urlopen(url.replace("/v1", "/counts")) as answer:
        counts = json.load(answer)
    assert counts["peak_in_flight"] == 5 and counts["requests"] == 2 * 2 * 32
    last = counts["last_request"]
    assert (last["max_tokens"], last["ignore_eos"], last["temperature"]) == (7, True, 0)


def test_a_server_that_refuses_is_named(serve: Callable[[float], str]) -> None:
    url = serve(0.0)
    _, said = measured(url, url.replace("/v1", "/v2"), code=2)
    assert f"{url.replace('/v1', '/v2')} answered 404" in said
    _, said = measured("http://127.0.0.1:9/v1", url, code=2)
    assert "127.0.0.1:9" in said


def test_the_interval_is_over_rounds() -> None:
    same = [(Turn(100, 1.0), Turn(100, 1.0))] * 6
    assert ratio(same) == 1 and interval(same) == (1, 1)
    mixed = [(Turn(100, 1.0), Turn(100, 0.9)), (Turn(100, 0.9), Turn(100, 1.0))] * 4
    low, high = interval(mixed)
    assert ratio(mixed) == pytest.approx(1.0, abs=0.01) and 0.9 <= low < 1 < high <= 1.12
    disturbed = [*same, (Turn(100, 5.0), Turn(100, 1.0))]
    assert ratio(disturbed) == 1


@pytest.mark.parametrize(("chart", "rounds"), [((1.0, 1.0), 2), ((0.9, 0.9), 2), ((0.9, 1.1), 6)])
async def test_it_goes_on_while_the_limit_is_not_decided_over(
    monkeypatch: pytest.MonkeyPatch, chart: tuple[float, float], rounds: int
) -> None:
    async def turn(client: object, url: str, load: Load, number: int) -> Turn:
        return Turn(100, 1 / chart[number % 2] if url == "chart" else 1.0)

    monkeypatch.setattr(inference_chart, "take_turn", turn)
    assert len(await measure("chart", "hand", Load("test", 1, 1, 1), 2, 6)) == rounds
