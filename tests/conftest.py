"""Real S3 servers for every test that asks for one; started once per test run, stopped with it."""

from collections.abc import Iterator

import pytest

from tests.servers.minio import binary, minio
from tests.servers.s3 import S3Server
from tests.servers.seaweedfs import seaweedfs


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build MinIO before the first test: it may take longer than a test may."""
    if not session.config.option.collectonly and any(_needs_minio(item) for item in session.items):
        binary()


def _needs_minio(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function):
        return False
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return "minio_server" in item.fixturenames or "minio" in parameters


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
