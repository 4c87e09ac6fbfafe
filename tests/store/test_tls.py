"""Stores on a server with TLS, whose certificate is known or not."""

from pathlib import Path

import pytest

from agentark.errors import StoreError
from tests.servers.minio import certificate, minio
from tests.store.conftest import opened


def test_tls_works_with_the_authority_named_and_is_refused_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minio_server: object
) -> None:
    (tmp_path / "certificates").mkdir()
    certificates = certificate(tmp_path / "certificates")
    with minio(tmp_path, certificates=certificates) as server:
        assert server.endpoint.startswith("https://")
        with pytest.raises(StoreError, match="TLS failed"):
            opened(server, "tls").write("x", b"1")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "public.crt"))
        store = opened(server, "tls")
        assert store.create("x", b"1") and not store.create("x", b"2")
        store.write("y", b"2")
        assert [entry.path for entry in store.entries("")] == ["x", "y"]
