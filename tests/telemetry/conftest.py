"""Prometheus's own tools."""

import pytest

from tests.servers.prometheus import PACKAGE, program


@pytest.fixture(scope="session")
def promtool() -> str:
    """Path of promtool."""
    found = program("promtool")
    if found is None:
        pytest.skip(f"there is no promtool; install Debian's package {PACKAGE}")
    return found
