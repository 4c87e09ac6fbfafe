"""The Training Operator in the cluster, from its own manifests; its pods pass the restricted pod security standard."""

from typing import Any

import yaml

from tests.e2e.cluster.images import write_image
from tests.e2e.cluster.node import Node
from tests.e2e.cluster.toolbox import TOOLBOX, write_toolbox
from tests.servers import training_operator as upstream
from tests.servers.process import ServerFailed

NAMESPACE = "kubeflow"
_NAME, _IMAGE, _TEMPLATE = "training-operator", "localhost/training-operator:1", "initContainer.yaml"


def training_operator(node: Node) -> None:
    """Install it and wait until it takes PyTorchJobs."""
    program = {"manager": upstream.upstream_binary()}
    node.load_image(write_image(node.folder / "training-operator.tar", _IMAGE, program))
    node.load_image(write_toolbox(node.folder / "toolbox.tar"))
    node.apply(_objects(node.kubectl("kustomize", str(upstream.manifests()))))
    node.wait(f"deployment/{_NAME}", "condition=Available", namespace=NAMESPACE)


def _objects(text: str) -> list[dict[str, Any]]:
    found = [made for made in yaml.safe_load_all(text) if made]
    for made in found:
        if made["kind"] == "Deployment":
            _ours(made["spec"]["template"]["spec"])
    if not any(made["kind"] == "Deployment" for made in found):
        raise ServerFailed("the Training Operator's manifests have no Deployment")
    # An administrator of restricted namespaces gives it a template of its own.
    template = upstream.INIT_CONTAINER.read_text()
    settings = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": _NAME, "namespace": NAMESPACE},
        "data": {_TEMPLATE: template},
    }
    return [*found, settings]


def _ours(spec: dict[str, Any]) -> None:
    (container,) = spec["containers"]
    container["image"] = _IMAGE
    container["args"] = [f"--pytorch-init-container-image={TOOLBOX}"]
    container["args"] += [f"--pytorch-init-container-template-file=/etc/config/{_TEMPLATE}"]
    container["resources"] = {"requests": {"cpu": "10m", "memory": "64Mi"}}
    container["volumeMounts"].append({"name": "config", "mountPath": "/etc/config"})
    # Sooner than every 15 s.
    container["readinessProbe"] |= {"initialDelaySeconds": 1, "periodSeconds": 1}
    spec["volumes"].append({"name": "config", "configMap": {"name": _NAME}})
