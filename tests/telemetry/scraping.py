"""Asks for metrics as Prometheus does."""

import time
from collections.abc import Callable, Mapping

import urllib3
from prometheus_client.parser import text_string_to_metric_families

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]
"""Name and labels -> value."""


def scrape(address: str) -> Samples | None:
    """What HOST:PORT shows; None where nobody answers."""
    try:
        with urllib3.PoolManager(retries=False, timeout=5.0) as pool:
            answer = pool.request("GET", f"http://{address}/metrics")
    except urllib3.exceptions.HTTPError:
        return None
    assert answer.status == 200
    return samples(answer.data.decode())


def samples(text: str) -> Samples:
    """A text of metrics, read."""
    return {
        (one.name, frozenset(one.labels.items())): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def value(found: Samples, metric: str, /, **labels: str) -> float | None:
    """One value; None where there is none."""
    return found.get((metric, frozenset(labels.items())))


def names(found: Samples) -> set[str]:
    """Names of all metrics."""
    return {name for name, _ in found}


def awaited(address: str, right: Callable[[Samples], bool], *, within_s: float = 60.0) -> Samples:
    """What an address shows, once it is right."""
    deadline = time.monotonic() + within_s
    while (found := scrape(address)) is None or not right(found):
        assert time.monotonic() < deadline, f"not right after {within_s:g} s: {found}"
        time.sleep(0.05)
    return found
