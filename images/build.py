"""Builds the project's images: `python -m images.build [operator|worker|inference …]`, or `make images`.

Told by the environment, so that `make images BASE=…` does it too:

    BASE             the base image (default: the public one that the Dockerfiles pin); `debian` makes one from Debian's
                     packages (root, debootstrap), for machines that reach no container registry
    TAG              tag of the images (default: the version)
    REGISTRY         what stands before their names (default: localhost)
    ENGINE           docker, podman or buildah (default: the first that works)
    TORCH_INDEX_URL  package index for torch alone (default: as for all else, whose build serves GPUs and CPUs)
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from images import pip_settings
from images.engine import Build, Engine, EngineFailed, choose

ROOT = Path(__file__).parent.parent
NAMES = ("operator", "worker", "inference")
_BASE = (ROOT / "images" / "debian.sh", ROOT / "images" / "debian.Dockerfile")
"""What BASE=debian is made by."""
MEASURED = ROOT / "build" / "images.json"
"""Seconds and bytes of what was built last, by image."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the environment asks for."""

    engine: Engine
    tag: str
    registry: str = "localhost"
    base: str = ""
    torch_index_url: str = ""

    def image(self, name: str) -> str:
        return f"{self.registry}/agentark-{name}:{self.tag}"


def read_wanted(environment: Mapping[str, str] = os.environ) -> Wanted:
    """What to build, from the environment; an empty variable is none.

    Raises:
        EngineFailed: Nothing here builds images.
    """
    return Wanted(
        engine=choose(environment.get("ENGINE", "")),
        tag=environment.get("TAG") or version(),
        registry=(environment.get("REGISTRY") or "localhost").rstrip("/"),
        base=environment.get("BASE", ""),
        torch_index_url=environment.get("TORCH_INDEX_URL", ""),
    )


def version() -> str:
    """The project's version, as its package states it."""
    (number,) = re.findall(r'^__version__ = "(.+)"$', (ROOT / "agentark" / "__init__.py").read_text(), re.MULTILINE)
    return str(number)


def build(wanted: Wanted, names: Sequence[str] = NAMES) -> None:
    """Build images and note how long each took.

    Raises:
        EngineFailed: One could not be built.
    """
    base = wanted.base
    if base == "debian":
        base = make_base(wanted.engine)
    arguments = {"VERSION": version(), "REVISION": _git("rev-parse", "HEAD")}
    if base:
        arguments["BASE"] = base
    with tempfile.TemporaryDirectory() as folder:
        secrets = pip_settings.secrets(pip_settings.config_list(), Path(folder))
        for name in names:
            own = {"TORCH_INDEX_URL": wanted.torch_index_url} if wanted.torch_index_url and name != "operator" else {}
            began = time.monotonic()
            image = Build(
                dockerfile=ROOT / "images" / name / "Dockerfile",
                context=ROOT,
                tag=wanted.image(name),
                arguments=arguments | own,
                secrets=secrets,
                epoch=_epoch(),
            )
            try:
                wanted.engine.build(image)
            except EngineFailed as error:
                hint = "" if base else "; if no registry can be reached from here, BASE=debian makes a base image"
                raise EngineFailed(f"{error}{hint}") from None
            _note(name, wanted, time.monotonic() - began)


def make_base(engine: Engine) -> str:
    """Make the base image from Debian's packages, unless the engine has it, and return its name.

    Raises:
        EngineFailed: It could not be made.
    """
    script, dockerfile = _BASE
    content = b"".join(file.read_bytes() for file in _BASE)
    tag = f"localhost/agentark-base:bookworm-{hashlib.sha256(content).hexdigest()[:8]}"
    if not engine.holds(tag):
        with tempfile.TemporaryDirectory() as folder:
            if subprocess.run([script, folder], check=False).returncode:
                raise EngineFailed(f"{script} could not make a base image: it needs root and debootstrap (see above)")
            # buildah takes an archive for the same whose files differ in their times alone.
            engine.build(Build(dockerfile=dockerfile, context=Path(folder), tag=tag, cached=False))
    return tag


def _note(name: str, wanted: Wanted, seconds: float) -> None:
    known = json.loads(MEASURED.read_text()) if MEASURED.exists() else {}
    size = wanted.engine.size(wanted.image(name))
    known[name] = {
        "image": wanted.image(name),
        "engine": wanted.engine.name,
        "seconds": round(seconds, 1),
        "bytes": size,
    }
    MEASURED.parent.mkdir(exist_ok=True)
    MEASURED.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")
    print(f"{wanted.image(name)}: {size / 1e6:.0f} MB, built by {wanted.engine.name} in {seconds:.0f} s", flush=True)


def _epoch() -> int:
    """The commit's time, so that the same sources give the same files."""
    return int(os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct") or 0)


def _git(*arguments: str) -> str:
    """What git says of this folder; nothing outside a repository."""
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def chosen(arguments: Sequence[str]) -> tuple[str, ...]:
    """Names of images from a command line; all of them without any.

    Raises:
        EngineFailed: There is no such image.
    """
    for name in arguments:
        if name not in NAMES:
            raise EngineFailed(f"there is no image {name!r}: name {', '.join(NAMES)}, or none for all")
    return tuple(arguments) or NAMES


def main() -> int:
    """Run the command line; return its exit code."""
    try:
        build(read_wanted(), chosen(sys.argv[1:]))
    except EngineFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
