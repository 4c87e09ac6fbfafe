"""What builds and runs images here: docker, podman or buildah."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ENGINES = ("docker", "podman", "buildah")
"""In the order of preference."""
_USER = "65532:65532"


class EngineFailed(Exception):
    """No engine, or one that could not do it; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Build:
    """What an image is built from."""

    dockerfile: Path
    context: Path
    tag: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Path] = field(default_factory=dict)
    """Name -> file; seen by the steps that ask for it, and in no layer."""
    epoch: int | None = None
    """Time that files of new layers and the image are given, in seconds since 1970; their own without one."""
    cached: bool = True
    """Whether layers that are there already are used."""


@dataclass(frozen=True, slots=True)
class Engine:
    """One of the three, by name."""

    name: str

    def build_command(self, build: Build) -> list[str]:
        """The command line that builds an image."""
        words = [self.name, "build", "--tag", build.tag, "--file", str(build.dockerfile)]
        if not build.cached:
            words.append("--no-cache")
        elif self.name != "docker":
            words.append("--layers")
        if build.epoch is not None:
            docker = ["--build-arg", f"SOURCE_DATE_EPOCH={build.epoch}"]
            words += docker if self.name == "docker" else ["--timestamp", str(build.epoch)]
        for name, value in sorted(build.arguments.items()):
            words += ["--build-arg", f"{name}={value}"]
        for name, file in sorted(build.secrets.items()):
            words += ["--secret", f"id={name},src={file}"]
        return [*words, str(build.context)]

    def archive_command(self, tag: str) -> list[str]:
        """The command line that prints an image as an archive, which containerd and docker import."""
        if self.name == "buildah":
            return ["buildah", "push", "--quiet", tag, f"docker-archive:/dev/stdout:{tag}"]
        return [self.name, "save", tag]

    def build(self, build: Build) -> None:
        """Build an image; the engine's own words go to this process's output.

        Raises:
            EngineFailed: It could not.
        """
        environment = {**os.environ, "DOCKER_BUILDKIT": "1"}  # without it, docker knows no secrets of a build
        if subprocess.run(self.build_command(build), env=environment, check=False).returncode:
            raise EngineFailed(f"{self.name} could not build {build.tag} (see above)")

    def holds(self, tag: str) -> bool:
        """Tell whether the engine has an image of that name."""
        return not subprocess.run([self.name, *self._inspect(), tag], capture_output=True, check=False).returncode

    def run(self, tag: str, command: Sequence[str], *, stdin: bytes = b"") -> bytes:
        """Run a command in a container of the image as its user, and return what it prints.

        Raises:
            EngineFailed: It ended with another code than 0.
        """
        if self.name != "buildah":
            first, *rest = command
            return self._output([self.name, "run", "--rm", "--interactive", "--entrypoint", first, tag, *rest], stdin)
        container = self._output(["buildah", "from", "--pull-never", tag]).decode().strip()
        try:
            return self._output(["buildah", "run", "--user", _USER, container, "--", *command], stdin)
        finally:
            self._output(["buildah", "rm", container])

    def size(self, tag: str) -> int:
        """Bytes of all layers of an image, unpacked."""
        if self.name != "buildah":
            return int(self._output([self.name, "image", "inspect", "--format", "{{.Size}}", tag]))
        # Its layers are stored unpacked; what it prints of images is rounded for people.
        manifest = json.loads(self._output(["buildah", "inspect", "--type", "image", tag]))["Manifest"]
        return sum(int(layer["size"]) for layer in json.loads(manifest)["layers"])

    def _inspect(self) -> list[str]:
        return ["inspect", "--type", "image"] if self.name == "buildah" else ["image", "inspect"]

    def _output(self, command: Sequence[str], stdin: bytes = b"") -> bytes:
        done = subprocess.run(command, input=stdin, capture_output=True, check=False)
        if done.returncode:
            raise EngineFailed(
                f"{' '.join(command)} ended with {done.returncode}: {done.stderr.decode()[-2000:].strip()}"
            )
        return done.stdout


def choose(wanted: str = "", *, answers: Callable[[str], str] | None = None) -> Engine:
    """Return the engine to use: the wanted one, else the first that works.

    Args:
        wanted: Name of an engine, or nothing.
        answers: Tells why the named one does not work, or nothing if it does; asks the programs themselves by default.

    Raises:
        EngineFailed: There is none, or not the wanted one; the text names what was found of each.
    """
    if wanted and wanted not in ENGINES:
        raise EngineFailed(f"ENGINE is {wanted!r}: take one of {', '.join(ENGINES)}")
    problems = {}
    for name in [wanted] if wanted else ENGINES:
        problems[name] = (answers or _why_not)(name)
        if not problems[name]:
            return Engine(name)
    reasons = "; ".join(f"{name} {reason}" for name, reason in problems.items())
    raise EngineFailed(
        f"nothing here builds images ({reasons}): install podman, docker or buildah, or start its service"
    )


def _why_not(name: str) -> str:
    if shutil.which(name) is None:
        return "is not installed"
    # A client without its service is a common find: docker's `version` and `info` fail then.
    done = subprocess.run([name, "info"], capture_output=True, text=True, check=False)
    return "does not work: " + (done.stderr or done.stdout).strip().rpartition("\n")[2] if done.returncode else ""
