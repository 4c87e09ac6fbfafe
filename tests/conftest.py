"""Real servers for every test that asks for one; started once per test run, stopped with it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers import programs, warm
from tests.servers.kubernetes import ApiServer, install
from tests.servers.kubernetes import api_server as running_api_server
from tests.servers.minio import minio
from tests.servers.playground import Playground
from tests.servers.playground import playground as running_playground
from tests.servers.programs import needed
from tests.servers.s3 import S3Server
from tests.servers.seaweedfs import seaweedfs

ROOT = Path(__file__).parents[1]


_STORES = {"minio": "minio_server"}
"""Fixtures that tests for several stores ask for by a parameter."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a built program: `make test-fast` leaves it out."""
    for item in items:
        if needed(_servers(item)):
            item.add_marker(pytest.mark.built)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build programs before the first test: it may take longer than a test may."""
    if not session.config.option.collectonly:
        for build in needed(name for item in session.items for name in _servers(item)):
            build()


def _servers(item: pytest.Item) -> set[str]:
    """Names of fixtures, and of what a test that starts its servers itself says: `pytest.mark.built("playground")`."""
    if not isinstance(item, pytest.Function):
        return set()
    own = {name for mark in item.iter_markers("built") for name in mark.args}
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    stores = {_STORES[value] for value in parameters if isinstance(value, str) and value in _STORES}
    return {*item.fixturenames, *stores, *own}


@pytest.fixture(scope="session")
def minio_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A running MinIO."""
    with minio(tmp_path_factory.mktemp("minio")) as server:
        yield server


@pytest.fixture(scope="session")
def seaweedfs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A running SeaweedFS."""
    with seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A running Kubernetes API server."""
    with running_api_server(tmp_path_factory.mktemp("kubernetes")) as server:
        yield server


@pytest.fixture(scope="session")
def cluster(api_server: ApiServer) -> ApiServer:
    """A running Kubernetes API server with the CustomResourceDefinitions, from the files as a user applies them."""
    install(api_server, ROOT / "crds")
    return api_server


@pytest.fixture(scope="session")
def playground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playground]:
    """A running cluster in which only the machines are not real, with our CustomResourceDefinitions and others'.

    Its pods do as they are told by annotations (`tests/servers/kwok_stages.yaml`), or by a `Player`. Each test takes
    a namespace of its own: `with playground.namespace() as name`. After `restart()` the real controllers may take half
    a minute to look again; where that is in the way, a test runs a `tests.servers.playground.playground` of its own.
    """
    with running_playground(tmp_path_factory.mktemp("playground"), ROOT / "crds") as running:
        yield running


@pytest.fixture(scope="session")
def promtool() -> str:
    """Path of Prometheus's tool for rules and metrics."""
    return programs.promtool()


@pytest.fixture(scope="session")
def prometheus_program() -> str:
    """Path of Prometheus's server."""
    return programs.server()


@pytest.fixture(scope="session")
def warm_processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What `tests.servers.warm` starts begins with torch and transformers loaded."""
    with warm.processes(tmp_path_factory.mktemp("warm")):
        yield


@pytest.fixture
def servers() -> Iterator[Callable[..., str]]:
    """Start a server in a process of its own; returns the base URL that it prints."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> str:
        process = warm.Popen([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        return process.stdout.readline().strip()

    yield start
    for process in started:
        process.terminate()
        process.wait(timeout=10)
        assert process.stdout is not None
        process.stdout.close()
