"""What stops a run, and what does not."""

from dataclasses import replace

import pytest

from agentark.api import PADGuards
from agentark.distill.pad.guards import BatchStatistics, breach
from agentark.errors import InvalidInput

CALM = BatchStatistics(length=30, step_count=4, pairs=100, discordant=20, contested=10, spread=0.3, kl=0.05)


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (replace(CALM, step_count=6.1), "step count drift: 6.1"),
        (replace(CALM, step_count=2.5), "step count drift"),
        (replace(CALM, length=61), "length drift: 61"),
        (replace(CALM, length=14), "length drift"),
        (replace(CALM, discordant=70), "PRM-verifier disagreement: in 70%"),
        (replace(CALM, spread=0.0), "reward variance collapse"),
        (replace(CALM, kl=1.5), "KL: 1.5 nats"),
    ],
)
def test_each_guard_stops_with_its_reason_once_it_lasts(odd: BatchStatistics, reason: str) -> None:
    guards = PADGuards()
    assert breach([CALM] * 5, guards) == ""
    assert reason in breach([CALM, odd, odd, odd], guards)
    # One odd batch among calm ones is chance.
    mild = replace(odd, kl=1.2, length=32 if odd.length != CALM.length else CALM.length, spread=CALM.spread)
    assert breach([CALM, CALM, mild, CALM], guards) == ""


def test_a_guard_that_is_switched_off_stops_nothing() -> None:
    odd = BatchStatistics(length=300, step_count=40, pairs=100, discordant=100, contested=10, spread=0.0, kl=9)
    off = PADGuards(step_drift=0, length_drift=0, disagreement=0, spread=0, kl=0)
    assert breach([CALM, odd, odd, odd], off) == ""


def test_answers_that_are_all_right_are_no_collapse() -> None:
    done = BatchStatistics(length=30, step_count=4, pairs=0, discordant=0, contested=0, spread=None)
    assert breach([CALM, *[done] * 9], PADGuards()) == ""


def test_chance_agreement_of_few_pairs_stops_nothing() -> None:
    few = replace(CALM, pairs=3, discordant=3)
    assert breach([few] * 4, PADGuards()) == ""
    constant = replace(CALM, discordant=50)
    assert breach([constant] * 4, PADGuards()) == ""


def test_nothing_is_judged_without_step_scores_but_length() -> None:
    plain = BatchStatistics(length=30)
    assert breach([plain] * 4, PADGuards()) == ""
    assert "length drift" in breach([plain, *[BatchStatistics(length=90)] * 3], PADGuards())


@pytest.mark.parametrize(("name", "value"), [("stepDrift", 1.0), ("disagreement", 1.0), ("spread", -0.1), ("kl", -1.0)])
def test_thresholds_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(InvalidInput, match=name):
        PADGuards(**{name: value})
