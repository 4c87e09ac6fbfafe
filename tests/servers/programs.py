"""Which programs the fixtures of tests run, each built once: `python -m tests.servers.programs` builds all of them."""

import sys
from collections.abc import Callable, Iterable, Mapping

from tests.servers import kubeconform, minio, prometheus
from tests.servers.golang import program
from tests.servers.helm import helm, helm3
from tests.servers.kubernetes import binaries as control_plane
from tests.servers.playground import binaries as playground

Build = Callable[[], object]


def gitops() -> str:
    """Return the path of the program that reads a resource as Flux and Argo CD do; built in a minute or two."""
    return str(program("gitops", ".", "gitops", required="github.com/fluxcd/cli-utils"))


def promtool() -> str:
    """Return the path of Prometheus's tool for rules and metrics."""
    return prometheus.program("promtool")


def server() -> str:
    """Return the path of Prometheus's server."""
    return prometheus.program("prometheus")


BUILDS: Mapping[str, tuple[Build, ...]] = {
    "minio_server": (minio.binary,),
    "s3": (minio.binary,),
    "api_server": (control_plane,),
    "schemas": (kubeconform.binary,),
    "playground": (playground,),
    "bare": (playground, helm),
    "helm_newest": (helm,),
    "helm_either": (helm, helm3),
    "gitops_reader": (gitops,),
    "promtool": (promtool,),
    "prometheus_program": (server,),
}
"""What a test needs that asks for a fixture, directly or through another, or names its server as a parameter."""


def needed(fixtures: Iterable[str]) -> dict[Build, None]:
    """What has to be built for these fixtures, each once, in the order of the table."""
    asked = set(fixtures)
    return {build: None for name, builds in BUILDS.items() if name in asked for build in builds}


if __name__ == "__main__":
    for build in needed(BUILDS):
        print(build(), file=sys.stdout, flush=True)
