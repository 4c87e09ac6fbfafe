"""From an address to a store."""

from pathlib import Path

from agentark.errors import InvalidInput
from agentark.store.interface import Patience, Store
from agentark.store.local import LocalStore


def open_store(
    uri: str,
    *,
    endpoint: str = "",
    region: str = "",
    access_key: str = "",
    secret_key: str = "",
    patience: Patience = Patience(),
) -> Store:
    """Open the store at `uri`.

    Args:
        uri: A folder (`PATH`, `file:PATH`), or `s3://BUCKET/PREFIX`.
        endpoint: `http://HOST:PORT` or `https://HOST` of the S3 server; empty: `AWS_ENDPOINT_URL_S3`,
            `AWS_ENDPOINT_URL` or else AWS itself. Not used for folders, like the arguments below.
        region: Region of the bucket; empty: `AWS_REGION`, `AWS_DEFAULT_REGION` or else the server is asked.
        access_key: Empty: `AWS_ACCESS_KEY_ID`, `MINIO_ACCESS_KEY` or `MINIO_ROOT_USER`.
        secret_key: Empty: `AWS_SECRET_ACCESS_KEY`, `MINIO_SECRET_KEY` or `MINIO_ROOT_PASSWORD`.
        patience: How long a server is waited for.

    Raises:
        InvalidInput: If the address, the endpoint or the credentials are malformed or missing.
        StoreError: If the folder cannot be used. A server is not asked before the first operation.
    """
    scheme, separator, rest = uri.partition(":")
    if separator and scheme == "s3":
        # Imported here: the client costs more to load than everything else a laptop's folder store needs.
        from agentark.store.s3 import open_s3

        return open_s3(
            uri, endpoint=endpoint, region=region, access_key=access_key, secret_key=secret_key, patience=patience
        )
    if separator and scheme == "file":
        if rest.startswith("//") and not rest.startswith("///"):
            raise InvalidInput(f"store {uri!r}: names a host; write file:PATH or file:///ABSOLUTE/PATH")
        rest = "/" + rest.lstrip("/") if rest.startswith("/") else rest
    elif uri.startswith(f"{scheme}://") and separator:
        raise InvalidInput(f"store {uri!r}: unknown kind {scheme!r}; use a folder, file:PATH or s3://BUCKET/PREFIX")
    else:
        rest = uri
    if not rest:
        raise InvalidInput("store: the address is empty; use a folder, file:PATH or s3://BUCKET/PREFIX")
    return LocalStore(Path(rest))
