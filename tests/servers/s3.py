"""What the S3 servers of the tests have in common."""

from dataclasses import dataclass, field
from pathlib import Path

import urllib3
from minio import Minio

ACCESS_KEY = "agentark-tests"
SECRET_KEY = "only-for-tests-on-loopback"  # of servers that live as long as one test run
BUCKET = "agentark"


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running server with one bucket."""

    name: str
    endpoint: str
    bucket: str = BUCKET
    access_key: str = ACCESS_KEY
    secret_key: str = field(default=SECRET_KEY, repr=False)
    pid: int = 0


def client(endpoint: str, authority: Path | None = None) -> Minio:
    """Return a client for the bucket's set-up, apart from the code under test."""
    # Without retries: a server that is starting says "come back in 60 seconds", and the client would obey.
    pool = urllib3.PoolManager(timeout=10.0, retries=False, ca_certs=authority and str(authority))
    scheme, host = endpoint.split("://")
    return Minio(host, ACCESS_KEY, SECRET_KEY, secure=scheme == "https", region="us-east-1", http_client=pool)


def answers(url: str, authority: Path | None = None) -> bool:
    """Say whether a GET of `url` gives a 2xx answer at once."""
    try:
        with urllib3.PoolManager(timeout=2.0, retries=False, ca_certs=authority and str(authority)) as pool:
            return pool.request("GET", url).status // 100 == 2
    except urllib3.exceptions.HTTPError:
        return False


def takes_bucket(endpoint: str, authority: Path | None = None) -> bool:
    """Make the tests' bucket; False while the server is not ready to."""
    target = client(endpoint, authority)
    try:
        if not target.bucket_exists(BUCKET):
            target.make_bucket(BUCKET)
    except Exception:  # whatever a server that is starting says: asked again until the deadline
        return False
    return True
