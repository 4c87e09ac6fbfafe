"""What an S3 server's refusals mean for the person who reads them."""

from minio.error import S3Error
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    ResponseError,
    SSLError,
)

from agentark.errors import StoreError, StoreRefused, StoreUnavailable, StoreUnreachable
from agentark.store.s3_access import Place

_KEY_REFUSED = (
    "AccessDenied",
    "AllAccessDisabled",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "InvalidTokenId",
    "SignatureDoesNotMatch",
)
_FULL = ("QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "XMinioStorageFull")
_OTHER_REGION = ("AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect")


def explained(error: Exception, place: Place, doing: str, path: str) -> StoreError:
    """Put a failure into words: the place, what failed, what to do. Keys and signed addresses never appear.

    What may be mended without a change of the work is StoreUnavailable: nobody answers, the bucket is not there, full,
    or closed to the credentials.

    Args:
        error: What the client raised.
        place: The store.
        doing: What was tried, e.g. `read`.
        path: The object it was tried on.
    """
    if isinstance(error, S3Error):
        return _refusal(error, place, doing, path)
    if reason := _unreachable(error):
        return StoreUnreachable(
            f"{place} cannot be reached ({reason}): check that the server runs and that the endpoint's host, port and "
            "http/https are right"
        )
    return StoreUnavailable(
        f"{place}: cannot {doing} {path!r}: the answer is not that of an S3 server ({type(error).__name__}); check the "
        "endpoint's port and http/https"
    )


def _refusal(error: S3Error, place: Place, doing: str, path: str) -> StoreError:
    if error.code in _KEY_REFUSED:
        return StoreRefused(
            f"{place}: the server refused the credentials to {doing} {path!r} ({error.code})",
            "the key may read, list and write this bucket",
        )
    if error.code == "NoSuchBucket" or error.code in _FULL or error.response.status in (429, 507):
        return StoreUnavailable(_said(error, place, doing, path))
    return StoreError(_said(error, place, doing, path))


def _said(error: S3Error, place: Place, doing: str, path: str) -> str:
    if error.code == "NoSuchBucket":
        return f"{place} does not exist: create it, or correct the address"
    if error.code == "RequestTimeTooSkewed":
        return f"{place}: the clocks of this machine and the server differ too much; set this machine's clock"
    if error.code in _OTHER_REGION:
        mend = "give its own as spec.store.region, or AWS_REGION"
        return f"{place}: the bucket lies in another region ({error.code}); {mend}"
    if error.code in _FULL or error.response.status == 507:
        return f"{place}: no space left to {doing} {path!r} ({error.code}); free space there or raise the quota"
    return f"{place}: cannot {doing} {path!r}: {error.code}: {error.message}"


def _unreachable(error: BaseException | None) -> str:
    if isinstance(error, MaxRetryError) and error.reason:
        return _unreachable(error.reason)
    if isinstance(error, NameResolutionError):
        return "the host's name is not known"
    if isinstance(error, NewConnectionError):
        return "no connection"
    if isinstance(error, ConnectTimeoutError | ReadTimeoutError):
        return "no answer in time"
    if isinstance(error, SSLError):
        return "TLS failed; a private authority's certificate goes into SSL_CERT_FILE"
    if isinstance(error, ResponseError):
        return str(error)
    if isinstance(error, HTTPError):
        return "the connection was cut"
    return ""
