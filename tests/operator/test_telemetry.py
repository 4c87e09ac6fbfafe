"""Whether the operator lives, as a probe sees it."""

import pytest
from agentark_operator.settings import Settings, read_settings
from agentark_operator.telemetry import STUCK_S, Telemetry

from agentark.errors import InvalidInput


def test_a_loop_that_finishes_nothing_is_dead_and_an_idle_one_is_not() -> None:
    now = [1000.0]
    telemetry = Telemetry(clock=lambda: now[0])
    now[0] += STUCK_S * 3
    assert telemetry.alive(waiting=0), "nothing to do"
    now[0] += STUCK_S - 1
    assert telemetry.alive(waiting=5)
    now[0] += 2
    assert not telemetry.alive(waiting=5)
    telemetry.passed("DebateRun", "Error", 0.1)
    assert telemetry.alive(waiting=5)


def test_phases_that_no_resource_has_any_more_are_gone() -> None:
    telemetry = Telemetry()
    first = telemetry.render([("DebateRun", "a", "Running"), ("DebateRun", "a", "Running")], 3).decode()
    assert 'agentark_resources{kind="DebateRun",namespace="a",phase="Running"} 2.0' in first
    assert "agentark_queue_depth 3.0" in first
    assert "Running" not in telemetry.render([("DebateRun", "a", "Succeeded")], 0).decode()


def test_a_setting_that_cannot_be_read_is_named() -> None:
    prices = (("PRICES", "gpu"), ("PRICES", "gpu=x"))
    others = (("BACKENDS", "Job,MPIJob"), ("OFFLINE", "yes"), ("TEACHERS", "no"))
    for name, value in (*prices, ("POLL_SECONDS", "soon"), ("LOG_FORMAT", "xml"), *others):
        with pytest.raises(InvalidInput, match=f"AGENTARK_{name} is '{value}'"):
            read_settings({f"AGENTARK_{name}": value})


def test_settings_come_from_the_environment() -> None:
    assert read_settings({}) == Settings()
    found = read_settings({"AGENTARK_NAMESPACES": "a, b,", "AGENTARK_STORE": "s3://x/y", "AGENTARK_ADDRESS": ":9000"})
    assert (found.namespaces, found.store, found.address) == (("a", "b"), "s3://x/y", ":9000")
    found = read_settings({"AGENTARK_BACKENDS": "TrainJob", "AGENTARK_OFFLINE": "true", "AGENTARK_TEACHERS": "false"})
    assert found.backends == {"Job", "TrainJob"} and found.offline and not found.teachers
