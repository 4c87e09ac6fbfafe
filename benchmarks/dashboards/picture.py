"""Pictures of the dashboards, for docs/: what two teams at work look like.

    python -m benchmarks.dashboards.picture [--out docs/images]

Runs a cluster that is real but for its machines, MinIO, the operator and Debian's Prometheus; stages run as processes,
so debates are held and trainings train (the quickstart's model). At the end each dashboard is drawn from what
Prometheus has scraped, and Chromium makes a picture of it. About six minutes on two cores.
"""

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.dashboards.page import WIDTH, height, render
from benchmarks.dashboards.world import ROOT, world
from tests.servers.grafana import dashboards

DASHBOARDS = ROOT / "charts" / "agentark-operator" / "files" / "dashboards"
MOST_BYTES = 300_000
_COLOURS = 64


class NoPicture(Exception):
    """The browser is not there, or made no picture; the text says which."""


def take(page: str, width: int, height: int, target: Path) -> None:
    """Make a picture of an HTML page, with few colours so that it is small.

    Args:
        page: Its text.
        width: In pixels.
        height: In pixels.
        target: PNG file to write.

    Raises:
        NoPicture: If Chromium is not installed or fails.
    """
    from PIL import Image

    browser = shutil.which("chromium")
    if browser is None:
        raise NoPicture("there is no chromium; install Debian's package")
    with tempfile.TemporaryDirectory() as folder:
        file, shot = Path(folder) / "page.html", Path(folder) / "page.png"
        file.write_text(page)
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
        command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        command += [f"--user-data-dir={folder}/profile", "--hide-scrollbars", f"--window-size={width},{height}"]
        done = subprocess.run(
            [*command, f"--screenshot={shot}", file.as_uri()], capture_output=True, text=True, timeout=120, check=False
        )
        if not shot.exists():
            raise NoPicture(f"chromium made no picture: {done.stderr[-500:]}")
        with Image.open(shot) as picture:
            picture.convert("RGB").quantize(_COLOURS).save(target, optimize=True)


def main() -> int:
    """Let the teams work, then draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended
    with world() as running:
        shot = running.work()
        pages = {name: (board, render(board, shot)) for name, board in dashboards(DASHBOARDS).items()}
    for name, (board, page) in pages.items():
        target = options.out / f"dashboard-{Path(name).stem.removeprefix('agentark-')}.png"
        take(page, WIDTH, height(board), target)
        print(f"{target}: {target.stat().st_size} bytes")
        if target.stat().st_size > MOST_BYTES:
            print(f"{target} is larger than {MOST_BYTES} bytes", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
