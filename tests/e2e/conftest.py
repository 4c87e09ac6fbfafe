"""One node for all end-to-end tests, started when the first asks for it; how long each phase took is shown last."""

import signal
from collections.abc import Iterator

import pytest

from tests.e2e.cluster.node import Node, binaries
from tests.e2e.cluster.node import node as running_node
from tests.e2e.cluster.phases import PHASES
from tests.e2e.cluster.requirements import reasons
from tests.e2e.cluster.store import Store
from tests.e2e.cluster.store import minio as running_minio
from tests.e2e.cluster.training import training_operator as running_training_operator
from tests.e2e.system.installation import RESULTS
from tests.servers import minio as store_server
from tests.servers import training_operator as trainer


def pytest_configure(config: pytest.Config) -> None:
    """Refuse at once where a node cannot run; and let a polite kill end the node as Ctrl-C does."""
    if config.option.collectonly:
        return
    if found := reasons():
        raise pytest.UsageError("; ".join(found))
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what nodes are made of before the first test: it may take longer than a test may."""
    if not session.config.option.collectonly:
        with PHASES.phase("programs built, or found"):
            binaries(), store_server.binary(), trainer.upstream_binary()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show how long each phase took, and leave it for the docs."""
    lines = PHASES.lines()
    if not lines:
        return
    terminalreporter.section("phases")
    for line in lines:
        terminalreporter.write_line(line)
    RESULTS.mkdir(parents=True, exist_ok=True)
    RESULTS.joinpath("phases.txt").write_text("\n".join(lines) + "\n")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Take the time of each test, without its fixtures."""
    with PHASES.phase(item.name):
        yield


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """A running node with nothing on it."""
    with running_node() as running:
        yield running


@pytest.fixture(scope="session")
def store(node: Node) -> Store:
    """MinIO in the cluster."""
    with PHASES.phase("MinIO Available"):
        return running_minio(node)


@pytest.fixture(scope="session")
def training_operator(node: Node) -> None:
    """The Training Operator in the cluster."""
    with PHASES.phase("Training Operator Available"):
        running_training_operator(node)
