"""One store of each kind for the tests that must hold for all of them."""

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from agentark.store import Store, open_store
from tests.servers.s3 import S3Server

OpenStore = Callable[[str], Store]


def opened(server: S3Server, prefix: str, *, endpoint: str = "") -> Store:
    """Open a store on a test server, through another endpoint if one is given."""
    return open_store(
        f"s3://{server.bucket}/{prefix}",
        endpoint=endpoint or server.endpoint,
        access_key=server.access_key,
        secret_key=server.secret_key,
    )


@pytest.fixture(params=["folder", "minio", "seaweedfs"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store: a folder, or a fresh prefix on a real server."""
    if request.param == "folder":
        return open_store(str(tmp_path / "store"))
    return opened(request.getfixturevalue(f"{request.param}_server"), f"tests/{uuid.uuid4().hex}")


@pytest.fixture
def folder(tmp_path: Path) -> Store:
    """An empty store in a folder."""
    return open_store(str(tmp_path / "store"))
