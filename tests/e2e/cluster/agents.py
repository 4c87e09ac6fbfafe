"""What works on each node of a cluster: kubelet, kube-proxy and, here, the cluster's DNS."""

import contextlib
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.e2e.cluster.leftovers import CGROUP
from tests.e2e.cluster.network import ENTER, NODE, PODS
from tests.servers.golang import program
from tests.servers.kubernetes import ControlPlane, component
from tests.servers.process import ServerFailed, serving

NAME = "node0"
_KUBELET, _PROXY, _DNS = f"system:node:{NAME}", "system:kube-proxy", "system:coredns"
USERS: Mapping[str, Sequence[str]] = {_KUBELET: ("system:nodes",), _PROXY: (), _DNS: ()}
"""Whom they are to the API server, with their groups."""
_DNS_RULES = [
    {"apiGroups": [""], "resources": ["services", "namespaces", "pods"], "verbs": ["list", "watch"]},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
]


def coredns_binary() -> Path:
    """Return the path of CoreDNS, which is built first if need be (2 minutes on two cores).

    Raises:
        ServerFailed: If Go is missing or the build fails.
    """
    return program("coredns", "github.com/coredns/coredns", "coredns")


def client_certificate(folder: Path) -> Mapping[str, Path]:
    """Make the certificate by which kubelets know the API server: `authority`, `certificate`, `key`."""
    folder.mkdir(parents=True)
    found = {name: folder / f"{name}.pem" for name in ("authority", "authority-key", "certificate", "key")}
    subject = "/O=system:masters/CN=kube-apiserver-kubelet-client"
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
    signed = ["-CA", str(found["authority"]), "-CAkey", str(found["authority-key"])]
    for command in (
        [*new, "-keyout", str(found["authority-key"]), "-out", str(found["authority"]), "-subj", "/CN=kubelet-clients"],
        [*new, "-keyout", str(found["key"]), "-out", str(found["certificate"]), "-subj", subject, *signed],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ServerFailed(f"openssl: {done.stderr[-1000:]}")
    return found


@contextlib.contextmanager
def kubelet(folder: Path, plane: ControlPlane, runtime: Path, authority: Path) -> Iterator[None]:
    """Run the kubelet.

    Args:
        folder: Of its pods and its log.
        plane: Whose pods it runs.
        runtime: Socket of containerd.
        authority: Certificate of those who may ask it for logs and the like.
    """
    folder.mkdir(parents=True)
    names = folder / "resolv.conf"
    names.write_text(f"nameserver {NODE}\n")
    settings: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE,
        "authentication": {"anonymous": {"enabled": False}, "x509": {"clientCAFile": str(authority)}},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{CGROUP}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        "clusterDNS": [NODE],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{runtime}",
        "resolvConf": str(names),
        "podLogsDir": str(folder / "logs"),
        "volumePluginDir": str(folder / "volume-plugins"),
        # Nobody could load an image again that was removed for room.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {"nodefs.available": "1Gi", "memory.available": "100Mi"},
        "syncFrequency": "10s",  # so long may a pod not see that its Secret changed
    }
    file = folder / "settings.json"
    file.write_text(json.dumps(settings))
    config = plane.as_user(_KUBELET).kubeconfig(folder / "kubeconfig")
    command: list[str | Path] = [*ENTER, component("kubelet"), f"--config={file}", f"--kubeconfig={config}"]
    command += [f"--hostname-override={NAME}", f"--node-ip={NODE}", f"--root-dir={folder / 'root'}"]
    command += [f"--cert-dir={folder / 'certificates'}"]
    with serving(command, env={}, folder=folder, ready=lambda: True, deadline_s=5):
        yield


@contextlib.contextmanager
def kube_proxy(folder: Path, plane: ControlPlane) -> Iterator[None]:
    """Run kube-proxy, which makes the addresses of Services work."""
    folder.mkdir(parents=True)
    config = plane.as_user(_PROXY).kubeconfig(folder / "kubeconfig")
    command: list[str | Path] = [*ENTER, component("kube-proxy"), f"--kubeconfig={config}", "--proxy-mode=iptables"]
    command += [f"--cluster-cidr={PODS}", f"--hostname-override={NAME}", f"--bind-address={NODE}"]
    # Limits of the whole machine's kernel are left as they are.
    command += ["--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0"]
    command += ["--conntrack-tcp-timeout-close-wait=0", "--metrics-bind-address=127.0.0.1:10249"]
    with serving(command, env={}, folder=folder, ready=lambda: True, deadline_s=5):
        yield


@contextlib.contextmanager
def coredns(folder: Path, plane: ControlPlane) -> Iterator[None]:
    """Run CoreDNS at the node's address, for the cluster's names alone."""
    folder.mkdir(parents=True)
    _allow_dns(plane)
    config = plane.as_user(_DNS).kubeconfig(folder / "kubeconfig")
    file = folder / "Corefile"
    zones = f"kubernetes cluster.local in-addr.arpa {{\n  kubeconfig {config} tests\n }}"
    file.write_text(f".:53 {{\n bind {NODE}\n {zones}\n errors\n}}\n")
    command: list[str | Path] = [*ENTER, coredns_binary(), "-conf", file]
    with serving(command, env={}, folder=folder, ready=lambda: True, deadline_s=5):
        yield


def _allow_dns(plane: ControlPlane) -> None:
    group = "rbac.authorization.k8s.io"
    role = {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": _DNS}, "rules": _DNS_RULES}
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": _DNS},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": _DNS},
        "subjects": [{"apiGroup": group, "kind": "User", "name": _DNS}],
    }
    for plural, made in (("clusterroles", role), ("clusterrolebindings", binding)):
        answer = plane.server.apply(f"/apis/{group}/v1/{plural}/{_DNS}", made)
        if answer.status not in (200, 201):
            raise ServerFailed(f"{plural} {_DNS}: {answer.message}")
