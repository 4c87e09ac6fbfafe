"""Helm for tests of the charts, built once from its Go module into the user's cache folder: the newest 4 and 3."""

import sys
from pathlib import Path

from tests.servers.golang import program, version_of


def helm() -> Path:
    """Return the path of Helm 4, which is built first if need be (about 4 minutes on two cores).

    Raises:
        ServerFailed: If Go is missing or the build fails.
    """
    # Of a cluster it is not connected to, it assumes the version that its Kubernetes client is of.
    flags = "-X helm.sh/helm/v4/internal/version.version={version}"
    return program("helm", "helm.sh/helm/v4/cmd/helm", "helm", required="helm.sh/helm/v4", flags=flags)


def helm3() -> Path:
    """Return the path of Helm 3, which is built first if need be (about 4 minutes on two cores).

    Raises:
        ServerFailed: If Go is missing or the build fails.
    """
    # Helm 3 assumes Kubernetes 1.20 where the linker writes nothing else into it.
    minor = version_of("helm3", "k8s.io/client-go").split(".")[1]
    flags = "-X helm.sh/helm/v3/internal/version.version={version}"
    for package in ("chartutil", "lint/rules"):
        where = f"helm.sh/helm/v3/pkg/{package}"
        flags += f" -X {where}.k8sVersionMajor=1 -X {where}.k8sVersionMinor={minor}"
    return program("helm3", "helm.sh/helm/v3/cmd/helm", "helm3", required="helm.sh/helm/v3", flags=flags)


if __name__ == "__main__":
    print(helm(), helm3(), sep="\n", file=sys.stdout)
