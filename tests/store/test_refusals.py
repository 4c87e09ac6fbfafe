"""Stores that cannot be used say where, why and what to do, and never tell a secret."""

import http.server
import os
import threading
import time
from pathlib import Path

import pytest

from agentark.errors import AgentArkError, InvalidInput, StoreError, StoreUnavailable
from agentark.store import Store, open_store
from tests.servers.process import free_ports
from tests.servers.proxy import proxy
from tests.servers.s3 import S3Server

WRONG = "wrong-Secret-which-must-not-be-shown"
OPERATIONS = {
    "read": lambda store, folder: store.read("x"),
    "write": lambda store, folder: store.write("x", b"1"),
    "create": lambda store, folder: store.create("x", b"1"),
    "entries": lambda store, folder: list(store.entries("")),
    "upload": lambda store, folder: store.upload("x", Path(__file__)),
    "download": lambda store, folder: store.download("x", folder / "x"),
}


def _store(server: S3Server, *, endpoint: str = "", bucket: str = "", secret: str = "", access: str = "") -> Store:
    return open_store(
        f"s3://{bucket or server.bucket}/p",
        endpoint=endpoint or server.endpoint,
        access_key=access or server.access_key,
        secret_key=secret or server.secret_key,
    )


@pytest.fixture(params=["minio", "seaweedfs"])
def server(request: pytest.FixtureRequest) -> S3Server:
    """Each real server."""
    found: S3Server = request.getfixturevalue(f"{request.param}_server")
    return found


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_missing_bucket_is_named(server: S3Server, operation: str, tmp_path: Path) -> None:
    store = _store(server, bucket="no-such-bucket")
    with pytest.raises(StoreUnavailable, match="'no-such-bucket' at http://127") as caught:
        OPERATIONS[operation](store, tmp_path)
    assert "create it" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("operation", [*OPERATIONS, "stat"])
def test_a_wrong_key_is_refused_without_being_shown(server: S3Server, operation: str, tmp_path: Path) -> None:
    operations = {**OPERATIONS, "stat": lambda store, folder: store.stat("x")}
    for store in (_store(server, secret=WRONG), _store(server, access=f"{WRONG}-id", secret=WRONG)):
        with pytest.raises(StoreUnavailable, match="AWS_ACCESS_KEY_ID") as caught:
            operations[operation](store, tmp_path)
        text = f"{caught.getrepr(style='native')} {store!r} {vars(store)!r}"
        assert server.endpoint in str(caught.value) and repr(server.bucket) in str(caught.value)
        assert WRONG not in text and "X-Amz-Signature" not in text


def test_a_refusal_is_not_asked_again(minio_server: S3Server) -> None:
    with proxy(minio_server.endpoint) as between:
        store = open_store(
            f"s3://{minio_server.bucket}/p",
            endpoint=between.endpoint,
            region="us-east-1",
            access_key=minio_server.access_key,
            secret_key=WRONG,
        )
        for operation in (lambda: store.write("x", b"1"), lambda: store.create("x", b"1"), lambda: store.read("x")):
            between.seen.clear()
            with pytest.raises(StoreError):
                operation()
            assert len(between.seen) == 1


@pytest.mark.parametrize("operation", ["read", "create"])
def test_a_server_that_is_not_there_is_named_soon(minio_server: S3Server, operation: str, tmp_path: Path) -> None:
    endpoint = f"http://127.0.0.1:{free_ports(1)[0]}"
    started = time.monotonic()
    with pytest.raises(StoreUnavailable, match="cannot be reached") as caught:
        OPERATIONS[operation](_store(minio_server, endpoint=endpoint), tmp_path)
    assert time.monotonic() - started < 15
    assert endpoint in str(caught.value) and repr(minio_server.bucket) in str(caught.value)


def test_tls_where_there_is_none_is_said(minio_server: S3Server) -> None:
    store = _store(minio_server, endpoint=minio_server.endpoint.replace("http:", "https:"))
    with pytest.raises(StoreError, match=r"TLS failed.*http/https"):
        store.write("x", b"1")


def test_a_server_that_speaks_no_s3_is_said(minio_server: S3Server, tmp_path: Path) -> None:

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as other:
        thread = threading.Thread(target=other.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        with pytest.raises(StoreError, match="not that of an S3 server"):
            _store(minio_server, endpoint=f"http://127.0.0.1:{other.server_port}").write("x", b"1")
        other.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("uri", "endpoint", "message"),
    [
        ("", "", "empty"),
        ("file:", "", "empty"),
        ("gs://bucket", "", "unknown kind 'gs'"),
        ("file://host/path", "", "names a host"),
        ("s3://", "", "s3://BUCKET/PREFIX"),
        ("s3:/bucket", "", "s3://BUCKET/PREFIX"),
        ("s3://Bad_Bucket/x", "", "s3://BUCKET/PREFIX"),
        ("s3://bucket/a/../b", "", "'..'"),
        ("s3://bucket", "localhost:9000", "http://HOST:PORT"),
        ("s3://bucket", "http://host:port", "http://HOST:PORT"),
        ("s3://bucket", "http://host/minio", "without a path"),
        ("s3://bucket", f"http://me:{WRONG}@host", "user name or password"),
    ],
)
def test_malformed_addresses_are_invalid_input(uri: str, endpoint: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        open_store(uri, endpoint=endpoint, access_key="a", secret_key="b")
    assert message in str(caught.value)
    assert WRONG not in str(caught.value)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        (("AWS_ACCESS_KEY_ID",), "AWS_SECRET_ACCESS_KEY is not"),
        (("MINIO_ACCESS_KEY",), "MINIO_SECRET_KEY is not"),
        (("MINIO_ROOT_USER",), "MINIO_ROOT_PASSWORD is not"),
    ],
)
def test_missing_credentials_are_invalid_input(
    names: tuple[str, ...], message: str, clean_environment: pytest.MonkeyPatch
) -> None:
    for name in names:
        clean_environment.setenv(name, "value")
    with pytest.raises(InvalidInput, match=message):
        open_store("s3://bucket/x", endpoint="http://127.0.0.1:1")


def test_half_given_credentials_are_invalid_input(clean_environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match="together"):
        open_store("s3://bucket/x", endpoint="http://127.0.0.1:1", access_key="a")


@pytest.mark.parametrize(
    "names",
    [
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        ("MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"),
        ("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"),
    ],
)
def test_credentials_and_endpoint_come_from_the_environment(
    names: tuple[str, str], minio_server: S3Server, clean_environment: pytest.MonkeyPatch
) -> None:
    clean_environment.setenv("AWS_ENDPOINT_URL", minio_server.endpoint)
    clean_environment.setenv(names[0], minio_server.access_key)
    clean_environment.setenv(names[1], minio_server.secret_key)
    store = open_store(f"s3://{minio_server.bucket}/environment/{names[0].lower()}")
    store.write("x", b"1")
    assert store.read("x") == b"1"


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("")
    with pytest.raises(AgentArkError, match="is a file"):
        open_store(str(tmp_path / "store"))


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without any store's settings."""
    for name in os.environ:
        if name.startswith(("AWS_", "MINIO_")):
            monkeypatch.delenv(name)
    return monkeypatch
