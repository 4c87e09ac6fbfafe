"""Where an S3 store is and how it is reached: endpoint, bucket, credentials, time limits."""

import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

import certifi
import urllib3
from minio import Minio

from agentark.errors import InvalidInput
from agentark.store.interface import Patience, checked_folder

_CONNECTIONS = 32
_PASSING = (500, 502, 503, 504)
_AWS = "https://s3.amazonaws.com"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class Place:
    """Endpoint, bucket and prefix of a store; its text names the first two for error messages."""

    endpoint: str
    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"bucket {self.bucket!r} at {self.endpoint}"

    @property
    def uri(self) -> str:
        """`s3://BUCKET/PREFIX`."""
        return f"s3://{self.bucket}/{self.prefix}" if self.prefix else f"s3://{self.bucket}"

    @property
    def keys_below(self) -> str:
        """What every key of the store starts with: "" or the prefix with a '/'."""
        return f"{self.prefix}/" if self.prefix else ""


def connect(
    uri: str, endpoint: str, region: str, access_key: str, secret_key: str, patience: Patience
) -> tuple[Place, Minio, urllib3.PoolManager]:
    """Make a client and its connection pool for the store at `uri`; empty arguments come from the environment.

    Raises:
        InvalidInput: If address, endpoint or credentials are malformed or missing.
    """
    place = _place(uri, endpoint or _environment("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL") or _AWS)
    access, secret, token = _credentials(access_key, secret_key)
    pool = urllib3.PoolManager(
        maxsize=_CONNECTIONS,
        timeout=urllib3.Timeout(connect=patience.connect_s, read=patience.read_s),
        cert_reqs="CERT_REQUIRED",
        ca_certs=os.environ.get("SSL_CERT_FILE") or certifi.where(),
        # Servers that start ask for a pause of a minute (Retry-After); the back-off here is bounded instead.
        retries=urllib3.Retry(
            total=patience.tries - 1,
            backoff_factor=0.2,
            backoff_jitter=0.2,
            status_forcelist=_PASSING,
            allowed_methods=None,  # POSTs as well: each of ours may be repeated
            respect_retry_after_header=False,
            redirect=0,
        ),
    )
    client = Minio(
        place.endpoint.split("://", 1)[1],
        access_key=access,
        secret_key=secret,
        session_token=token or None,
        secure=place.endpoint.startswith("https:"),
        region=region or _environment("AWS_REGION", "AWS_DEFAULT_REGION") or None,
        http_client=pool,
    )
    return place, client, pool


def is_passing(status: int) -> bool:
    """Say whether an answer with this status may be another one a moment later."""
    return status in _PASSING


def _place(uri: str, endpoint: str) -> Place:
    bucket, _, prefix = uri.removeprefix("s3:").removeprefix("//").partition("/")
    if not uri.startswith("s3://") or not _BUCKET.fullmatch(bucket):
        raise InvalidInput(
            f"store {uri!r}: must be s3://BUCKET/PREFIX, the bucket 3 to 63 lower-case letters, digits, '.' or '-'"
        )
    return Place(_checked_endpoint(endpoint), bucket, checked_folder(prefix))


def _checked_endpoint(endpoint: str) -> str:
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidInput(f"S3 endpoint: is no address ({error}); write http://HOST:PORT or https://HOST") from None
    if parts.username is not None or parts.password is not None:
        # The value is not repeated: it holds a secret.
        raise InvalidInput("S3 endpoint: holds a user name or password; pass the keys apart (AWS_ACCESS_KEY_ID, ...)")
    if parts.scheme not in ("http", "https") or not host or parts.path.strip("/") or parts.query or parts.fragment:
        raise InvalidInput(f"S3 endpoint {endpoint!r}: must be http://HOST:PORT or https://HOST, without a path")
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}" + (f":{port}" if port else "")


def _credentials(access_key: str, secret_key: str) -> tuple[str, str, str]:
    if bool(access_key) != bool(secret_key):
        raise InvalidInput("S3 credentials: access key and secret key must be given together or not at all")
    if access_key:
        return access_key, secret_key, ""
    if access := _environment("AWS_ACCESS_KEY_ID"):
        credentials = access, _environment("AWS_SECRET_ACCESS_KEY"), _environment("AWS_SESSION_TOKEN")
        missing = "AWS_SECRET_ACCESS_KEY"
    elif access := _environment("MINIO_ACCESS_KEY"):
        credentials, missing = (access, _environment("MINIO_SECRET_KEY"), ""), "MINIO_SECRET_KEY"
    elif access := _environment("MINIO_ROOT_USER"):
        credentials, missing = (access, _environment("MINIO_ROOT_PASSWORD"), ""), "MINIO_ROOT_PASSWORD"
    else:
        raise InvalidInput("S3 credentials: none found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    if not credentials[1]:
        raise InvalidInput(f"S3 credentials: the access key is set but {missing} is not; set both")
    return credentials


def _environment(*names: str) -> str:
    return next((value for name in names if (value := os.environ.get(name))), "")
