"""What a debate came to is said at its end, and many replies that cannot count are warned of."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.execution.conftest import Workplace, debate_run

Serve = Callable[..., str]


@pytest.fixture
def endings(servers: Serve) -> str:
    """Root of the server whose replies end in many ways."""
    return servers("-m", "tests.servers.endings")


def debate(place: Workplace, url: str) -> tuple[str, dict[str, Any]]:
    """Run a debate; what was printed, and the metrics of its stage."""
    place.questions(3)
    place.write("run.yaml", debate_run(url))
    printed = place.run("run", "-f", "run.yaml")
    (manifest,) = place.folder.glob(".agentark/stages/debate/*/manifest.json")
    return printed, json.loads(manifest.read_text())["metrics"]


@pytest.mark.parametrize(
    ("ending", "counted", "field"),
    [
        ("filtered", "filtered", "spec.teacher"),
        ("refused", "filtered", "spec.teacher"),
        ("barred", "filtered", "spec.teacher"),
        ("null", "empty", "spec.teacher"),
        ("thought", "empty", "spec.teacher"),
        ("calling", "empty", "spec.teacher"),
        ("cut", "cut", "spec.protocol.sampling.maxTokens"),
    ],
)
def test_replies_that_cannot_count_are_warned_of(
    place: Workplace, endings: str, ending: str, counted: str, field: str
) -> None:
    printed, metrics = debate(place, f"{endings}/{ending}/v1")
    assert (metrics["vote_right"], metrics["agents_right"], metrics["agreement"]) == (0, 0, 0)
    assert {name: metrics[name] for name in ("cut", "empty", "filtered")} == {
        name: 18 * (name == counted) for name in ("cut", "empty", "filtered")
    }
    assert f"WARNING: 18 of 18 replies (100%) could not count: 18 {counted}" in printed
    assert field in metrics["warning"]
    assert "WARNING: 18 of 18" in place.run("show", "talk")


@pytest.mark.parametrize("ending", ["right", "parts"])
def test_a_debate_says_what_it_came_to(place: Workplace, endings: str, ending: str) -> None:
    printed, metrics = debate(place, f"{endings}/{ending}/v1")
    line = (
        "debate: 3 questions; agents right 100.0%, vote right 100.0%; all agree 100.0%; "
        "9 replies, of them 0 cut, 0 empty, 0 filtered; 75 tokens"
    )
    assert line in printed and "WARNING" not in printed and "warning" not in metrics
    # Also where nothing was left to do, for people and for programs.
    assert line in place.run("run", "-f", "run.yaml")
    assert line in place.run("show", "talk")
    document = json.loads(place.run("run", "-f", "run.yaml", "--json"))
    assert f"debate: {document['stages'][0]['outcome'][0]}" == line
