"""CustomResourceDefinitions of others whose objects our charts make: Prometheus, gateways, KEDA; from their modules."""

from typing import Any

import yaml

from tests.servers.golang import sources

_MONITORING = "github.com/prometheus-operator/prometheus-operator"
_GATEWAY = "sigs.k8s.io/gateway-api"
_KEDA = "github.com/kedacore/keda/v2"


def definitions() -> list[dict[str, Any]]:
    """ServiceMonitor, PodMonitor, PrometheusRule; Gateway, HTTPRoute; ScaledObject and its authentication.

    Raises:
        ServerFailed: If Go is missing or a module cannot be had.
    """
    monitoring = sources("monitoring", _MONITORING) / "example/prometheus-operator-crd"
    gateway = sources("gateway", _GATEWAY) / "config/crd/standard"
    keda = sources("keda", _KEDA) / "config/crd/bases"
    kinds = ("servicemonitors", "podmonitors", "prometheusrules")
    files = [monitoring / f"monitoring.coreos.com_{kind}.yaml" for kind in kinds]
    files += [gateway / f"gateway.networking.k8s.io_{kind}.yaml" for kind in ("gateways", "httproutes")]
    files += [keda / f"keda.sh_{kind}.yaml" for kind in ("scaledobjects", "triggerauthentications")]
    return [yaml.safe_load(file.read_text()) for file in files]
