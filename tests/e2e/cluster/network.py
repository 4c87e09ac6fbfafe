"""A network namespace for the node, joined to this machine by one pair of links; nothing leaves the machine."""

import contextlib
import subprocess
from collections.abc import Iterator

HOST = "198.18.0.1"
"""This machine, as the node and its pods see it."""
NODE = "198.18.0.2"
PODS = "198.18.1.0/24"
SERVICES = "198.18.2.0/24"  # all of RFC 2544's range, which is never routed
NAMESPACE = "agentark-e2e"
_OURS, _ITS = "agentark0", "node0"
# Not `ip netns exec`: that mounts /sys anew, which hides the cgroups from the kubelet.
ENTER = ("nsenter", f"--net=/run/netns/{NAMESPACE}", "--")
"""Command that runs another inside the namespace."""


class NetworkFailed(Exception):
    """A command of the network's set-up failed; the text is what it said."""


@contextlib.contextmanager
def network() -> Iterator[None]:
    """Make the namespace, and the routes from here to pods and Services; both go at the end."""
    remove()
    try:
        _run("ip", "netns", "add", NAMESPACE)
        _run("ip", "link", "add", _OURS, "type", "veth", "peer", "name", _ITS, "netns", NAMESPACE)
        _run("ip", "address", "add", f"{HOST}/24", "dev", _OURS)
        _run("ip", "link", "set", _OURS, "up")
        _run(*ENTER, "ip", "link", "set", "lo", "up")
        _run(*ENTER, "ip", "address", "add", f"{NODE}/24", "dev", _ITS)
        _run(*ENTER, "ip", "link", "set", _ITS, "up")
        _run(*ENTER, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        # kube-proxy changes the destination only after a route was found, even where the API server asks a webhook.
        _run(*ENTER, "ip", "route", "add", SERVICES, "dev", _ITS)
        for there in (PODS, SERVICES):
            _run("ip", "route", "add", there, "via", NODE)
        yield
    finally:
        remove()


def remove() -> None:
    """Remove what `network` made, if it is there; the routes go with the link."""
    for command in (["ip", "link", "delete", _OURS], ["ip", "netns", "delete", NAMESPACE]):
        subprocess.run(command, capture_output=True, check=False)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NetworkFailed(f"{' '.join(command)}: {done.stderr.strip()}")
