"""Both Helms, an API server that knows what the charts make, and a cluster on which they are installed."""

from pathlib import Path

import pytest

from tests.charts.charting import Helm
from tests.servers import kubeconform
from tests.servers.helm import helm, helm3
from tests.servers.kubernetes import ApiServer, define
from tests.servers.neighbours import definitions


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
