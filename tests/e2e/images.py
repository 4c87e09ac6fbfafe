"""The project's images on a node: built by what `make images` runs, and handed on without an archive between."""

import os
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from images.build import NAMES, Wanted, build, read_wanted
from tests.e2e.cluster.node import Node
from tests.servers.process import ServerFailed


def build_images(tag: str, names: tuple[str, ...] = NAMES) -> Wanted:
    """Build images from Debian's packages and PyPI as `localhost/agentark-NAME:TAG`; tell how they were built.

    The first time takes a quarter of an hour; layers that are there already are used again.

    Raises:
        EngineFailed: One cannot be built.
    """
    # Nested containers and their cgroups are not to be had everywhere; this is as much apart as a build of ours needs.
    os.environ.setdefault("BUILDAH_ISOLATION", "chroot")
    wanted = replace(read_wanted({"BASE": "debian", **os.environ}), tag=tag, registry="localhost")
    build(wanted, names)
    return wanted


def load_images(node: Node, tag: str, names: tuple[str, ...] = NAMES) -> list[str]:
    """Build images and import them on the node; return their names.

    Raises:
        EngineFailed: One cannot be built.
        ServerFailed: The node does not take one.
    """
    wanted = build_images(tag, names)
    return [_load(node, wanted.engine.archive_command(image), image) for image in map(wanted.image, names)]


def _load(node: Node, command: list[str], image: str) -> str:
    # Images of 6 GB: what prints one writes into a pipe that containerd reads, so no copy of it lies on the disk.
    with tempfile.TemporaryDirectory(dir=node.folder) as place:
        pipe = Path(place) / "image.tar"
        os.mkfifo(pipe)
        end = os.open(pipe, os.O_RDWR)  # does not wait for a reader
        with subprocess.Popen(command, stdout=end, stderr=subprocess.PIPE, text=True) as printing:
            os.close(end)
            try:
                node.load_image(pipe)
            except BaseException:
                printing.kill()
                raise
            _, said = printing.communicate()
        if printing.returncode:
            raise ServerFailed(f"{' '.join(command)} ended with {printing.returncode}: {said[-2000:]}")
    return image
