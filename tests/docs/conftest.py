"""A cluster of the pages' own: definitions and operator come there by the pages' commands alone."""

from collections.abc import Iterator

import pytest

from tests.docs.world import InstalledOperator
from tests.servers import minio as minio_server
from tests.servers.player import Player
from tests.servers.playground import Playground, playground
from tests.servers.s3 import S3Server


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playground]:
    """A cluster that knows nothing of AgentArk."""
    nothing = tmp_path_factory.mktemp("no-definitions")
    with playground(tmp_path_factory.mktemp("docs-playground"), nothing) as running:
        yield running


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """The store."""
    with minio_server.minio(tmp_path_factory.mktemp("docs-minio")) as server:
        yield server


@pytest.fixture(scope="session")
def player(bare: Playground, s3: S3Server) -> Iterator[Player]:
    """Plays the pods of stages."""
    with Player(bare.plane.as_user("player"), endpoint=s3.endpoint) as running:
        yield running


@pytest.fixture(scope="session")
def installed_operator(
    bare: Playground, player: Player, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[InstalledOperator]:
    """Runs the operator for as long as the cluster has a pod for it."""
    with InstalledOperator(bare, tmp_path_factory.mktemp("docs-operator")) as running:
        yield running
