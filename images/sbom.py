"""Writes bills of materials to build/sbom/NAME.cdx.json: `python -m images.sbom [NAME…]`, or `make sbom`."""

import json
import sys
from pathlib import Path

from images.build import ROOT, chosen, read_wanted
from images.engine import Engine, EngineFailed

FOLDER = ROOT / "build" / "sbom"
_INVENTORY = ROOT / "images" / "inside" / "inventory.py"


def write(engine: Engine, image: str, name: str, folder: Path = FOLDER) -> Path:
    """Ask an image what it holds, and return the file where that stands as CycloneDX JSON.

    Raises:
        EngineFailed: The image is not there.
    """
    if not engine.holds(image):
        raise EngineFailed(f"there is no image {image} in {engine.name}: `make images` builds it")
    command = ["python", "-", f"agentark-{name}", image.rpartition(":")[2]]
    text = engine.run(image, command, given=_INVENTORY.read_bytes())
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.cdx.json"
    file.write_bytes(text)
    print(
        f"{file.relative_to(ROOT) if file.is_relative_to(ROOT) else file}: {len(json.loads(text)['components'])} parts"
    )
    return file


def main() -> int:
    """Run the command line; return its exit code."""
    try:
        wanted = read_wanted()
        for name in chosen(sys.argv[1:]):
            write(wanted.engine, wanted.image(name), name)
    except EngineFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
