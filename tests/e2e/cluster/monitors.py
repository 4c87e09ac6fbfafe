"""What the Prometheus operator makes of PodMonitors, ServiceMonitors and PrometheusRules, for the fields used here."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

_SPEC = frozenset({"selector", "namespaceSelector", "jobLabel", "endpoints", "podMetricsEndpoints"})
_ENDPOINT = frozenset({"port", "path", "scheme", "interval", "scrapeTimeout", "honorLabels", "relabelings"})
_OPERATORS = {"In": "keep", "NotIn": "drop"}


class NotTranslated(Exception):
    """A monitor says what this does not know; the text names it."""


def scrape_configs(monitors: Iterable[Mapping[str, Any]], discovery: str) -> list[dict[str, Any]]:
    """Return Prometheus's scrape_configs for PodMonitors and ServiceMonitors.

    Args:
        monitors: The objects.
        discovery: URL that answers what `tests.e2e.cluster.discovery` does.

    Raises:
        NotTranslated: If one has a field that is not known here.
    """
    return [
        _scrape_config(monitor, number, endpoint, discovery)
        for monitor in monitors
        for number, endpoint in enumerate(monitor["spec"][_endpoints(monitor)])
    ]


def rule_groups(rules: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the content of a rule file from PrometheusRules."""
    groups = [
        {**group, "name": f"{rule['metadata']['namespace']}-{rule['metadata']['name']}-{group['name']}"}
        for rule in rules
        for group in rule["spec"].get("groups") or []
    ]
    return {"groups": groups}


def _endpoints(monitor: Mapping[str, Any]) -> str:
    return "podMetricsEndpoints" if monitor["kind"] == "PodMonitor" else "endpoints"


def _scrape_config(
    monitor: Mapping[str, Any], number: int, endpoint: Mapping[str, Any], discovery: str
) -> dict[str, Any]:
    spec, place = monitor["spec"], monitor["metadata"]
    kind, name, namespace = monitor["kind"], place["name"], place["namespace"]
    where = f"{kind} {namespace}/{name}"
    for found, known in ((spec, _SPEC), (endpoint, _ENDPOINT)):
        if unknown := found.keys() - known:
            raise NotTranslated(f"{where}: {', '.join(sorted(unknown))} is not known to tests/e2e/cluster/monitors.py")
    of_pods = kind == "PodMonitor"
    source = "__meta_kubernetes_pod" if of_pods else "__meta_kubernetes_service"
    port = "__meta_kubernetes_pod_container_port_name" if of_pods else "__meta_kubernetes_endpointslice_port_name"
    relabel = [*_selected(where, spec.get("selector") or {}, source), _keep(port, endpoint["port"])]
    relabel += [_drop("__meta_kubernetes_pod_phase", "(Failed|Succeeded)")]
    relabel += [_copy("__meta_kubernetes_namespace", "namespace"), _copy("__meta_kubernetes_pod_name", "pod")]
    relabel += [_copy("__meta_kubernetes_pod_container_name", "container"), _set("endpoint", endpoint["port"])]
    relabel += [_set("job", f"{namespace}/{name}")] if of_pods else []
    relabel += [] if of_pods else [_copy(f"{source}_name", "service"), _copy(f"{source}_name", "job")]
    if label := spec.get("jobLabel"):
        relabel.append({**_copy(f"{source}_label_{_meta(label)}", "job"), "regex": "(.+)"})
    relabel += [_snake(rule) for rule in endpoint.get("relabelings") or []]
    role = "pod" if of_pods else "endpointslice"
    found = {"url": f"{discovery}/{role}?namespaces={_namespaces(spec, namespace)}", "refresh_interval": "2s"}
    return {
        "job_name": f"{kind}/{namespace}/{name}/{number}",
        "metrics_path": endpoint.get("path", "/metrics"),
        "scheme": endpoint.get("scheme", "http"),
        "honor_labels": endpoint.get("honorLabels", False),
        # As told, but not so seldom that a test has to wait for it.
        "scrape_interval": "2s",
        "scrape_timeout": "2s",
        "http_sd_configs": [found],
        "relabel_configs": relabel,
    }


def _namespaces(spec: Mapping[str, Any], own: str) -> str:
    selector = spec.get("namespaceSelector") or {}
    return "" if selector.get("any") else ",".join(selector.get("matchNames") or [own])


def _selected(where: str, selector: Mapping[str, Any], source: str) -> list[dict[str, Any]]:
    found = [_keep(f"{source}_label_{_meta(name)}", re.escape(value)) for name, value in _labels(selector)]
    for asked in selector.get("matchExpressions") or []:
        label, operator = f"{source}_label_{_meta(asked['key'])}", asked["operator"]
        if operator in _OPERATORS:
            values = "|".join(re.escape(value) for value in asked["values"])
            found.append({**_keep(label, f"({values})"), "action": _OPERATORS[operator]})
        elif operator == "Exists":
            present = f"{source}_labelpresent_{_meta(asked['key'])}"
            found.append(_keep(present, "true"))
        else:
            raise NotTranslated(f"{where}: operator {operator} is not known to tests/e2e/cluster/monitors.py")
    return found


def _labels(selector: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    return (selector.get("matchLabels") or {}).items()


def _snake(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower(): value for name, value in rule.items()}


def _meta(label: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", label)


def _keep(source: str, regex: str) -> dict[str, Any]:
    return {"action": "keep", "source_labels": [source], "regex": regex}


def _drop(source: str, regex: str) -> dict[str, Any]:
    return {"action": "drop", "source_labels": [source], "regex": regex}


def _copy(source: str, target: str) -> dict[str, Any]:
    return {"source_labels": [source], "target_label": target}


def _set(target: str, value: str) -> dict[str, Any]:
    return {"target_label": target, "replacement": value}
