"""What `kubectl get -o json` prints, without what the server and the operator have added, to be applied elsewhere:

    kubectl get distilljobs,modelreleases -A -o json | python examples/cluster/bare.py > resources.json

Resources that others make again (NAME-debate, NAME-prm) are left out.
"""

import json
import sys
from typing import Any

_KEPT = ("name", "namespace", "labels", "annotations")
_OURS = "kubectl.kubernetes.io/last-applied-configuration"


def bare(resource: dict[str, Any]) -> dict[str, Any]:
    """A resource as somebody would write it."""
    metadata = {name: value for name, value in resource["metadata"].items() if name in _KEPT}
    if annotations := {name: value for name, value in metadata.pop("annotations", {}).items() if name != _OURS}:
        metadata["annotations"] = annotations
    return {name: resource[name] for name in ("apiVersion", "kind")} | {"metadata": metadata, "spec": resource["spec"]}


if __name__ == "__main__":
    resources = json.load(sys.stdin)["items"]
    items = [bare(resource) for resource in resources if not resource["metadata"].get("ownerReferences")]
    json.dump({"apiVersion": "v1", "kind": "List", "items": items}, sys.stdout, indent=1)
