"""The Kubernetes API as the operator uses it; the only module that knows the client.

Objects are plain dicts. The client gives configuration, credentials and connections; requests go through its pool
directly, since its own layers cost more than the server does.
"""

import base64
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote

import urllib3
from kubernetes import client, config
from urllib3.util import parse_url

from agentark.api import KINDS
from agentark.errors import InvalidInput
from agentark_operator.backends import BACKENDS

_log = logging.getLogger(__name__)
FIELD_MANAGER = "agentark-operator"
_TIMEOUT_S = 30.0
_CHANGED = "the object has been modified"
"""What a conflict says that is over by the next try; others say that the object is not the one that was meant."""
_WHOLE = "application/json"
_SLIM = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
"""For an answer that nobody reads: writing and reading it whole costs both sides more than the request."""
_UNCHECKED = f"?fieldManager={FIELD_MANAGER}&fieldValidation=Ignore"
"""For what the operator alone makes: nobody would read the server's warnings of unknown fields."""
_APPLY, _MERGE, _JSON = "application/apply-patch+yaml", "application/merge-patch+json", "application/json"
_OTHERS = ("CustomResourceDefinition", "Deployment", "Event", "Pod", "Secret", "Service")
_PLURALS = {kind: f"{kind.lower()}s" for kind in (*KINDS, *_OTHERS)} | {
    backend.kind: backend.plural for backend in BACKENDS.values()
}
Object = dict[str, Any]


class KubeError(Exception):
    """The API server said no; the text says to what and why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Gone(KubeError):
    """The object is no longer there, or another one has its name."""


class Refused(KubeError):
    """The server does not take the request: forbidden, over a quota, or not valid."""


class Unreachable(KubeError):
    """The server does not answer, or is too busy; later it may."""


class Unknown(KubeError):
    """The server has no such kind: it is not installed, or the server has just begun and does not know it yet."""


class Kube:
    """Calls to the API server; each blocks its thread.

    Args:
        connections: Threads that call at once.

    Raises:
        InvalidInput: If nothing says where the cluster is.
    """

    def __init__(self, *, connections: int) -> None:
        try:
            config.load_config()
        except config.ConfigException as error:
            raise InvalidInput(
                f"no cluster to connect to ({error}); set KUBECONFIG to a kubeconfig, or run in a pod with a service "
                "account"
            ) from None
        settings = client.Configuration.get_default_copy()
        settings.connection_pool_maxsize = connections
        self._api = client.ApiClient(settings)
        self._pool = self._api.rest_client.pool_manager.connection_from_url(settings.host)
        self._root = parse_url(settings.host).path or ""

    def write_status(self, resource: Mapping[str, Any], status: Mapping[str, Any]) -> str:
        """Replace the whole status of a resource; returns the version that this makes.

        Args:
            resource: As it was seen last; no other version of it is written to.

        Raises:
            Gone: If the resource was deleted, or deleted and made anew.
            Unreachable: If it has changed since it was seen, or the server does not answer.
            Refused: If the server does not take it.
        """
        # Not patched or applied: of all ways this one costs the server least, a quarter less than a patch.
        # The metadata goes along, or whoever set a label would no longer be known as its owner; the spec need not.
        metadata = {name: value for name, value in resource["metadata"].items() if name != "managedFields"}
        body = {"apiVersion": resource["apiVersion"], "kind": resource["kind"], "metadata": metadata, "status": status}
        answer = self._call("PUT", f"{path_of(resource)}/status", body, _JSON, query=_UNCHECKED, whole=False)
        return str(answer["metadata"]["resourceVersion"])

    def apply(self, resource: Mapping[str, Any], *, manager: str = FIELD_MANAGER) -> Object:
        """Apply an object on the server: made where it is not there, else brought to this; returns it as it is.

        Raises:
            Gone: If its namespace is not there or is being deleted, or an object with another uid has the name.
            Refused: If the server does not take it; the text says why.
            Unreachable: If it does not answer.
        """
        return self._call("PATCH", path_of(resource), resource, _APPLY, query=f"?fieldManager={manager}&force=true")

    def merge(self, resource: Mapping[str, Any], change: Mapping[str, Any]) -> Object:
        """Change some fields of an object (RFC 7386); errors as `apply`."""
        return self._call("PATCH", path_of(resource), change, _MERGE, query=f"?fieldManager={FIELD_MANAGER}")

    def delete(
        self,
        resource: Mapping[str, Any],
        *,
        unchanged: bool = False,
        propagation: Literal["Background", "Foreground"] = "Background",
    ) -> None:
        """Delete this very object, if it is still there.

        Args:
            resource: As it was seen.
            unchanged: Only if it is as it was seen.
            propagation: What is deleted first: the object, or what it owns.

        Raises:
            Refused: If the operator may not.
            Unreachable: If the server does not answer.
        """
        metadata = resource["metadata"]
        conditions = {"uid": metadata["uid"]}
        conditions |= {"resourceVersion": metadata["resourceVersion"]} if unchanged else {}
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        try:
            self._call("DELETE", path_of(resource), {**body, "preconditions": conditions}, _JSON)
        except Gone:
            return

    def create(self, resource: Mapping[str, Any]) -> None:
        """Make an object; errors as `apply`."""
        folder = path_of(resource).rsplit("/", 1)[0]
        self._call("POST", folder, resource, _JSON, query=_UNCHECKED, whole=False)

    def tell(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Make events, but for those that were made before; they are news, so one that cannot be made is left."""
        for event in events:
            try:
                self.create(event)
            except Gone:
                continue
            except KubeError as error:
                _log.warning("an event cannot be made: %s", error)

    def read(self, api_version: str, kind: str, name: str, namespace: str = "") -> Object | None:
        """An object as it is now; None if it is not there.

        Raises:
            KubeError: If the server does not say.
        """
        metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
        try:
            return self._call("GET", path_of({"apiVersion": api_version, "kind": kind, "metadata": metadata}))
        except Gone:
            return None

    def listed(self, api_version: str, kind: str, namespace: str = "", *, labels: str = "") -> list[Object]:
        """Objects of a kind, whole; of all namespaces where none is given.

        Args:
            api_version: Of the kind.
            kind: One that the operator knows.
            namespace: The only one to look in.
            labels: Selector.

        Raises:
            Unknown: The server has no such kind.
            KubeError: The server does not say.
        """
        place = {"namespace": namespace} if namespace else {}
        path = path_of({"apiVersion": api_version, "kind": kind, "metadata": place}).rstrip("/")
        query = f"?labelSelector={quote(labels)}" if labels else ""
        answer = self._call("GET", path, query=query)
        return [{"apiVersion": api_version, "kind": kind, **item} for item in answer.get("items") or ()]

    def read_secret(self, namespace: str, name: str) -> dict[str, str]:
        """The values of a Secret.

        Raises:
            Gone: If there is none.
            Refused: If the operator may not read it.
        """
        answer = self._call("GET", f"/api/v1/namespaces/{namespace}/secrets/{name}")
        # What is no text is no key either, and the store will say so; this is not the place to fail.
        return {
            key: base64.b64decode(value).decode(errors="replace") for key, value in (answer.get("data") or {}).items()
        }

    def warnings(self, namespace: str, uid: str) -> list[Object]:
        """Warning events about an object, in any order; none where the operator may not see them.

        The server goes through all events of the namespace for this, so it is not to be asked at every turn.

        Raises:
            Unreachable: If it does not answer.
        """
        query = f"?fieldSelector=involvedObject.uid%3D{uid},type%3DWarning"
        try:
            answer = self._call("GET", f"/api/v1/namespaces/{namespace}/events", query=query)
        except (Gone, Refused):
            return []
        return list(answer.get("items") or ())

    def serves(self, api_version: str, kind: str) -> bool:
        """Whether the server knows a kind."""
        try:
            answer = self._call("GET", f"/apis/{api_version}")
        except (Gone, Unknown):
            return False
        return any(resource["kind"] == kind for resource in answer.get("resources", ()))

    def schema(self, api_version: str, kind: str) -> Object | None:
        """The schema of a kind as the server publishes it, which takes no right; None if it does not know the kind."""
        try:
            answer = self._call("GET", f"/openapi/v3/apis/{api_version}")
        except (Gone, Unknown):
            return None
        group, _, version = api_version.partition("/")
        wanted = {"group": group, "version": version, "kind": kind}
        schemas: dict[str, Object] = answer.get("components", {}).get("schemas", {})
        kinds = "x-kubernetes-group-version-kind"
        return next((schema for schema in schemas.values() if wanted in schema.get(kinds, ())), None)

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        form: str = "",
        *,
        query: str = "",
        whole: bool = True,
    ) -> Object:
        headers = {"Accept": _WHOLE if whole else _SLIM} | ({"Content-Type": form} if form else {})
        self._api.update_params_for_auth(headers, [], ["BearerToken"])
        content = json.dumps(body).encode() if body is not None else None
        try:
            reply = self._pool.urlopen(
                method,
                self._root + path + query,
                body=content,
                headers=headers,
                timeout=_TIMEOUT_S,
                retries=False,
                redirect=False,
            )
        except (OSError, urllib3.exceptions.HTTPError) as error:
            raise Unreachable(0, f"{method} {path}: {error}") from error
        if reply.status < 300:
            answer: Object = json.loads(reply.data)
            return answer
        raise _error(reply.status, f"{method} {path}", reply.data)


def path_of(resource: Mapping[str, Any]) -> str:
    """The path of an object, whose kind must be one that the operator knows."""
    version, metadata = resource["apiVersion"], resource["metadata"]
    root = f"/api/{version}" if "/" not in version else f"/apis/{version}"
    where = f"/namespaces/{metadata['namespace']}" if metadata.get("namespace") else ""
    return f"{root}{where}/{_PLURALS[resource['kind']]}/{metadata.get('name', '')}"


def _error(status: int, what: str, data: bytes) -> KubeError:
    try:
        answer = json.loads(data)
        text = str(answer.get("message", ""))
        reason = str(answer.get("reason", ""))
        causes = {str(cause.get("reason", "")) for cause in (answer.get("details") or {}).get("causes") or ()}
    except (ValueError, AttributeError):
        text, reason, causes = data[:500].decode(errors="replace"), "", set()
    message = f"{what}: {status}: {text[:1500]}"
    if status == 409 and _CHANGED in text:
        return Unreachable(status, message)  # who wrote at the same moment was first; the object is there
    if status == 404 and reason != "NotFound":
        return Unknown(status, message)
    # A namespace on its way out refuses new objects; the resource goes with it.
    if status in (404, 409, 410) or "NamespaceTerminating" in causes:
        return Gone(status, message)
    if "typed patch object" in text:  # fields that the schema does not have; said with a 500
        return Refused(status, message)
    if status == 429 or status >= 500 or reason == "Timeout":
        return Unreachable(status, message)
    return Refused(status, message)
