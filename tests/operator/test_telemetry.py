"""Whether the operator lives, as a probe sees it."""

import subprocess
import time
from decimal import Decimal
from typing import Any

import pytest
from agentark_operator.informers.resources import Key
from agentark_operator.metrics.telemetry import STUCK_S, Telemetry
from agentark_operator.settings import Settings, read_settings

from agentark.errors import InvalidInput
from tests.operator.test_figures import pod, running


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
    def resource(name: str, phase: str) -> tuple[Key, dict[str, Any]]:
        return Key("DebateRun", "a", name), {"metadata": {"name": name}, "spec": {}, "status": {"phase": phase}}

    telemetry = Telemetry()
    first = telemetry.render([resource("x", "Running"), resource("y", "Running")], [], 3).decode()
    assert 'agentark_resources{kind="DebateRun",namespace="a",phase="Running"} 2.0' in first
    assert "agentark_queue_depth 3.0" in first
    assert "Running" not in telemetry.render([resource("x", "Succeeded")], [], 0).decode()


def test_names_and_text_are_what_prometheus_wants(promtool: str) -> None:
    telemetry = Telemetry(prices={"cpu": Decimal(1)}, currency="EUR", budget=Decimal(1))
    telemetry.stored("read", "Done", 0.1)
    telemetry.passed("DebateRun", "Done", 0.1)
    text = telemetry.render([running()], [pod("team", cpu="1")], 0)
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True)
    known = (b"process_virtual_memory_max_bytes", b"process_max_fds")  # so called by Prometheus's own client
    assert not [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith(known)]


def test_what_a_scrape_costs_with_a_thousand_resources() -> None:
    def resource(number: int) -> tuple[Key, dict[str, Any]]:
        key, body = running()
        return key._replace(name=f"job-{number}"), body

    telemetry, many = Telemetry(), [resource(number) for number in range(1000)]
    started = time.process_time()
    telemetry.render(many, [pod("team", gpu="1") for _ in range(1000)], 0)
    assert time.process_time() - started < 2.0, "about 0.2 s on a quiet machine, in a thread of its own"


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
