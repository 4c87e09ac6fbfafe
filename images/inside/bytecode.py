"""Writes byte code into /opt/venv, once: a container with a read-only root could not, and would compile at each start.

`/opt/venv/bin/python bytecode.py [MODULE…]`, run inside a build: of what the named modules import, or of everything.
What has byte code already keeps it, so that an upper layer of the image does not hold that of a lower one again.
"""

import importlib
import py_compile
import sys
import sysconfig
from concurrent.futures import ProcessPoolExecutor
from importlib.util import cache_from_source
from pathlib import Path


def sources(modules: list[str]) -> list[Path]:
    """Files of all packages, or of those alone that some modules import."""
    site = Path(sysconfig.get_path("purelib"))
    if not modules:
        return sorted(site.rglob("*.py"))
    for name in modules:
        importlib.import_module(name)
    files = {Path(origin) for module in list(sys.modules.values()) if (origin := getattr(module, "__file__", None))}
    return sorted(file for file in files if file.suffix == ".py" and file.is_relative_to(site))


def write(file: Path) -> None:
    """Compile a file, if python can: packages hold some that are meant for other versions."""
    # Not bound to the file's time, which differs from one build to the next, and never looked at again.
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(file), doraise=False, quiet=2, invalidation_mode=mode)


if __name__ == "__main__":
    sys.dont_write_bytecode = True  # imports would write it as bound to times
    wanted = [file for file in sources(sys.argv[1:]) if not Path(cache_from_source(str(file))).exists()]
    with ProcessPoolExecutor() as pool:
        for _ in pool.map(write, wanted, chunksize=100):
            pass
