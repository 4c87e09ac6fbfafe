"""`python -m agentark_operator.uninstall`: end the operator and all that it runs, before it is uninstalled.

Without the operator nobody would take a teacher's server down or look after an attempt. Resources and what is in the
store stay: an operator that is installed again goes on from the last checkpoints.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agentark.errors import AgentArkError
from agentark.terminal import printable
from agentark_operator.attempts.workload import MANAGED_BY, MANAGER
from agentark_operator.backends import BACKENDS
from agentark_operator.kube import Gone, Kube, KubeError, Unknown
from agentark_operator.settings import Settings, read_settings

_KINDS = {backend.kind: backend.api_version for backend in BACKENDS.values()} | {"Deployment": "apps/v1"}
"""Of what the operator makes; all else is owned by these."""
_OURS = f"{MANAGED_BY}={MANAGER}"


class StillThere(AgentArkError):
    """The operator's pods do not go."""


def end_operator(kube: Kube, name: str, namespace: str, *, within_s: float, pause_s: float = 1.0) -> bool:
    """Delete the operator's Deployment and wait until its pods are gone; False if it was not there.

    Args:
        within_s: Longest wait, in seconds.
        pause_s: Between two looks, in seconds.

    Raises:
        StillThere: Its pods are not gone in time.
        KubeError: The server does not do it.
    """
    deployment = kube.read("apps/v1", "Deployment", name, namespace)
    if deployment is None:
        return False
    # It stays until what it owns is gone: no new attempt can begin after that.
    whole = {"apiVersion": "apps/v1", "kind": "Deployment", **deployment}
    kube.delete(whole, propagation="Foreground")
    deadline = time.monotonic() + within_s
    while kube.read("apps/v1", "Deployment", name, namespace) is not None:
        if time.monotonic() > deadline:
            raise StillThere(
                f"the pods of {namespace}/{name} are not gone after {within_s:g} s, so what they run was left as it "
                "is; see why with kubectl describe, and uninstall again"
            )
        time.sleep(pause_s)
    return True


def end_runs(kube: Kube, settings: Settings, tell: Callable[[str], None]) -> None:
    """Delete what the operator has made to run, pods with it.

    Args:
        settings: The operator's: namespaces and kinds that it looks after.
        tell: Hears of each object.

    Raises:
        KubeError: The server does not do it.
    """
    kinds = [*sorted(settings.backends), *(["Deployment"] if settings.teachers else [])]
    for kind in kinds:
        for namespace in settings.namespaces or ("",):
            for child in _listed(kube, kind, namespace):
                kube.delete(child)
                tell(f"ended {kind} {child['metadata']['namespace']}/{child['metadata']['name']}")


def _listed(kube: Kube, kind: str, namespace: str) -> list[Mapping[str, Any]]:
    try:
        return list(kube.listed(_KINDS[kind], kind, namespace, labels=_OURS))
    except (Gone, Unknown):
        return []  # not installed, so none were made


def main(arguments: Sequence[str]) -> int:
    """End the operator, then what it runs; 0 if both are done."""
    parser = argparse.ArgumentParser(
        prog="python -m agentark_operator.uninstall",
        description="End the operator and all that it runs. Settings come from the environment, as the operator's do.",
    )
    parser.add_argument("--deployment", required=True, metavar="NAME", help="of the operator")
    parser.add_argument("--namespace", required=True, help="in which it is")
    parser.add_argument("--wait-seconds", type=float, default=120.0, help="for its pods to go; 120 by default")
    options = parser.parse_args(arguments)
    try:
        kube = Kube(connections=1)
        there = end_operator(kube, options.deployment, options.namespace, within_s=options.wait_seconds)
        ended = f"{'ended' if there else 'not there:'} operator {options.namespace}/{options.deployment}"
        print(printable(ended), flush=True)
        end_runs(kube, read_settings(), lambda text: print(printable(text), flush=True))
    except (AgentArkError, KubeError) as error:
        print(printable(f"error: {error}"), file=sys.stderr)
        return error.exit_code if isinstance(error, AgentArkError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
