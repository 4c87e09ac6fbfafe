"""A namespace on a cluster without machines, an operator, and a player that does what pods would."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.operator.running import Bench, Operators
from tests.servers.player import Player
from tests.servers.playground import Playground
from tests.servers.s3 import S3Server


@pytest.fixture
def bench(playground: Playground, minio_server: S3Server, tmp_path: Path) -> Iterator[Bench]:
    """A namespace, restricted, with data, a model and a store's Secret."""
    with playground.namespace(restricted=True) as name:
        made = Bench(playground.server, minio_server, name)
        made.prepare(tmp_path)
        yield made


@pytest.fixture
def operators(bench: Bench, playground: Playground, tmp_path: Path) -> Operators:
    """Starts operators that look after the namespace alone, with the rights that this takes and no others."""
    account = bench.make_account()
    server = playground.account(bench.namespace, account)
    return Operators(server, tmp_path / "operator", {"AGENTARK_NAMESPACES": bench.namespace})


@pytest.fixture(scope="module")
def operator(playground: Playground, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operators]:
    """One operator for all namespaces: most of what these tests would take is its start."""
    made = Operators(playground.server, tmp_path_factory.mktemp("operator"))
    with made.running(AGENTARK_PRICES="nvidia.com/gpu=3600"):
        yield made


@pytest.fixture
def player(playground: Playground, bench: Bench) -> Iterator[Player]:
    """Plays the namespace's pods."""
    server = playground.plane.as_user("player")
    with Player(server, endpoint=bench.s3.endpoint, namespace=bench.namespace) as running:
        yield running
