"""Installs packages into /opt/venv by a pip that is gone again afterwards, so that none has to be in the image.

`install.py PIP_ARGUMENTS…`, run inside a build. Left out is what nothing in an image without a compiler can use:
headers, static libraries, and the packages' own tests. Byte code is written by bytecode.py.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

VENV = Path("/opt/venv")
UNUSED = (".a", ".h", ".hpp", ".cuh")
"""Suffixes of files for compilers."""


def install(arguments: list[str]) -> None:
    """Run pip for the environment; its settings of this site come as a secret of the build, if at all."""
    settings = {
        "PIP_CONFIG_FILE": "/run/secrets/pip",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
    }
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        command = [f"{folder}/bin/pip", "--python", str(VENV / "bin" / "python"), "install", "--quiet", "--no-compile"]
        subprocess.run([*command, *arguments], env={**os.environ, **settings}, check=True)


def strip(packages: Path) -> None:
    """Remove what is never read at run time."""
    for folder in sorted(packages.rglob("tests")):
        if folder.is_dir():
            shutil.rmtree(folder)
    for file in packages.rglob("*"):
        if file.suffix in UNUSED and file.is_file():
            file.unlink()


if __name__ == "__main__":
    install(sys.argv[1:])
    (site,) = VENV.glob("lib/python3*/site-packages")
    strip(site)
