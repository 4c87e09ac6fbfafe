"""Both Helms, an API server that knows what the charts make, and a cluster on which they are installed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.charts.charting import Helm
from tests.operator.running import Bench
from tests.servers import kubeconform
from tests.servers.helm import helm, helm3
from tests.servers.kubernetes import ApiServer, define
from tests.servers.neighbours import definitions
from tests.servers.player import Player
from tests.servers.playground import Playground
from tests.servers.s3 import S3Server


@pytest.fixture(scope="session", params=["helm4", "helm3"])
def helm_either(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm 4, and again Helm 3; without a cluster."""
    program = helm() if request.param == "helm4" else helm3()
    return Helm(program, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="session")
def helm_newest(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm 4, without a cluster: for what does not depend on the version."""
    return Helm(helm(), tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session")
def neighbours(cluster: ApiServer) -> ApiServer:
    """A running API server that knows our kinds and those of Prometheus, Gateway API and KEDA."""
    for definition in definitions():
        define(cluster, definition)
    return cluster


@pytest.fixture(scope="session")
def schemas(neighbours: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of JSON schemas of every kind that `neighbours` knows, for kubeconform."""
    folder = tmp_path_factory.mktemp("schemas")
    kubeconform.write_schemas(neighbours, folder)
    return folder


@pytest.fixture
def bench(playground: Playground, minio_server: S3Server, tmp_path: Path) -> Iterator[Bench]:
    """A team's namespace, restricted, with data, a model and a store's Secret."""
    with playground.namespace(restricted=True) as name:
        made = Bench(playground.server, minio_server, name)
        made.prepare(tmp_path)
        yield made


@pytest.fixture
def player(playground: Playground, bench: Bench) -> Iterator[Player]:
    """Plays the pods of the team's namespace."""
    with Player(playground.plane.as_user("player"), endpoint=bench.s3.endpoint, namespace=bench.namespace) as running:
        yield running
