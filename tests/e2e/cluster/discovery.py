"""Pods and Services as Prometheus's own discovery describes them, which Debian's Prometheus is built without."""

import contextlib
import json
import re
import threading
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.servers.kubernetes import ApiServer
from tests.servers.process import LOOPBACK, ServerFailed

Object = Mapping[str, Any]
_META = "__meta_kubernetes"


def pod_targets(pods: Iterable[Object]) -> list[dict[str, Any]]:
    """Return a target for each port of each container, as role `pod` does."""
    return [
        {
            "targets": [f"{pod['status']['podIP']}:{port['containerPort']}"],
            "labels": _of_pod(pod) | _of_port(name, port),
        }
        for pod in pods
        if pod["status"].get("podIP")
        for name, port in _ports(pod)
    ]


def slice_targets(slices: Iterable[Object], services: Iterable[Object], pods: Iterable[Object]) -> list[dict[str, Any]]:
    """Return a target for each port of each endpoint of Services, as role `endpointslice` does."""
    service_of = {_key(service): service for service in services}
    pod_of = {_key(pod): pod for pod in pods}
    found = []
    for one in slices:
        space = one["metadata"]["namespace"]
        service = service_of.get((space, one["metadata"].get("labels", {}).get("kubernetes.io/service-name", "")))
        if service is None:
            continue
        for port in one.get("ports") or []:
            labels = {f"{_META}_namespace": space, f"{_META}_service_name": service["metadata"]["name"]}
            labels |= _labels("service", service) | {f"{_META}_endpointslice_port_name": port.get("name", "")}
            for endpoint in one.get("endpoints") or []:
                behind = pod_of.get((space, (endpoint.get("targetRef") or {}).get("name", "")))
                targets = [f"{address}:{port['port']}" for address in endpoint["addresses"]]
                found.append({"targets": targets, "labels": labels | _behind(behind, port["port"])})
    return found


@contextlib.contextmanager
def discovery(server: ApiServer) -> Iterator[str]:
    """Answer on loopback to Prometheus's http_sd_configs, at URL/ROLE?namespaces=A,B; none means all."""

    def found(role: str, namespaces: list[str]) -> list[dict[str, Any]]:
        pods = _listed(server, "/api/v1", "pods", namespaces)
        if role == "pod":
            return pod_targets(pods)
        slices = _listed(server, "/apis/discovery.k8s.io/v1", "endpointslices", namespaces)
        return slice_targets(slices, _listed(server, "/api/v1", "services", namespaces), pods)

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urllib.parse.urlsplit(self.path)
            namespaces = urllib.parse.parse_qs(asked.query).get("namespaces", [""])[0]
            try:
                content, status = json.dumps(found(asked.path.strip("/"), namespaces.split(","))).encode(), 200
            except Exception as error:  # the API server may be away: Prometheus keeps what it knows and asks again
                content, status = str(error).encode(), 503
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer((LOOPBACK, 0), Answer) as answering:
        thread = threading.Thread(target=answering.serve_forever, name="discovery")
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{answering.server_port}"
        finally:
            answering.shutdown()
            thread.join()


def _listed(server: ApiServer, group: str, plural: str, namespaces: list[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for namespace in namespaces:
        answer = server.request("GET", f"{group}/namespaces/{namespace}/{plural}" if namespace else f"{group}/{plural}")
        if answer.status != 200:
            raise ServerFailed(f"{plural}: {answer.message}")
        found += answer.body["items"]
    return found


def _key(found: Object) -> tuple[str, str]:
    return found["metadata"]["namespace"], found["metadata"]["name"]


def _ports(pod: Object) -> Iterator[tuple[str, Object]]:
    for container in [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]:
        for port in container.get("ports") or []:
            yield container["name"], port


def _of_pod(pod: Object) -> dict[str, str]:
    place = {"namespace": pod["metadata"]["namespace"], "pod_name": pod["metadata"]["name"]}
    place |= {"pod_ip": pod["status"].get("podIP", ""), "pod_phase": pod["status"].get("phase", "")}
    place |= {"pod_node_name": pod["spec"].get("nodeName", "")}
    return {f"{_META}_{name}": value for name, value in place.items()} | _labels("pod", pod)


def _of_port(container: str, port: Object) -> dict[str, str]:
    named = {"name": container, "port_name": port.get("name", ""), "port_number": str(port["containerPort"])}
    return {f"{_META}_pod_container_{name}": value for name, value in named.items()}


def _behind(pod: Object | None, number: int) -> dict[str, str]:
    if pod is None:
        return {}
    ports = (_of_port(name, port) for name, port in _ports(pod) if port["containerPort"] == number)
    return _of_pod(pod) | next(ports, {})


def _labels(kind: str, found: Object) -> dict[str, str]:
    labels: dict[str, str] = {}
    for name, value in (found["metadata"].get("labels") or {}).items():
        plain = re.sub(r"[^a-zA-Z0-9_]", "_", name)
        labels |= {f"{_META}_{kind}_label_{plain}": value, f"{_META}_{kind}_labelpresent_{plain}": "true"}
    return labels
