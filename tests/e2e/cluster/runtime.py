"""containerd with runc and the CNI plugins: what runs the node's containers."""

import contextlib
import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.e2e.cluster.images import write_image
from tests.e2e.cluster.leftovers import end_containers
from tests.e2e.cluster.network import ENTER, PODS
from tests.servers.golang import program
from tests.servers.process import ServerFailed, serving

_PLUGINS = {"bridge": "main", "loopback": "main", "host-local": "ipam", "portmap": "meta"}
_CNI = "github.com/containernetworking/plugins"
_PAUSE = "localhost/pause:1"
_LAYER = re.compile(r"containerd\.io/gc\.ref\.content\.l\.\d+=(sha256:[0-9a-f]+)")  # as labels of manifests name it
NETWORK = "agentark-e2e"
"""What CNI calls the network of the pods."""


def plugins() -> dict[str, Path]:
    """Return the paths of the CNI plugins by name, built first if need be (a minute on two cores).

    Raises:
        ServerFailed: If Go is missing or a build fails.
    """
    return {
        name: program(f"cni-{name}", f"{_CNI}/plugins/{kind}/{name}", "cni", required=_CNI)
        for name, kind in _PLUGINS.items()
    }


def pod_tools() -> Path:
    """Return the path of `pause` and `nslookup` for small images; what it is follows from the name it is called by.

    Raises:
        ServerFailed: If Go is missing or the build fails.
    """
    return program("pod-tools", ".", "pod-tools", required="go")


class Runtime:
    """A containerd of the node's own."""

    def __init__(self, folder: Path) -> None:
        """Prepare it; `running` starts it.

        Args:
            folder: Of its images, its containers and its log.
        """
        self.folder = folder
        self.socket = folder / "containerd.sock"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run it, with the image in that holds a pod's network. Its containers end with it."""
        self.folder.mkdir(parents=True)
        command: list[str | Path] = [*ENTER, "containerd", "--config", self._settings()]
        with serving(command, env={}, folder=self.folder, ready=self._answers, deadline_s=30):
            try:
                with tempfile.TemporaryDirectory(dir=self.folder) as place:
                    files = {"bin/pause": pod_tools()}
                    self.load(write_image(Path(place) / "pause.tar", _PAUSE, files, entrypoint=["/bin/pause"]))
                yield
            finally:
                self._end_tasks()
                end_containers(self.socket, self.folder / "state")

    def load(self, archive: Path) -> None:
        """Import the images of an archive, which is deleted then.

        Raises:
            ServerFailed: If containerd does not take it.
        """
        self._ctr("images", "import", str(archive), within_s=900)
        archive.unlink()
        # They lie there unpacked now, and the packed layers of an image with torch would be gigabytes more.
        content = self._ctr("content", "list")
        kept = {line.split()[0] for line in content.splitlines()}
        if layers := kept.intersection(_LAYER.findall(content)):
            self._ctr("content", "delete", *layers)

    def _end_tasks(self) -> None:
        # It may be gone already, and all is ended by force then.
        with contextlib.suppress(ServerFailed, subprocess.TimeoutExpired):
            if tasks := self._ctr("tasks", "list", "--quiet").split():
                self._ctr("tasks", "delete", "--force", *tasks)

    def _answers(self) -> bool:
        try:
            return bool(self._ctr("version"))
        except (ServerFailed, subprocess.TimeoutExpired):
            return False

    def _ctr(self, *arguments: str, within_s: float = 30) -> str:
        command = ["ctr", "--address", str(self.socket), "--namespace", "k8s.io", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=within_s, check=False)
        if done.returncode:
            raise ServerFailed(f"ctr {' '.join(arguments)}: {done.stderr.strip()[-2000:]}")
        return done.stdout

    def _network(self) -> dict[str, Any]:
        taken = str(self.folder / "addresses")
        addresses = {"type": "host-local", "ranges": [[{"subnet": PODS}]], "dataDir": taken}
        bridge = {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "hairpinMode": True,  # a pod may reach itself through its Service
            "ipam": {**addresses, "routes": [{"dst": "0.0.0.0/0"}]},
        }
        ports = {"type": "portmap", "capabilities": {"portMappings": True}}
        return {"cniVersion": "1.0.0", "name": NETWORK, "plugins": [bridge, ports]}

    def _settings(self) -> Path:
        programs, networks = self.folder / "cni-bin", self.folder / "cni"
        programs.mkdir()
        networks.mkdir()
        for name, path in plugins().items():
            (programs / name).symlink_to(path)
        (networks / "10-pods.conflist").write_text(json.dumps(self._network()))
        file = self.folder / "containerd.toml"
        # The last lines are of the CRI plugin. Nothing of it lies outside of the folder, where another's would be.
        file.write_text(f"""version = 2
root = "{self.folder}/root"
state = "{self.folder}/state"
[grpc]
address = "{self.socket}"
[plugins."io.containerd.internal.v1.opt"]
path = "{self.folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{_PAUSE}"
netns_mounts_under_state_dir = true
restrict_oom_score_adj = true  # it may lack the right to make itself less likely to be killed
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{programs}"
conf_dir = "{networks}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
Root = "{self.folder}/runc"
""")
        return file
