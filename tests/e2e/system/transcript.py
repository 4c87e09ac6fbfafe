"""What a person sees with kubectl while a job runs, kept as a text file that the docs show."""

import contextlib
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.cluster.node import KUBECTL, Node


class Transcript:
    """Commands and what they print, in the order in which they came."""

    def __init__(self, node: Node, namespace: str, file: Path) -> None:
        self._node, self._namespace, self._file = node, namespace, file
        self._lock = threading.Lock()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")

    def note(self, text: str) -> None:
        """Add lines."""
        with self._lock, self._file.open("a") as sink:
            sink.write(text.rstrip("\n") + "\n\n")

    def show(self, *arguments: str) -> str:
        """Run kubectl in the namespace and keep what it prints."""
        said = self._node.kubectl(*arguments, "-n", self._namespace)
        self.note(f"$ kubectl {' '.join(arguments)}\n{said}")
        return said

    @contextlib.contextmanager
    def watching(self, kind: str) -> Iterator[None]:
        """Keep what `kubectl get KIND -w` prints for the length of the block."""
        command = [str(KUBECTL), f"--kubeconfig={self._node.kubeconfig}", "get", kind, "-n", self._namespace, "-w"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        lines: list[str] = []

        def read() -> None:
            assert process.stdout is not None
            lines.extend(process.stdout)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            yield
        finally:
            process.terminate()
            process.wait(10)
            reader.join(10)
            assert process.stdout is not None
            process.stdout.close()
            self.note(f"$ kubectl get {kind} -w\n{''.join(lines)}")


def kept_figures(file: Path, **figures: object) -> None:
    """Add figures to a JSON file."""
    known = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(known | figures, indent=1, sort_keys=True) + "\n")
