"""Who serves, where, and what a taken address costs."""

import logging
import socket
import threading

import pytest

from agentark.telemetry import ADDRESS, StageFigures, serving
from tests.telemetry.scraping import names, scrape


def test_nothing_is_served_where_no_address_is_given() -> None:
    threads = threading.active_count()
    with serving(StageFigures(), {}) as address:
        assert address == "" and threading.active_count() == threads


def test_it_is_served_for_the_length_of_the_block() -> None:
    with serving(StageFigures("debate"), {ADDRESS: "127.0.0.1:0"}) as address:
        found = scrape(address)
        assert found is not None
        assert {"agentark_build_info", "process_resident_memory_bytes"} <= names(found)
    assert scrape(address) is None
    with serving(StageFigures(), {ADDRESS: address}) as again:
        assert again == address, "the next attempt in this pod gets the same port"


def test_of_the_processes_of_a_machine_the_first_serves() -> None:
    environment = {ADDRESS: "127.0.0.1:0", "RANK": "2", "LOCAL_RANK": "0"}
    with serving(StageFigures(), environment) as address:
        assert scrape(address) is not None, "a training's further pods are there to be scraped, too"
    with serving(StageFigures(), environment | {"RANK": "1", "LOCAL_RANK": "1"}) as address:
        assert address == ""


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:http", "127.0.0.1:70000", "host.invalid:9464"])
def test_an_address_that_is_none_is_a_warning(address: str, caplog: pytest.LogCaptureFixture) -> None:
    with serving(StageFigures(), {ADDRESS: address}) as served:
        assert served == ""
    assert f"{ADDRESS} is {address!r}" in caplog.text and "goes on without" in caplog.text


def test_a_taken_port_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with serving(StageFigures(), {ADDRESS: f"127.0.0.1:{port}"}) as served:
            assert served == ""
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and "Address already in use" in record.message


def test_what_fails_inside_is_not_taken_for_a_taken_port() -> None:
    with pytest.raises(OSError, match="disk"), serving(StageFigures(), {ADDRESS: "127.0.0.1:0"}):
        raise OSError("disk full")
