"""The Kubernetes API as the operator uses it; the only module that knows the client."""

import base64
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from agentark.errors import InvalidInput

FIELD_MANAGER = "agentark-operator"
_TIMEOUT_S = 30.0


class Gone(Exception):
    """The object is no longer there, or another one has its name."""


class Refused(Exception):
    """The API server refused for good; the text says why."""


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

    def write_status(self, resource: dict[str, Any], status: dict[str, Any]) -> None:
        """Apply the whole status of a resource on the server.

        Raises:
            Gone: If the resource was deleted, or deleted and made anew.
            Refused: If the server does not take it.
        """
        metadata = resource["metadata"]
        group, version = resource["apiVersion"].split("/")
        path = f"/apis/{group}/{version}/namespaces/{metadata['namespace']}/{_plural(resource['kind'])}"
        body = {
            "apiVersion": resource["apiVersion"],
            "kind": resource["kind"],
            # With the uid, a resource that has been made anew under the name is a conflict.
            "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]},
            "status": status,
        }
        self._call("PATCH", f"{path}/{metadata['name']}/status", body)

    def read_secret(self, namespace: str, name: str) -> dict[str, str]:
        """The values of a Secret.

        Raises:
            Gone: If there is none.
            Refused: If the operator may not read it.
        """
        found = self._call("GET", f"/api/v1/namespaces/{namespace}/secrets/{name}")
        return {key: base64.b64decode(value).decode() for key, value in (found.get("data") or {}).items()}

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        query = [("fieldManager", FIELD_MANAGER), ("force", "true")] if body else []
        headers = {"Accept": "application/json"}
        headers |= {"Content-Type": "application/apply-patch+yaml"} if body else {}
        try:
            found: dict[str, Any] = self._api.call_api(
                path,
                method,
                query_params=query,
                header_params=headers,
                body=body,
                response_type="object",
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _request_timeout=_TIMEOUT_S,
            )
        except ApiException as error:
            if error.status in (404, 409, 410):
                raise Gone(f"{method} {path}: {error.reason}") from error
            if error.status in (400, 403, 422):
                raise Refused(f"{method} {path}: {error.status} {error.reason}: {_message(error)}") from error
            raise
        return found


def _plural(kind: str) -> str:
    return f"{kind.lower()}s"


def _message(error: ApiException) -> str:
    return str(error.body or "")[:500]
