"""Stores opened once for all resources that name the same one, and what was read from them of late."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from agentark.api import Resource, StoreSource
from agentark.api.base import Reference
from agentark.errors import AgentArkError, InvalidInput, StoreRefused, StoreUnavailable, StoreUnreachable
from agentark.store import Patience, StageManifest, Store, open_store, read_manifest
from agentark.telemetry.metered import MeteredStore, Told
from agentark_operator.kube import Gone, Kube, Refused
from agentark_operator.settings import Settings
from agentark_operator.storage.breaker import CircuitBreaker

_K = TypeVar("_K")
_V = TypeVar("_V")
SECRET_FRESH_S = 10.0
"""A Secret that was read is taken as it was for so long: a mended one counts soon, and a pass costs no call."""
_PATIENCE = Patience(connect_s=3.0, read_s=10.0, tries=2)
"""What the operator asks for is small, and the next pass asks again: a server that hangs must not hold its threads."""
MANIFEST_FRESH_S = 300.0
"""A manifest is written once and never changed; only somebody who deletes it makes an old sight wrong."""


class Cache(Generic[_K, _V]):
    """Values for a limited time, the oldest given up first.

    Args:
        most: Values kept.
        fresh_s: How long a value holds, in seconds.
        clock: Seconds of a clock that never runs backwards.
    """

    def __init__(self, most: int, fresh_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._fresh_s, self._clock = most, fresh_s, clock
        self._lock = threading.Lock()
        self._values: OrderedDict[_K, tuple[float, _V]] = OrderedDict()

    def get(self, key: _K, read: Callable[[], _V | None]) -> _V | None:
        """The value of a key, read again if it is old; what was not found is not kept."""
        now = self._clock()
        with self._lock:
            kept = self._values.get(key)
            if kept is not None and now - kept[0] < self._fresh_s:
                self._values.move_to_end(key)
                return kept[1]
        value = read()
        if value is None:
            self.forget(key)
        else:
            self._keep(key, value, now)
        return value

    def put(self, key: _K, value: _V) -> None:
        """Keep a value that is known without being read."""
        self._keep(key, value, self._clock())

    def _keep(self, key: _K, value: _V, now: float) -> None:
        with self._lock:
            self._values[key] = (now, value)
            self._values.move_to_end(key)
            while len(self._values) > self._most:
                self._values.popitem(last=False)

    def forget(self, key: _K) -> None:
        """Read a value anew the next time."""
        with self._lock:
            self._values.pop(key, None)

    def has(self, key: _K) -> bool:
        """Whether a value is there and still holds."""
        with self._lock:
            kept = self._values.get(key)
            return kept is not None and self._clock() - kept[0] < self._fresh_s


@dataclass(frozen=True, slots=True)
class Place:
    """A store as one resource uses it."""

    store: Store
    source: StoreSource
    """Its address and endpoint, and the Secret of the resource's namespace with the credentials."""
    open: Callable[[str], Store]
    """Opens another address at the same server with the same credentials: data and models in S3."""

    @property
    def identity(self) -> str:
        """What tells it from any other store."""
        return f"{self.source.endpoint or ''} {self.store.uri}"


class Stores:
    """Opens stores.

    Args:
        kube: For Secrets.
        told: Of each request, as `MeteredStore` tells it.
    """

    def __init__(self, kube: Kube, settings: Settings, told: Told = lambda operation, outcome, seconds: None) -> None:
        self._kube, self._settings, self._told = kube, settings, told
        self._opened: Cache[tuple[str, ...], Store] = Cache(256, float("inf"))
        self._secrets: Cache[tuple[str, str], dict[str, str]] = Cache(4096, SECRET_FRESH_S)
        self._manifests: Cache[tuple[str, str], StageManifest] = Cache(20_000, MANIFEST_FRESH_S)
        self._breaker = CircuitBreaker()

    def of(self, resource: Resource) -> Place:
        """The store of a resource.

        Raises:
            InvalidInput: The spec must be changed first.
            StoreUnavailable: The Secret is not there, or not as it should be; or the store did not answer just now.
        """
        source = self._source(resource)
        self._breaker.check(_server(source))
        access = ("", "")
        if source.credentials_secret_ref is not None:
            secret = source.credentials_secret_ref.name
            values = self._secrets.get((resource.metadata.namespace, secret), lambda: self._read(resource, secret))
            assert values is not None
            access = values["accessKey"], values["secretKey"]

        def opened(uri: str) -> Store:
            key = (uri, source.endpoint or "", source.region, *access)
            store = self._opened.get(key, lambda: MeteredStore(_open(uri, source, *access), self._told))
            assert store is not None
            return store

        return Place(opened(source.uri), source, opened)

    def manifest(self, place: Place, kind: str, key: str) -> StageManifest | None:
        """The manifest of a finished stage; None while it is not finished.

        Raises:
            StoreError: The store cannot be asked.
        """

        def read() -> StageManifest | None:
            manifest = read_manifest(place.store, kind, key)
            self.answered(place)
            return manifest

        return self._manifests.get((place.identity, key), read)

    def answered(self, place: Place) -> None:
        """A store was asked, and did answer."""
        self._breaker.reset(_server(place.source))

    def told(self, resource: Resource, error: AgentArkError) -> str:
        """A store's failure in the words of the resource that uses it: of a refused key, in which Secret it is."""
        source = self._source(resource)
        if isinstance(error, StoreUnreachable):
            self._breaker.trip(_server(source), str(error))
        if isinstance(error, StoreRefused) and source.credentials_secret_ref is not None:
            namespace, secret = resource.metadata.namespace, source.credentials_secret_ref.name
            self._secrets.forget((namespace, secret))  # a mended one counts at the next pass
            where = _secret(resource, secret)
            return f"{error.what}: correct accessKey and secretKey in {where}, and see that {error.rights}"
        return str(error)

    def _source(self, resource: Resource) -> StoreSource:
        source: StoreSource | None = getattr(resource.spec, "store", None)
        if source is None:
            settings = self._settings
            if not settings.store:
                raise InvalidInput("spec.store is missing and the operator has no default; give spec.store.uri")
            source = StoreSource(
                uri=settings.store,
                endpoint=settings.store_endpoint or None,
                region=settings.store_region,
                credentials_secret_ref=Reference(name=settings.store_secret) if settings.store_secret else None,
            )
        if not source.uri.startswith("s3://"):
            raise InvalidInput(
                f"spec.store.uri is {source.uri!r}, a folder that pods do not share; give an s3:// address"
            )
        return source

    def _read(self, resource: Resource, name: str) -> dict[str, str]:
        where = _secret(resource, name)
        try:
            values = self._kube.read_secret(resource.metadata.namespace, name)
        except Gone:
            raise StoreUnavailable(f"{where} is not there; make it with keys accessKey and secretKey") from None
        except Refused:
            raise StoreUnavailable(f"{where} may not be read by the operator; let its Role get secrets") from None
        missing = [key for key in ("accessKey", "secretKey") if not values.get(key)]
        if missing:
            raise StoreUnavailable(f"{where} lacks {' and '.join(missing)}; add {'them' if missing[1:] else 'it'}")
        for key in ("accessKey", "secretKey"):
            if not (values[key].isascii() and values[key].isprintable()) or values[key] != values[key].strip():
                # No header can carry it, and in most cases it is a line break at the end.
                text = (
                    f"{where}: {key} holds a line break, blanks around it, or characters that no key has; make it anew"
                )
                raise StoreUnavailable(f"{text}, for example by `kubectl create secret generic --from-literal`")
        return values


def _server(source: StoreSource) -> str:
    return f"{source.endpoint or ''} {source.uri}"


def _secret(resource: Resource, name: str) -> str:
    return f"Secret {name!r} in namespace {resource.metadata.namespace!r} (spec.store.credentialsSecretRef)"


def _open(uri: str, source: StoreSource, access: str, secret: str) -> Store:
    try:
        return open_store(
            uri,
            endpoint=source.endpoint or "",
            region=source.region,
            access_key=access,
            secret_key=secret,
            patience=_PATIENCE,
        )
    except InvalidInput as error:
        if access:
            raise
        raise InvalidInput(f"{error}; on a cluster, spec.store.credentialsSecretRef names a Secret with them") from None
