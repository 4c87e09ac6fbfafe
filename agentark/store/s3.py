"""A store below a prefix of an S3 bucket, on any server that speaks S3, through the `minio` client.

Create-only writes are one PUT with `If-None-Match: *`. The client's own put cannot send that header, so the request
goes to a presigned address through the client's connection pool. AWS, MinIO and SeaweedFS answer 412 when the object
exists; a server that ignores the header would let two attempts both win, so each store is probed before its first
create, and such a server is refused.
"""

import base64
import contextlib
import hashlib
import random
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import BinaryIO, TypeVar
from xml.etree.ElementTree import ParseError

import urllib3
from minio import Minio
from minio.datatypes import Object
from minio.deleteobjects import DeleteObject
from minio.error import InvalidResponseError, MinioException, S3Error
from urllib3.exceptions import HTTPError, MaxRetryError, ResponseError

from agentark.errors import NotFound, StoreError
from agentark.store.interface import RESERVED, Entry, Patience, checked, checked_folder
from agentark.store.local import receiving
from agentark.store.s3_access import Place, connect, is_passing
from agentark.store.s3_failures import explained

_PART = 16 << 20
"""Bytes of one part of a large upload; a few of them are in memory at once."""
_PRESIGNED = timedelta(minutes=5)
"""Covers the longest single request; an address of this kind is never logged."""
_DENIED = "AccessDenied"
"""MinIO says so as well to who writes where the last object of a folder is deleted at that moment: asked once more."""
_DENIED_PAUSE_S = 0.1
_T = TypeVar("_T")


def open_s3(uri: str, *, endpoint: str, region: str, access_key: str, secret_key: str, patience: Patience) -> "S3Store":
    """Open the store at `s3://BUCKET/PREFIX`; see `agentark.store.open_store`."""
    place, client, pool = connect(uri, endpoint, region, access_key, secret_key, patience)
    return S3Store(place, client=client, pool=pool, tries=patience.tries)


class S3Store:
    """Objects of a bucket, named by the prefix and their path."""

    def __init__(self, place: Place, *, client: Minio, pool: urllib3.PoolManager, tries: int) -> None:
        """Use a connected client; the server is not asked before the first operation.

        Args:
            place: Endpoint, bucket and prefix.
            client: Client whose requests go through `pool`.
            pool: Its connections.
            tries: How often an operation is tried.
        """
        self._tries = tries
        self._place = place
        self._client = client
        self._pool = pool
        self._probing = Lock()
        self._probed = False

    @property
    def uri(self) -> str:
        """`s3://BUCKET/PREFIX`."""
        return self._place.uri

    def __repr__(self) -> str:
        return f"S3Store({self.uri!r}, endpoint={self._place.endpoint!r})"

    def read(self, path: str) -> bytes:
        """Return the whole content."""
        key = self._key(path)

        def get() -> bytes:
            with self._response(key) as response:
                return response.read()

        with self._errors("read", path):
            return self._tried(get)

    def write(self, path: str, data: bytes) -> None:
        """Replace the object; servers make a PUT visible whole or not at all."""
        with self._errors("write", path):
            self._put(self._key(path), BytesIO(data), len(data))

    def create(self, path: str, data: bytes) -> bool:
        """Put the object only if there is none."""
        key = self._key(path)
        with self._errors("create", path):
            self._probe()
            return self._create(key, data)

    def upload(self, path: str, source: Path) -> None:
        """Replace the object by the content of a file."""
        with self._errors("upload", path), source.open("rb") as stream:
            self._put(self._key(path), stream, source.stat().st_size)

    def download(self, path: str, target: Path) -> None:
        """Copy the object into `target` atomically."""
        key = self._key(path)

        def get() -> None:
            with self._response(key) as response, receiving(target) as sink:
                for block in response.stream(1 << 20):
                    sink.write(block)

        with self._errors("download", path):
            self._tried(get)

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Yield every object below `prefix`, sorted by path."""
        folder = checked_folder(prefix)
        start = f"{self._key(folder)}/" if folder else self._place.keys_below

        def listing() -> list[Object]:
            return list(self._client.list_objects(self._place.bucket, prefix=start, recursive=True))

        with self._errors("list", prefix):
            entries = [self._entry(item) for item in self._tried(listing)]
        # Sorted here: not every server lists in the order of the full keys.
        for entry in sorted(entries):
            if not entry.path.startswith(f"{RESERVED}/") and not entry.path.endswith("/"):
                yield entry

    def stat(self, path: str) -> Entry | None:
        """Describe the object at `path`; None if there is none."""
        key = self._key(path)
        with self._errors("look up", path):
            try:
                return self._entry(self._tried(lambda: self._client.stat_object(self._place.bucket, key)))
            except S3Error as error:
                if error.code == "NoSuchKey":
                    return None
                raise

    def delete(self, prefix: str) -> int:
        """Delete the object at `prefix` and everything below it."""
        folder = checked_folder(prefix)
        paths = [entry.path for entry in self.entries(folder)]
        if folder and self.stat(folder):
            paths.append(folder)
        keys = [DeleteObject(self._key(path)) for path in paths]

        def remove() -> None:
            for error in self._client.remove_objects(self._place.bucket, keys):
                raise StoreError(f"{self._place}: cannot delete {error.name!r}: {error.code}: {error.message}")

        with self._errors("delete", prefix):
            self._tried(remove)
        return len(paths)

    def _key(self, path: str) -> str:
        return self._place.keys_below + checked(path)

    def _entry(self, item: Object) -> Entry:
        path = (item.object_name or "").removeprefix(self._place.keys_below)
        return Entry(path, item.size or 0, (item.etag or "").strip('"'))

    @contextlib.contextmanager
    def _response(self, key: str) -> Iterator[urllib3.BaseHTTPResponse]:
        response = self._client.get_object(self._place.bucket, key)
        try:
            yield response
        finally:
            response.close()
            response.release_conn()

    def _put(self, key: str, source: BinaryIO, size: int) -> None:
        def put() -> None:
            source.seek(0)
            self._client.put_object(self._place.bucket, key, source, size, part_size=_PART)

        try:
            self._tried(put)
        except S3Error as error:
            if error.code != _DENIED:
                raise
            time.sleep(_DENIED_PAUSE_S)
            self._tried(put)

    def _create(self, key: str, data: bytes) -> bool:
        unsure = denied = False
        for pause_s in _pauses(self._tries):
            time.sleep(pause_s)
            try:
                response = self._put_new(key, data)
            except MaxRetryError:  # of the question for the region, which the pool has repeated enough
                raise
            except HTTPError as error:
                # The answer is lost, not certainly the request: the object may be there, and ours.
                failure, unsure = explained(error, self._place, "create", key), True
            else:
                if response.status == 200:
                    return True
                if response.status == 412:
                    return unsure and self._holds(key, data)
                refusal = _refusal(response)
                failure = explained(refusal, self._place, "create", key)
                unsure |= response.status >= 500
                torn = not denied and isinstance(refusal, S3Error) and refusal.code == _DENIED
                denied |= torn
                # 409: another create of this key is under way; who won is known when it is over.
                if response.status != 409 and not is_passing(response.status) and not torn:
                    raise failure
        raise failure

    def _put_new(self, key: str, data: bytes) -> urllib3.BaseHTTPResponse:
        address = self._client.get_presigned_url("PUT", self._place.bucket, key, expires=_PRESIGNED)
        digest = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        headers = {"If-None-Match": "*", "Content-MD5": digest, "Content-Type": "application/octet-stream"}
        return self._pool.urlopen("PUT", address, body=data, headers=headers, retries=False)

    def _holds(self, key: str, data: bytes) -> bool:
        def get() -> bytes:
            with self._response(key) as response:
                return response.read()

        return self._tried(get) == data

    def _probe(self) -> None:
        with self._probing:
            if self._probed:
                return
            key = f"{self._place.keys_below}{RESERVED}/create-only"
            # The first one wins at most once in a bucket's life; the second can win only where the header is ignored.
            if self._create(key, uuid.uuid4().bytes) and self._create(key, uuid.uuid4().bytes):
                raise StoreError(
                    f"{self._place}: the server ignores 'If-None-Match: *', so two attempts of a stage could both "
                    "commit; use a server that honours it (AWS S3, MinIO, SeaweedFS 4 or newer)"
                )
            self._probed = True

    def _tried(self, operation: Callable[[], _T]) -> _T:
        """Repeat what the pool's own retries cannot mend: bodies cut while they are read, lost completions."""
        for pause_s in _pauses(self._tries):
            time.sleep(pause_s)
            try:
                return operation()
            except MaxRetryError:
                raise
            except S3Error as error:
                failure: Exception = error
                # The answer to the end of a large upload was lost and the repeated request found it closed.
                if error.code != "NoSuchUpload":
                    raise
            except HTTPError as error:
                failure = error
        raise failure

    @contextlib.contextmanager
    def _errors(self, doing: str, path: str) -> Iterator[None]:
        try:
            yield
        except S3Error as error:
            if error.code == "NoSuchKey":
                raise NotFound(f"{self._place}: there is no object {path!r}") from error
            raise explained(error, self._place, doing, path) from error
        except (MinioException, HTTPError, ParseError) as error:
            # Without the cause: its text can hold a presigned address.
            raise explained(error, self._place, doing, path) from None
        except OSError as error:
            raise StoreError(f"{self._place}: cannot {doing} {path!r}: {error.strerror or error}") from error


def _pauses(tries: int) -> Iterator[float]:
    yield 0.0
    for number in range(tries - 1):
        # Jitter keeps clients that were cut off together from coming back together.
        yield 0.2 * 2**number * random.uniform(0.5, 1.0)


def _refusal(response: urllib3.BaseHTTPResponse) -> Exception:
    if is_passing(response.status):
        return ResponseError(ResponseError.SPECIFIC_ERROR.format(status_code=response.status))
    try:
        return S3Error.fromxml(response)
    except (ParseError, ValueError):
        return InvalidResponseError(response.status, response.headers.get("content-type"), None)
